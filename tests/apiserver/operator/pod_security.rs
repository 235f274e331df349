//! Pods with our overlay in a namespace that enforces Pod Security `restricted`, as SPIFFE's charts
//! make it for the server.

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};

use super::site::Site;
use super::spire;

const CHART: &str = include_str!("../../../operator/testdata/controller-manager/chart.yaml");

#[tokio::test(flavor = "multi_thread")]
async fn a_pod_that_is_admitted_as_restricted_stays_so_with_the_overlay() -> Result<()> {
    let mut site = Site::start("pod-security").await?;
    let label = "pod-security.kubernetes.io/enforce=restricted";
    site.kubectl(&["label", "namespace", &site.namespace, label])?;
    let user = json!({"runAsUser": 1000, "runAsGroup": 1000});
    let operator = site.operator()?;
    for (pod, container) in [
        // As the charts have it, as others do, and all of it on the pod.
        (json!({"runAsUser": 1000, "runAsGroup": 1000, "fsGroup": 1000}), restricted(&json!({}))),
        (json!({}), restricted(&user)),
        (
            restricted_pod(&user),
            json!({"allowPrivilegeEscalation": false, "capabilities": {"drop": ["ALL"]}}),
        ),
    ] {
        let objects = spire::with_manager(spire::json(&site.namespace), CHART, json!({}))?;
        site.apply(&with_contexts(objects, &pod, &container)?)?;
        ensure!(admitted(&site, "statefulset/spire-server")?, "not even without the overlay: {container}");
        site.attest(json!({}))?;
        site.make_ready()?;
        for workload in ["statefulset/spire-server", "daemonset/spire-agent"] {
            ensure!(site.hash(workload)?.is_some(), "{workload} has no overlay");
            ensure!(admitted(&site, workload)?, "{workload} with the overlay: {container}");
        }
        site.delete()?;
        site.let_go()?;
        site.kubectl(&["delete", "statefulset,daemonset,configmap", "--all"])?;
    }
    operator.stop()
}

/// A container's settings by `restricted`, and more.
fn restricted(more: &Value) -> Value {
    let mut context = restricted_pod(more);
    context["allowPrivilegeEscalation"] = json!(false);
    context["capabilities"] = json!({"drop": ["ALL"]});
    context["readOnlyRootFilesystem"] = json!(true);
    context
}

/// Those of them that a pod can have, and more.
fn restricted_pod(more: &Value) -> Value {
    let mut context = more.clone();
    context["runAsNonRoot"] = json!(true);
    context["seccompProfile"] = json!({"type": "RuntimeDefault"});
    context
}

/// The workloads with these security contexts on their pods and on each of their containers.
fn with_contexts(mut objects: Value, pod: &Value, container: &Value) -> Result<Value> {
    for item in objects["items"].as_array_mut().context("no items")? {
        let Some(spec) = item.pointer_mut("/spec/template/spec") else { continue };
        spec["securityContext"] = pod.clone();
        for spec in spec["containers"].as_array_mut().context("no containers")? {
            spec["securityContext"] = container.clone();
        }
    }
    Ok(objects)
}

/// Tells if the apiserver would admit a pod of the workload.
fn admitted(site: &Site, workload: &str) -> Result<bool> {
    let live = site.get(workload)?;
    let template = live.pointer("/spec/template").cloned().context("no template")?;
    let mut pod = json!({"apiVersion": "v1", "kind": "Pod", "metadata": template["metadata"], "spec": template["spec"]});
    pod["metadata"]["name"] = json!("as-its-controller-makes-it");
    pod["metadata"]["namespace"] = json!(site.namespace);
    Ok(site.apply_with(&pod, &["--dry-run=server"]).is_ok())
}
