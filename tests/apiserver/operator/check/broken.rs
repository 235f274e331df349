//! Broken clusters: each by one fault, which `check` finds, names and tells a remedy for.

use anyhow::{Context as _, Result, ensure};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rcgen::{CertificateParams, DnType, KeyPair, date_time_ymd};
use serde_json::{Value, json};

use super::{MANAGER, check, check_as};
use crate::operator::secrets::rights;
use crate::operator::site::Site;
use crate::operator::spire;

/// A cluster with one fault.
struct Broken {
    /// Also its namespace.
    name: &'static str,
    /// Breaks the cluster, which is in order before; the changes of the resource's spec.
    by: fn(&Site) -> Result<Value>,
    level: &'static str,
    subject: &'static str,
    /// The operator's reason, or a part of the message.
    told: &'static str,
}

const fn broken(
    name: &'static str,
    by: fn(&Site) -> Result<Value>,
    [level, subject, told]: [&'static str; 3],
) -> Broken {
    Broken { name, by, level, subject, told }
}

const CLUSTERS: [Broken; 19] = [
    broken("no-spire", no_spire, ["failure", "configuration", "WorkloadNotFound"]),
    broken("no-namespace", no_namespace, ["failure", "namespaces", "expected the namespace nowhere"]),
    broken("no-secret", no_secret, ["failure", "configuration", "SecretNotFound"]),
    broken("foreign-key", foreign_key, ["failure", "configuration", "SecretIncomplete"]),
    broken("ended-certificate", ended, ["failure", "secrets", "ended at 2001-01-01"]),
    broken("ending-certificate", ending, ["warning", "secrets", "ends soon"]),
    broken(
        "administrator-on-nodes",
        administrator_on_nodes,
        ["failure", "secrets", "whoever has a node administers Keylime"],
    ),
    broken(
        "damaged-configuration",
        damaged_configuration,
        ["failure", "configuration", "ConfigurationInvalid"],
    ),
    broken("no-configuration", no_configuration, ["failure", "configuration", "ConfigurationNotFound"]),
    broken("command-set", command_set, ["failure", "configuration", "CommandSet"]),
    broken("unclear-manager", unclear_manager, ["failure", "configuration", "ContainerNotFound"]),
    broken("other-template", other_template, ["failure", "conditions", "TemplateMissing"]),
    broken("foreign-config-map", foreign_config_map, ["failure", "configuration", "ConfigMapNotOurs"]),
    broken("owned-field", owned_field, ["failure", "changes", "FieldConflict"]),
    broken("refused-pods", refused_pods, ["failure", "pods", "violates PodSecurity \"restricted"]),
    broken("large-configuration", large_configuration, ["failure", "configuration", "ConfigurationTooLarge"]),
    broken("impossible-binding", impossible_binding, ["failure", "configuration", "BindingImpossible"]),
    broken("claimed", claimed, ["failure", "configuration", "WorkloadClaimed"]),
    broken(
        "refused-resource",
        refused_resource,
        ["failure", "resource", "spire.attestors Exclusive needs enforcement"],
    ),
];

#[tokio::test(flavor = "multi_thread")]
async fn each_broken_cluster_is_told_right() -> Result<()> {
    let site = in_order("in-order").await?;
    let healthy = check(&site, json!({}))?;
    ensure!(healthy.code == 0, "{:#}", healthy.json);
    let mut wrong = Vec::new();
    for Broken { name, by, level, subject, told } in CLUSTERS {
        ensure!(healthy.find(level, subject, told).is_err(), "{name}: {told} is told without the fault");
        let site = in_order(name).await?;
        let changes = by(&site)?;
        let report = check(&site, changes).with_context(|| name.to_owned())?;
        let found = report.find(level, subject, told);
        let remedy =
            found.as_ref().is_ok_and(|found| found["remedy"].as_str().is_some_and(|text| text.len() > 5));
        let code = i32::from(level == "failure");
        if report.code != code || !remedy {
            wrong.push(format!("{name}: exit code {}, {found:#?}", report.code));
        }
    }
    ensure!(wrong.is_empty(), "{}", wrong.join("\n"));
    Ok(())
}

/// A cluster as each of them is without its fault.
async fn in_order(name: &str) -> Result<Site> {
    let site = Site::start(name).await?;
    site.apply(&spire::with_manager(spire::json(name), MANAGER, json!({}))?)?;
    Ok(site)
}

#[tokio::test(flavor = "multi_thread")]
async fn an_apiserver_without_node_restriction_is_told() -> Result<()> {
    let site = Site::start_without_node_restriction("unrestricted-check").await?;
    site.apply(&spire::json(&site.namespace))?;
    let report = check(&site, json!({}))?;
    report.find("warning", "apiserver", "runs without the admission plugin NodeRestriction")?;
    Ok(())
}

/// By somebody who may read no Secret.
#[tokio::test(flavor = "multi_thread")]
async fn secrets_that_may_not_be_read_are_told() -> Result<()> {
    let site = in_order("check-forbidden").await?;
    let user = "somebody-who-checks";
    site.apply(&rights(&site.namespace, user))?;
    let report = check_as(&site, user, json!({}))?;
    report.find("failure", "configuration", "SecretForbidden")?;
    report.find("warning", "secrets", "was not read, so that nothing is known of its certificate")?;
    ensure!(report.code == 1, "{:#}", report.json);
    ensure!(check(&site, json!({}))?.code == 0, "an administrator sees it, too");
    Ok(())
}

/// With the chart's Deployment: where it acts, and who may reach SPIRE's server.
#[tokio::test(flavor = "multi_thread")]
async fn an_operator_elsewhere_and_a_closed_port_are_told() -> Result<()> {
    let site = Site::start_alone("closed").await?;
    site.apply(&spire::json(&site.namespace))?;
    let policy = json!({"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy",
        "metadata": {"name": "agents-only", "namespace": site.namespace},
        "spec": {"podSelector": {"matchLabels": {"app": "spire-server"}},
            "ingress": [{"ports": [{"port": 8081}]}]}});
    site.apply(&policy)?;
    site.apply(&deployment(&site.namespace, "elsewhere"))?;
    let report = check(&site, json!({"enforcement": {}}))?;
    report.find("failure", "operator", "no pod of the Deployment closed/keylime-attestor is ready")?;
    report.find("failure", "operator", "NamespaceNotManaged")?;
    let closed = "the network policies agents-only in closed select SPIRE's server";
    report.find("failure", "network", closed)?;

    // Neither of them, once it acts here and is let in.
    site.apply(&deployment(&site.namespace, &site.namespace))?;
    let status = json!({"replicas": 1, "readyReplicas": 1, "availableReplicas": 1, "updatedReplicas": 1});
    site.patch_status("deployment/keylime-attestor", &status)?;
    let operator = json!({"podSelector": {"matchLabels": {"app.kubernetes.io/name": "keylime-attestor"}}});
    let open = json!({"spec": {"ingress": [{"from": [operator], "ports": [{"port": 9797}]}]}});
    site.patch("networkpolicy/agents-only", &open)?;
    let report = check(&site, json!({"enforcement": {}}))?;
    report.find("ok", "operator", "is ready and acts in closed")?;
    report.find("ok", "network", "port 9797")?;
    ensure!(report.code == 0, "{:#}", report.json);
    Ok(())
}

/// The operator's Deployment as the chart makes it, as far as `check` reads it.
fn deployment(namespace: &str, acting: &str) -> Value {
    let labels =
        json!({"app.kubernetes.io/name": "keylime-attestor", "app.kubernetes.io/component": "operator"});
    json!({"apiVersion": "apps/v1", "kind": "Deployment",
        "metadata": {"name": "keylime-attestor", "namespace": namespace, "labels": labels},
        "spec": {"selector": {"matchLabels": labels}, "template": {"metadata": {"labels": labels},
            "spec": {"containers": [{"name": "operator", "image": "registry.example/keylime-attestor:1",
                "args": ["--leader-elect", format!("--namespaces={acting}"), "--report-secret=report"]}]}}}})
}

fn no_spire(site: &Site) -> Result<Value> {
    site.kubectl(&["delete", "statefulset,daemonset", "--all"])?;
    Ok(json!({}))
}

fn no_namespace(_: &Site) -> Result<Value> {
    Ok(json!({"spire": {"agents": [{"name": "spire-agent", "namespace": "nowhere"}]}}))
}

fn no_secret(_: &Site) -> Result<Value> {
    Ok(json!({"keylime": {"tls": {"secretName": "none"}}}))
}

fn foreign_key(site: &Site) -> Result<Value> {
    let mut secret = site.secret("keylime-client")?;
    secret["data"]["tls.key"] = json!(STANDARD.encode(KeyPair::generate()?.serialize_pem()));
    site.apply(&secret)?;
    Ok(json!({}))
}

fn ended(site: &Site) -> Result<Value> {
    until(site, |params| params.not_after = date_time_ymd(2001, 1, 1))
}

fn ending(site: &Site) -> Result<Value> {
    until(site, |params| {
        let now = std::time::SystemTime::now();
        params.not_after = (now + std::time::Duration::from_secs(20 * 24 * 60 * 60)).into();
    })
}

/// Another certificate in the Secret of SPIRE's server.
fn until(site: &Site, change: fn(&mut CertificateParams)) -> Result<Value> {
    let key = KeyPair::generate()?;
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, "client");
    params.not_before = date_time_ymd(2000, 1, 1);
    change(&mut params);
    let mut secret = site.secret("keylime-client")?;
    secret["data"]["tls.crt"] = json!(STANDARD.encode(params.self_signed(&key)?.pem()));
    secret["data"]["tls.key"] = json!(STANDARD.encode(key.serialize_pem()));
    site.apply(&secret)?;
    Ok(json!({}))
}

fn administrator_on_nodes(site: &Site) -> Result<Value> {
    site.apply(&site.secret("keylime-node")?)?;
    Ok(json!({"keylime": {"agent": {"tls": {"secretName": "keylime-node"}}}}))
}

fn damaged_configuration(site: &Site) -> Result<Value> {
    site.apply(&spire::config_map(&site.namespace, "spire-server", "server.conf", "server { plugins ["))?;
    Ok(json!({}))
}

fn no_configuration(site: &Site) -> Result<Value> {
    site.kubectl(&["delete", "configmap", "spire-agent"])?;
    Ok(json!({}))
}

fn command_set(site: &Site) -> Result<Value> {
    let change = json!({"spec": {"template": {"spec": {"containers": [
        {"name": "spire-agent", "command": ["/opt/spire/bin/spire-agent", "run"]}]}}}});
    site.kubectl(&["patch", "daemonset", "spire-agent", "--patch", &change.to_string()])?;
    Ok(json!({}))
}

/// Two containers that could be it.
fn unclear_manager(site: &Site) -> Result<Value> {
    let mut live = site.get("statefulset/spire-server")?;
    let containers = live.pointer_mut("/spec/template/spec/containers").and_then(Value::as_array_mut);
    let containers = containers.context("no containers")?;
    let mut second =
        containers.iter().find(|one| one["name"] == spire::MANAGER).cloned().context("no manager")?;
    second["name"] = json!("another");
    containers.push(second);
    let change = json!({"spec": {"template": {"spec": {"containers": containers}}}});
    site.patch("statefulset/spire-server", &change)?;
    Ok(json!({}))
}

/// spire-controller-manager is left alone, and knows nothing of Keylime.
fn other_template(_: &Site) -> Result<Value> {
    Ok(json!({"spire": {"controllerManager": {"mode": "Ignore"}}}))
}

fn foreign_config_map(site: &Site) -> Result<Value> {
    site.apply(&spire::config_map(&site.namespace, "spire-agent-keylime", "notes", "mine"))?;
    Ok(json!({}))
}

fn owned_field(site: &Site) -> Result<Value> {
    let theirs = json!({"apiVersion": "apps/v1", "kind": "StatefulSet",
        "metadata": {"name": "spire-server", "namespace": site.namespace},
        "spec": {"template": {"metadata": {"annotations": {"spire.keylime.dev/content-hash": "exported"}}}}});
    site.apply_with(&theirs, &["--server-side", "--field-manager=somebody"])?;
    Ok(json!({}))
}

fn refused_pods(site: &Site) -> Result<Value> {
    site.kubectl(&["label", "namespace", &site.namespace, "pod-security.kubernetes.io/enforce=restricted"])?;
    Ok(json!({}))
}

/// SPIRE's configuration fits its ConfigMap, without room for ours.
fn large_configuration(site: &Site) -> Result<Value> {
    let mut map = site.get("configmap/spire-agent")?;
    map["data"]["notes"] = json!("x".repeat((1 << 20) - (16 << 10)));
    map["metadata"] = json!({"name": "spire-agent", "namespace": site.namespace});
    site.apply_with(&map, &["--server-side", "--force-conflicts"])?;
    Ok(json!({}))
}

/// The account of SPIRE's server may review no token.
fn impossible_binding(_: &Site) -> Result<Value> {
    Ok(json!({"attestation": {"binding": "Require"}}))
}

fn claimed(site: &Site) -> Result<Value> {
    site.apply_with(&site.resource("older", json!({})), &["--server-side"])?;
    Ok(json!({}))
}

fn refused_resource(_: &Site) -> Result<Value> {
    Ok(json!({"spire": {"attestors": "Exclusive"}}))
}
