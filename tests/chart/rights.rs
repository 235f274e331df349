//! What the operator may do: as the chart says it, and as a real apiserver decides.

use std::fs;

use anyhow::{Context as _, Result, ensure};
use lab::apiserver::ApiServer;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::helm::{HELMS, NAMESPACE, at, objects, template, text, value_set, value_sets};

/// Verb; resource, with its group behind a dot and its subresource behind a slash; name ("" for any); namespace ("" for all); answer.
type Question = (&'static str, &'static str, &'static str, &'static str, bool);

#[test]
fn every_rule_is_narrow_and_has_a_reason() -> Result<()> {
    for values in value_sets()? {
        let rendered = template(HELMS[0], &["--values", text(&values)?])?;
        let mut before = "";
        for line in rendered.lines() {
            let reason = before.starts_with("# ") && before.ends_with('.');
            ensure!(!line.starts_with("- apiGroups:") || reason, "{before:?} is no reason");
            before = line;
        }
        for object in objects(&rendered)? {
            for rule in object.pointer("/rules").and_then(Value::as_array).into_iter().flatten() {
                ensure!(!rule.to_string().contains('*'), "{rule}");
                let secrets =
                    rule.pointer("/resources").is_some_and(|resources| *resources == json!(["secrets"]));
                ensure!(secrets || !rule.to_string().contains("secrets"), "{rule}");
                let named = rule.pointer("/resourceNames/0").is_some()
                    && rule.pointer("/verbs") == Some(&json!(["get"]));
                ensure!(!secrets || (named && at(&object, "/kind") == "Role"), "{rule}");
            }
        }
    }
    Ok(())
}

#[test]
fn the_apiserver_grants_what_is_needed_and_no_more() -> Result<()> {
    let server = ApiServer::start()?;
    for namespace in [NAMESPACE, "spire-edge", "spire-server", "spire-system"] {
        server.kubectl(&["create", "namespace", namespace])?;
    }
    expect(&server, "default", "keylime-attestor", EVERYWHERE)?;
    expect(&server, "namespaces", "attestor", LISTED)?;
    expect(&server, "attestor", "keylime-attestor", SECRETS_OF_VALUES)
}

/// With all namespaces.
const EVERYWHERE: &[Question] = &[
    ("watch", "keylimeattestors.spire.keylime.dev", "", "", true),
    ("patch", "keylimeattestors.spire.keylime.dev", "spire", "spire-system", true),
    ("patch", "keylimeattestors.spire.keylime.dev/status", "spire", "spire-system", true),
    ("create", "keylimeattestors.spire.keylime.dev", "", "spire-system", false),
    ("delete", "keylimeattestors.spire.keylime.dev", "spire", "spire-system", false),
    ("create", "configmaps", "", "spire-system", true),
    ("delete", "configmaps", "spire-server-keylime", "spire-system", true),
    ("patch", "statefulsets.apps", "spire-server", "spire-server", true),
    ("create", "statefulsets.apps", "", "spire-server", false),
    ("delete", "daemonsets.apps", "spire-agent", "spire-system", false),
    ("list", "pods", "", "", true),
    ("delete", "pods", "spire-server-0", "spire-server", true),
    ("get", "pods/log", "spire-server-0", "spire-server", true),
    ("create", "pods", "", "spire-system", false),
    ("patch", "pods", "spire-server-0", "spire-server", false),
    ("create", "pods/exec", "x", "spire-system", false),
    ("create", "events.events.k8s.io", "", "spire-system", true),
    ("get", "secrets", "keylime-admin-client", "spire-server", false),
    ("list", "secrets", "", "", false),
    ("list", "secrets", "", NAMESPACE, false),
    ("create", "leases.coordination.k8s.io", "", NAMESPACE, true),
    ("patch", "leases.coordination.k8s.io", "keylime-attestor-operator", NAMESPACE, true),
    ("patch", "leases.coordination.k8s.io", "other", NAMESPACE, false),
    ("patch", "leases.coordination.k8s.io", "keylime-attestor-operator", "kube-system", false),
    ("patch", "clusterroles.rbac.authorization.k8s.io", "keylime-attestor", "", false),
    ("patch", "customresourcedefinitions.apiextensions.k8s.io", "x", "", false),
];

/// With two namespaces listed, and Secrets in them.
const LISTED: &[Question] = &[
    ("watch", "keylimeattestors.spire.keylime.dev", "", "", false),
    ("watch", "keylimeattestors.spire.keylime.dev", "", "spire-system", true),
    ("watch", "keylimeattestors.spire.keylime.dev", "", NAMESPACE, false),
    ("patch", "statefulsets.apps", "spire-server", "spire-server", true),
    ("patch", "deployments.apps", "coredns", "kube-system", false),
    ("get", "configmaps", "x", "kube-system", false),
    ("list", "pods", "", "", false),
    ("get", "pods", "keylime-attestor-1", NAMESPACE, true),
    ("list", "pods", "", NAMESPACE, false),
    ("get", "secrets", "keylime-admin-client", "spire-server", true),
    ("get", "secrets", "keylime-other", "spire-server", true),
    ("get", "secrets", "keylime-a", "spire-system", true),
    ("get", "secrets", "keylime-a", "spire-server", false),
    ("get", "secrets", "keylime-admin-client", "spire-system", false),
    ("get", "secrets", "spire-ca", "spire-server", false),
    ("list", "secrets", "", "spire-server", false),
    ("watch", "secrets", "", "spire-server", false),
    ("patch", "secrets", "keylime-admin-client", "spire-server", false),
];

/// The Secrets of the resource that comes from the values are where SPIRE's server is, and its agents.
const SECRETS_OF_VALUES: &[Question] = &[
    ("get", "secrets", "keylime-node-client", "spire-system", true),
    ("get", "secrets", "keylime-node-client", "spire-edge", true),
    ("get", "secrets", "keylime-node-client", "spire-server", false),
    ("get", "secrets", "keylime-admin-client", "spire-server", true),
    ("get", "secrets", "keylime-admin-client", "spire-system", false),
    ("get", "secrets", "keylime-admin-client", NAMESPACE, false),
];

/// Asks about the ServiceAccount while the chart's roles and bindings are in place.
fn expect(server: &ApiServer, values: &str, account: &str, questions: &[Question]) -> Result<()> {
    let rendered = objects(&template(HELMS[0], &["--values", text(&value_set(values))?])?)?;
    let rights = rendered.iter().filter(|object| at(object, "/apiVersion") == "rbac.authorization.k8s.io/v1");
    let list = json!({"apiVersion": "v1", "kind": "List", "items": rights.collect::<Vec<_>>()});
    let folder = TempDir::new()?;
    let (rights, file) = (folder.path().join("rights.json"), folder.path().join("review.json"));
    fs::write(&rights, list.to_string())?;
    server.kubectl(&["create", "--validate=strict", "--filename", text(&rights)?])?;

    for question in questions {
        fs::write(&file, review(account, question).to_string())?;
        let answer = server.kubectl(&["create", "--filename", text(&file)?, "--output", "json"])?;
        let answer: Value = serde_json::from_str(&answer)?;
        let allowed = answer.pointer("/status/allowed").and_then(Value::as_bool).context("no answer")?;
        assert_eq!(allowed, question.4, "{values}: {question:?}");
    }
    server.kubectl(&["delete", "--filename", text(&rights)?])?;
    Ok(())
}

fn review(account: &str, (verb, what, name, namespace, _): &Question) -> Value {
    let (what, subresource) = what.split_once('/').unwrap_or((what, ""));
    let (resource, group) = what.split_once('.').unwrap_or((what, ""));
    json!({
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SubjectAccessReview",
        "spec": {
            "user": format!("system:serviceaccount:{NAMESPACE}:{account}"),
            "groups": ["system:serviceaccounts", format!("system:serviceaccounts:{NAMESPACE}"), "system:authenticated"],
            "resourceAttributes": {
                "verb": verb, "group": group, "resource": resource, "subresource": subresource, "name": name, "namespace": namespace,
            },
        },
    })
}
