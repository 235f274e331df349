//! Obstacles for pods in a namespace of a user's cluster, for a test to put there: a quota that is
//! used up, a policy that denies. Each takes a `kubectl`, so that it serves a cluster and an
//! apiserver alone.

use std::io::Write as _;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};
use tempfile::NamedTempFile;

use crate::wait;

/// The name of both.
const NAME: &str = "lab-no-pods";
const TIMEOUT: Duration = Duration::from_secs(30);

/// Uses up the quota of a namespace: the pods that it has stay, and no other is admitted (`exceeded
/// quota: lab-no-pods`).
///
/// # Errors
/// When the apiserver does not take it.
pub fn exhaust_quota(kubectl: impl Fn(&[&str]) -> Result<String>, namespace: &str) -> Result<()> {
    let hard = json!({ "hard": { "pods": "0" } });
    let quota = json!({
        "apiVersion": "v1", "kind": "ResourceQuota",
        "metadata": { "name": NAME, "namespace": namespace }, "spec": hard,
    });
    apply(&kubectl, &[quota])?;
    // A controller writes this, and where there is none somebody has to: the apiserver goes by it.
    let status = json!({ "status": { "hard": { "pods": "0" }, "used": { "pods": "0" } } }).to_string();
    let patch = ["patch", "resourcequota", NAME, "--namespace", namespace, "--subresource=status"];
    kubectl(&[&patch[..], &["--type=merge", "--patch", &status]].concat()).map(drop)
}

/// Has a policy deny every further pod of a namespace that fits a CEL expression over `object`,
/// such as `true`, with a message. Returns when the policy is in force.
///
/// # Errors
/// When the apiserver does not take it, or a pod that fits is admitted on and on.
pub fn deny_pods(
    kubectl: impl Fn(&[&str]) -> Result<String>,
    namespace: &str,
    expression: &str,
    message: &str,
) -> Result<()> {
    let group = "admissionregistration.k8s.io/v1";
    let name = policy_name(namespace);
    let rule =
        json!({ "apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["pods"] });
    let policy = json!({
        "apiVersion": group, "kind": "ValidatingAdmissionPolicy", "metadata": { "name": name },
        "spec": {
            "failurePolicy": "Fail",
            "matchConstraints": { "resourceRules": [rule] },
            // The pod by which it is seen to be in force has this label.
            "validations": [{
                "expression": format!("!({expression}) && !('lab-probe' in object.metadata.?labels.orValue({{}}))"),
                "message": message,
            }],
        },
    });
    let selector = json!({ "matchLabels": { "kubernetes.io/metadata.name": namespace } });
    let binding = json!({
        "apiVersion": group, "kind": "ValidatingAdmissionPolicyBinding", "metadata": { "name": name },
        "spec": {
            "policyName": name, "validationActions": ["Deny"],
            "matchResources": { "namespaceSelector": selector },
        },
    });
    apply(&kubectl, &[policy, binding])?;
    let probe = file(&[probe(namespace)])?;
    let path = probe.path().to_str().context("a path that is no text")?;
    wait::until("a policy in force", TIMEOUT, || {
        let refusal = kubectl(&["create", "--dry-run=server", "--filename", path]);
        let refusal = refusal.err().map(|error| format!("{error:#}")).unwrap_or_default();
        ensure!(refusal.contains(message), "a pod is admitted, or refused otherwise: {refusal}");
        Ok(())
    })
}

/// Takes both away again.
///
/// # Errors
/// When the apiserver does not answer.
pub fn admit_pods(kubectl: impl Fn(&[&str]) -> Result<String>, namespace: &str) -> Result<()> {
    let name = policy_name(namespace);
    let quota = format!("resourcequota/{NAME}");
    kubectl(&["delete", "--ignore-not-found", &quota, "--namespace", namespace])?;
    let policy = format!("validatingadmissionpolicy/{name}");
    let binding = format!("validatingadmissionpolicybinding/{name}");
    kubectl(&["delete", "--ignore-not-found", &binding, &policy])?;
    Ok(())
}

/// Policies have no namespace.
fn policy_name(namespace: &str) -> String {
    format!("{NAME}-{namespace}")
}

/// Admitted wherever pods are.
fn probe(namespace: &str) -> Value {
    let context = json!({
        "allowPrivilegeEscalation": false, "runAsNonRoot": true, "runAsUser": 1000,
        "capabilities": { "drop": ["ALL"] }, "seccompProfile": { "type": "RuntimeDefault" },
    });
    json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": { "name": NAME, "namespace": namespace, "labels": { "lab-probe": "" } },
        "spec": { "containers": [{ "name": "none", "image": "localhost/none", "securityContext": context }] },
    })
}

fn apply(kubectl: impl Fn(&[&str]) -> Result<String>, objects: &[Value]) -> Result<()> {
    let file = file(objects)?;
    let path = file.path().to_str().context("a path that is no text")?;
    kubectl(&["apply", "--filename", path]).map(drop)
}

fn file(objects: &[Value]) -> Result<NamedTempFile> {
    let mut file = NamedTempFile::new().context("failed to make a file for kubectl")?;
    let list = json!({ "apiVersion": "v1", "kind": "List", "items": objects });
    write!(file, "{list}").context("failed to write a file for kubectl")?;
    Ok(file)
}
