//! Writes that the apiserver refuses, and the operator's answer to that.

use anyhow::{Result, ensure};
use lab::wait;
use serde_json::{Value, json};

use super::site::{Site, TIMEOUT};
use super::spire;

/// The policy's text when it refuses.
const OUR_IMAGES_ONLY: &str = "only images of our own registry may be used";

#[tokio::test(flavor = "multi_thread")]
async fn a_field_that_somebody_else_applied_is_not_taken_from_him() -> Result<()> {
    let mut site = Site::start("conflict").await?;
    site.apply_with(&spire::json(&site.namespace), &["--server-side", "--field-manager=owner"])?;
    let theirs = |annotations: Value| {
        json!({"apiVersion": "apps/v1", "kind": "StatefulSet",
            "metadata": {"name": "spire-server", "namespace": site.namespace},
            "spec": {"template": {"metadata": {"annotations": annotations}}}})
    };
    let (set, unset) = (theirs(json!({"spire.keylime.dev/content-hash": "exported"})), theirs(json!({})));
    let as_somebody = ["--server-side", "--field-manager=somebody"];
    site.apply_with(&set, &as_somebody)?;
    site.attest(json!({}))?;
    let operator = site.operator()?;

    let message = site.wait_for("ConfigurationApplied", "FieldConflict")?;
    for part in ["StatefulSet", "spire-server", "content-hash", "\"somebody\""] {
        ensure!(message.contains(part), "{part} is not in {message}");
    }
    ensure!(site.condition("Ready")?.0 == "NotApplied");
    ensure!(site.hash("statefulset/spire-server")?.as_deref() == Some("exported"), "it was taken from him");
    ensure!(site.hash("daemonset/spire-agent")?.is_none(), "the agents were changed without the server");

    site.apply_with(&unset, &as_somebody)?;
    site.make_ready()?;
    operator.stop()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_admission_policy_that_refuses_is_quoted() -> Result<()> {
    let mut site = Site::start("admission").await?;
    site.apply(&spire::json(&site.namespace))?;
    site.apply(&policy(&site.namespace))?;
    let mut foreign =
        spire::workload(&site.namespace, "Deployment", "foreign", &json!([]), "/etc/configuration");
    foreign["spec"]["template"]["spec"]["initContainers"] =
        json!([{"name": "install", "image": "registry.example/foreign:1"}]);
    wait::until("the policy in force", TIMEOUT, || {
        let answer = site.apply_with(&foreign, &["--server-side", "--dry-run=server"]);
        let answer = answer.err().map(|error| error.to_string()).unwrap_or_default();
        ensure!(answer.contains(OUR_IMAGES_ONLY), "the answer is {answer:?}");
        Ok(())
    })?;
    site.attest(json!({}))?;
    let operator = site.operator()?;

    let message = site.wait_for("ConfigurationApplied", "Refused")?;
    for part in ["StatefulSet admission/spire-server", "our-images-only", OUR_IMAGES_ONLY] {
        ensure!(message.contains(part), "{part} is not in {message}");
    }
    ensure!(site.condition("Ready")?.0 == "NotApplied");
    ensure!(site.hash("statefulset/spire-server")?.is_none());

    site.kubectl(&[
        "delete",
        "validatingadmissionpolicybinding,validatingadmissionpolicy",
        "our-images-only",
    ])?;
    site.make_ready()?;
    operator.stop()
}

/// Refuses workloads of one namespace whose init containers have an image of another registry.
fn policy(namespace: &str) -> Value {
    let expression = "!has(object.spec.template.spec.initContainers) || \
        object.spec.template.spec.initContainers.all(c, c.image.startsWith('registry.ours/'))";
    let rule = json!({"apiGroups": ["apps"], "apiVersions": ["v1"], "operations": ["CREATE", "UPDATE"],
        "resources": ["deployments", "statefulsets", "daemonsets"]});
    let group = "admissionregistration.k8s.io/v1";
    json!({"apiVersion": "v1", "kind": "List", "items": [
        {"apiVersion": group, "kind": "ValidatingAdmissionPolicy", "metadata": {"name": "our-images-only"},
            "spec": {"matchConstraints": {"resourceRules": [rule]},
                "validations": [{"expression": expression, "message": OUR_IMAGES_ONLY}]}},
        {"apiVersion": group, "kind": "ValidatingAdmissionPolicyBinding", "metadata": {"name": "our-images-only"},
            "spec": {"policyName": "our-images-only", "validationActions": ["Deny"],
                "matchResources": {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": namespace}}}}},
    ]})
}
