//! The Secrets that SPIRE's pods mount: one that is not there, one that the operator may not look
//! for, and one with a damaged key, of which nothing is told.

use std::time::{Duration, SystemTime};

use anyhow::{Result, ensure};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use lab::damage::{forms, trace_of};
use lab::wait;
use serde_json::{Value, json};

use super::site::{Site, TIMEOUT};
use super::spire;

#[tokio::test(flavor = "multi_thread")]
async fn a_secret_that_is_not_there_or_not_seen_is_told_before_a_pod_waits_for_it() -> Result<()> {
    let mut site = Site::start("secrets").await?;
    site.apply(&spire::json(&site.namespace))?;
    let user = "somebody-without-secrets";
    site.apply(&rights(&site.namespace, user))?;
    site.attest(json!({"keylime": {"agent": {"tls": {"secretName": "keylime-nod"}}}}))?;
    let mut operator = site.operator_as(user)?;
    // Nor may it read the apiserver's metrics.
    operator.process.wait_for_log("whether the apiserver runs with NodeRestriction is not known", TIMEOUT)?;

    let message = site.wait_for("ConfigurationApplied", "SecretForbidden")?;
    for secret in ["keylime-client", "keylime-nod"] {
        let grant = format!("rbac.keylimeSecrets, as {{namespace: secrets, names: [{secret}]}}");
        ensure!(message.contains(&grant), "{grant} is not in {message}");
    }
    ensure!(
        site.hash("statefulset/spire-server")?.is_none() && site.hash("daemonset/spire-agent")?.is_none()
    );

    // What it may look for is looked for; nothing else tells of a right.
    grant(&site, user, "keylime-client")?;
    site.wait("the server's Secret to be seen", |site| {
        let (_, message) = site.condition("ConfigurationApplied")?;
        Ok(message.contains("keylime-nod") && !message.contains("keylime-client"))
    })?;
    grant(&site, user, "keylime-nod")?;
    let message = site.wait_for("ConfigurationApplied", "SecretNotFound")?;
    ensure!(message.contains("keylime-nod"), "{message}");
    ensure!(site.hash("daemonset/spire-agent")?.is_none());

    site.apply(&site.secret("keylime-nod")?)?;
    site.make_ready()?;
    operator.stop()
}

/// Each damaged form in the place of the key, of the certificate and of the CA.
#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_key_is_in_no_condition_event_or_log() -> Result<()> {
    let mut site = Site::start("damaged").await?;
    site.apply(&spire::json(&site.namespace))?;
    let operator = site.operator()?;
    let good = site.secret("good")?;
    let key = STANDARD.decode(good["data"]["tls.key"].as_str().unwrap_or_default())?;
    let key = String::from_utf8(key)?;

    let mut refused = 0;
    for (form, damaged) in forms(&key).iter().enumerate() {
        for entry in ["tls.key", "tls.crt", "ca.crt"] {
            let name = format!("{form}-{entry}");
            let mut secret = good.clone();
            secret["metadata"]["name"] = json!(name);
            secret["data"][entry] = json!(STANDARD.encode(&damaged.content));
            site.apply(&secret)?;
            site.attest(json!({"keylime": {"tls": {"secretName": name}}}))?;
            let (reason, message) = wait::until("the condition", TIMEOUT, || {
                let (reason, message) = site.condition("ConfigurationApplied")?;
                ensure!(!reason.is_empty(), "none yet");
                Ok((reason, message))
            })?;
            refused += usize::from(reason == "SecretIncomplete");
            let trace = trace_of(&key, &message);
            ensure!(trace.is_none(), "{}, {entry}: {trace:?} is in {message}", damaged.how);
        }
    }
    ensure!(refused > 50, "only {refused} were refused");
    let told = site.kubectl(&["get", "kla,events,statefulsets,daemonsets,configmaps", "--output", "yaml"])?;
    ensure!(told.contains("SecretIncomplete"), "{told}");
    let log = operator.process.log()?;
    operator.stop()?;
    for text in [told, log] {
        ensure!(trace_of(&key, &text).is_none(), "{text}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_that_ends_soon_is_told_and_a_new_one_taken() -> Result<()> {
    let mut site = Site::start("ending").await?;
    site.apply(&spire::json(&site.namespace))?;
    let good = site.secret("keylime-client")?;
    let end = SystemTime::now() + Duration::from_secs(20 * 24 * 60 * 60);
    let leaf = site.keylime.ca.client_until(end)?;
    let mut ending = good.clone();
    ending["data"]["tls.crt"] = json!(STANDARD.encode(&leaf.cert_pem));
    ending["data"]["tls.key"] = json!(STANDARD.encode(&leaf.key_pem));
    site.apply(&ending)?;
    site.attest(json!({}))?;
    let operator = site.operator()?;
    site.make_ready()?;
    let message = site.wait_for("CertificateValid", "EndsSoon")?;
    ensure!(message.contains("ends within 30 days") && message.contains("Issue it anew"), "{message}");
    let metric = "keylime_attestor_operator_client_certificate_end_timestamp_seconds{namespace=\"ending\",name=\"spire\"}";
    let told = operator.get(&operator.metrics, "/metrics")?;
    let seconds = end.duration_since(SystemTime::UNIX_EPOCH)?.as_secs();
    ensure!(told.contains(&format!("{metric} {seconds}")), "{told}");

    // Seen at the next reconcile, which a change of the resource brings at once.
    site.apply(&good)?;
    site.attest(json!({"nodes": {"grace": "3m"}}))?;
    site.wait_for("CertificateValid", "Valid")?;
    ensure!(site.condition("Ready")?.0 == "Ready");
    operator.stop()
}

pub(super) fn grant(site: &Site, user: &str, secret: &str) -> Result<()> {
    let name = format!("--resource-name={secret}");
    site.kubectl(&["create", "role", secret, "--verb=get", "--resource=secrets", &name])?;
    let (role, user) = (format!("--role={secret}"), format!("--user={user}"));
    site.kubectl(&["create", "rolebinding", secret, &role, &user]).map(drop)
}

/// Everything but Secrets.
pub(super) fn rights(namespace: &str, user: &str) -> Value {
    let rule = |group: &str, resources: &[&str]| json!({"apiGroups": [group], "resources": resources, "verbs": ["*"]});
    let group = "rbac.authorization.k8s.io/v1";
    let name = format!("{namespace}-without-secrets");
    json!({"apiVersion": "v1", "kind": "List", "items": [
        {"apiVersion": group, "kind": "ClusterRole", "metadata": {"name": name}, "rules": [
            rule("", &["configmaps", "pods", "pods/log", "nodes", "events"]),
            rule("apps", &["*"]), rule("spire.keylime.dev", &["*"]), rule("events.k8s.io", &["*"]),
            rule("coordination.k8s.io", &["*"]),
        ]},
        {"apiVersion": group, "kind": "ClusterRoleBinding", "metadata": {"name": name},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": name},
            "subjects": [{"kind": "User", "apiGroup": "rbac.authorization.k8s.io", "name": user}]},
    ]})
}
