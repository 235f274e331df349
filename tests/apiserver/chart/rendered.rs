//! The chart as Helm renders it without a cluster.

use std::process::Command;

use anyhow::{Context as _, Result, bail, ensure};
use lab::process::output;
use lab::programs::built;
use serde_json::{Value, json};

use super::helm::{HELMS, NAMESPACE, at, lint, objects, template, text, value_set, value_sets};

const SEEN_EVERYWHERE: [&str; 5] =
    ["nodes", "attestednodes", "clusterstaticentries", "keylimeattestors", "subjectaccessreviews"];

#[test]
fn both_helms_find_nothing_wrong() -> Result<()> {
    for values in value_sets()? {
        for helm in HELMS {
            lint(helm, &["--values", text(&values)?])?;
        }
    }
    Ok(())
}

#[test]
fn both_helms_render_the_same() -> Result<()> {
    for values in value_sets()? {
        let [three, four] = HELMS.map(|helm| template(helm, &["--values", text(&values)?]));
        let (three, four) = (objects(&three?)?, objects(&four?)?);
        ensure!(!three.is_empty());
        assert_eq!(three, four, "{}", values.display());
    }
    Ok(())
}

#[test]
fn values_add_and_leave_out_objects() -> Result<()> {
    let kinds = |name: &str| -> Result<Vec<String>> {
        let objects = objects(&template(HELMS[0], &["--values", text(&value_set(name))?])?)?;
        let mut kinds: Vec<_> = objects.iter().map(|object| at(object, "/kind").to_owned()).collect();
        kinds.sort();
        kinds.dedup();
        Ok(kinds)
    };
    assert_eq!(kinds("bare")?, ["Deployment", "Pod", "Secret", "Service"]);
    assert_eq!(
        kinds("default")?,
        [
            "ClusterRole",
            "ClusterRoleBinding",
            "CustomResourceDefinition",
            "Deployment",
            "Job",
            "NetworkPolicy",
            "Pod",
            "Role",
            "RoleBinding",
            "Secret",
            "Service",
            "ServiceAccount",
            "ValidatingAdmissionPolicy",
            "ValidatingAdmissionPolicyBinding",
        ]
    );
    let listed = kinds("namespaces")?;
    for kind in ["PodDisruptionBudget", "ServiceMonitor", "ValidatingAdmissionPolicy"] {
        assert!(listed.iter().any(|listed| listed == kind), "{kind} is not in {listed:?}");
    }

    // Nodes are in no namespace; of all that is in one, only the resources are seen everywhere.
    let objects = objects(&template(HELMS[0], &["--values", text(&value_set("namespaces"))?])?)?;
    for object in objects.iter().filter(|object| at(object, "/kind") == "ClusterRole") {
        let rules = object.pointer("/rules").and_then(Value::as_array).context("no rules")?;
        let about = |rule: &Value| at(rule, "/resources/0").split('/').next().unwrap_or_default().to_owned();
        assert!(rules.iter().all(|rule| SEEN_EVERYWHERE.contains(&about(rule).as_str())), "{object}");
    }
    Ok(())
}

/// With a port missing the operator would hang.
#[test]
fn the_network_policy_lets_out_to_what_the_resource_names() -> Result<()> {
    let egress = |values: &str| -> Result<Vec<Vec<u64>>> {
        let objects = objects(&template(HELMS[0], &["--values", text(&value_set(values))?])?)?;
        let policy = objects.iter().find(|object| at(object, "/kind") == "NetworkPolicy");
        let rules = policy.and_then(|found| found.pointer("/spec/egress")).and_then(Value::as_array);
        let ports = |rule: &Value| {
            let ports = rule.pointer("/ports").and_then(Value::as_array).into_iter().flatten();
            ports.filter_map(|port| port.pointer("/port").and_then(Value::as_u64)).collect()
        };
        Ok(rules.context("no egress")?.iter().skip(2).map(ports).collect())
    };
    assert_eq!(egress("default")?, [vec![8881, 8891], vec![9797]]);
    assert_eq!(egress("attestor")?, [vec![9881, 8881, 9882, 8891], vec![9798, 9797]]);
    assert_eq!(egress("namespaces")?, [vec![8881, 8891, 18881, 18891], vec![9797, 19797]]);
    Ok(())
}

/// By anybody but the operator it is not reached, and whatever else the pod serves is as before.
#[test]
fn the_report_port_is_open_to_the_operator_alone() -> Result<()> {
    let objects = objects(&template(HELMS[0], &["--values", text(&value_set("namespaces"))?])?)?;
    let of_servers = |object: &&Value| {
        at(object, "/kind") == "NetworkPolicy" && at(object, "/metadata/namespace") == "spire-server"
    };
    let policy = objects.iter().find(of_servers).context("no policy")?;
    assert_eq!(
        policy.pointer("/spec/podSelector"),
        Some(&json!({"matchLabels": {"app.kubernetes.io/name": "server"}}))
    );
    let pods = objects.iter().find(|object| at(object, "/kind") == "Deployment").context("no Deployment")?;
    let operator = pods.pointer("/spec/selector").context("no selector")?;
    let everybody = json!([
        {"port": 1, "endPort": 19796, "protocol": "TCP"},
        {"port": 19798, "endPort": 65535, "protocol": "TCP"},
        {"port": 1, "endPort": 65535, "protocol": "UDP"},
    ]);
    let namespace = json!({"matchLabels": {"kubernetes.io/metadata.name": NAMESPACE}});
    let ingress = json!([
        {"ports": everybody},
        {"ports": [{"port": 19797, "protocol": "TCP"}],
            "from": [{"namespaceSelector": namespace, "podSelector": operator}]},
    ]);
    assert_eq!(policy.pointer("/spec/ingress"), Some(&ingress));
    Ok(())
}

/// An argument that the operator does not know would keep every pod from starting, and the
/// release's test from passing.
#[test]
fn the_operator_knows_its_arguments() -> Result<()> {
    for values in value_sets()? {
        let objects = objects(&template(HELMS[0], &["--values", text(&values)?])?)?;
        for (kind, spec) in
            [("Deployment", "/spec/template/spec"), ("Job", "/spec/template/spec"), ("Pod", "/spec")]
        {
            let found = objects.iter().find(|object| at(object, "/kind") == kind);
            // It needs rights, which the chart is told not to make here.
            if kind == "Job" && values.ends_with("bare.yaml") {
                ensure!(found.is_none());
                continue;
            }
            let args = found.and_then(|found| found.pointer(&format!("{spec}/containers/0/args")));
            let args =
                args.and_then(Value::as_array).with_context(|| format!("no arguments in the {kind}"))?;
            let args: Vec<&str> = args.iter().filter_map(Value::as_str).collect();
            output(Command::new(built("keylime-attestor-operator")?).args(args).arg("--help"))?;
        }
    }
    Ok(())
}

#[test]
fn the_schema_refuses_wrong_values() -> Result<()> {
    for (value, expected) in [
        ("replica=2", "additional properties 'replica' not allowed"),
        ("image.name=x", "at '/image': additional properties 'name' not allowed"),
        ("image.digest=sha256:12", "at '/image/digest': 'sha256:12' does not match pattern"),
        ("image.repository=attestor@sha256:12", "at '/image/repository'"),
        ("image.pullPolicy=Sometimes", "at '/image/pullPolicy': value must be one of"),
        ("replicas=0", "at '/replicas': minimum: got 0, want 1"),
        ("replicas=two", "at '/replicas': got string, want integer"),
        ("namespaces=spire", "at '/namespaces': got string, want array"),
        ("namespaces={Spire}", "at '/namespaces/0': 'Spire' does not match pattern"),
        ("namespaces=null", "expected `namespaces` to list those of SPIRE's server"),
        ("namespaces={spire,spire}", "at '/namespaces': items at 0 and 1 are equal"),
        ("log.format=xml", "at '/log/format': value must be one of 'json', 'text'"),
        ("log.level=", "at '/log/level': '' does not match pattern"),
        ("crds.install=maybe", "at '/crds/install': got string, want boolean"),
        ("rbac.keylimeSecrets[0].namespace=spire", "at '/rbac/keylimeSecrets/0': missing property 'names'"),
        ("rbac.keylimeSecrets[0].names={}", "at '/rbac/keylimeSecrets/0'"),
        ("networkPolicy.keylimePorts={65536}", "at '/networkPolicy/keylimePorts/0': maximum: got 65,536"),
        ("networkPolicy.keylimePorts=null", "at '/networkPolicy': missing property 'keylimePorts'"),
        ("networkPolicy.metricsFrom[0].pods=x", "at '/networkPolicy/metricsFrom/0'"),
        ("admissionPolicy.inPlace={spire-server}", "at '/admissionPolicy/inPlace/0'"),
        ("uninstall.attestors=withdraw", "at '/uninstall/attestors': value must be one of"),
        ("serviceMonitor.interval=30", "at '/serviceMonitor/interval'"),
        ("attestor.create=true", "at '/attestor/spec': missing properties 'keylime', 'spire'"),
        ("attestor.name=Spire", "at '/attestor/name'"),
        ("resources.limit.cpu=1", "at '/resources': additional properties 'limit' not allowed"),
        (
            "quoter.enabled=true",
            "expected `quoter.keylimeUid`, the id of Keylime's user on the nodes (`id -u keylime`",
        ),
        (
            "quoter.enabled=true,quoter.keylimeUid=985",
            "expected `quoter.tssGid`, the id of the group that may use",
        ),
        ("quoter.keylimeUid=0", "at '/quoter/keylimeUid': minimum: got 0, want 1"),
        ("quoter.device=/dev/tpm0", "at '/quoter/device'"),
        ("quoter.device=/dev/../etc", "at '/quoter/device': '/dev/../etc' does not match pattern"),
        ("quoter.keylimeData=keylime", "at '/quoter/keylimeData': 'keylime' does not match pattern"),
        ("quoter.privileged=false", "at '/quoter': additional properties 'privileged' not allowed"),
        ("podLabels.a.b=c", "at '/podLabels/a': got object, want string"),
        ("fullnameOverride=-", "at '/fullnameOverride'"),
    ] {
        for helm in HELMS {
            match template(helm, &["--set", value]) {
                Ok(_) => bail!("{helm:?} takes {value}"),
                Err(error) => {
                    let answer = format!("{error:#}");
                    ensure!(answer.contains(expected), "{value}: expected {expected:?}, got {answer}");
                }
            }
        }
    }
    Ok(())
}
