//! Whether the apiserver would admit SPIRE's pods as they would be: Pod Security, quotas, policies
//! and webhooks have their say on a dry run.

use k8s_openapi::api::core::v1::{Pod, PodTemplateSpec};
use kube::api::{ObjectMeta, PostParams};
use serde_json::{Value, json};

use super::changes::Tried;
use super::finding::{Finding, Subject};
use crate::cluster::Cluster;
use crate::model::target::Desired;
use crate::model::workload::WorkloadKey;

/// A line for each workload: with the change that was tried, otherwise as it is.
pub(super) async fn findings(cluster: &Cluster, desired: &Desired, tried: &[Tried]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for target in desired.targets() {
        let Some(live) = &target.workload else { continue };
        let changed = tried.iter().filter_map(Tried::workload).find(|(key, _)| **key == target.key);
        let whole = changed.map_or(&live.live, |(_, whole)| whole);
        findings.push(match admitted(cluster, &target.key, whole).await {
            Ok(()) => Finding::ok(Subject::Pods, format!("the apiserver admits pods of the {}", target.key)),
            Err(error) => {
                let before = admitted(cluster, &target.key, &live.live).await;
                let since = match before {
                    Ok(()) => "with the plugin, and admits them as they are",
                    Err(_) => "with the plugin, and as they are as well",
                };
                Finding::failure(
                    Subject::Pods,
                    format!("the apiserver refuses pods of the {} {since}: {error}", target.key),
                    "See to what it names: Pod Security by the namespace's labels, a quota, a policy or a webhook.",
                )
            }
        });
    }
    findings
}

/// Tries to make a pod as the workload's controller would.
async fn admitted(cluster: &Cluster, key: &WorkloadKey, workload: &Value) -> Result<(), String> {
    let template = workload.pointer("/spec/template").cloned().unwrap_or_default();
    let template: PodTemplateSpec = serde_json::from_value(template).map_err(|error| error.to_string())?;
    let mut spec = template.spec.unwrap_or_default();
    // The controller of a StatefulSet adds a volume for each claim.
    let claims = workload.pointer("/spec/volumeClaimTemplates").and_then(Value::as_array);
    for claim in claims.into_iter().flatten() {
        let volume = json!({"name": claim.pointer("/metadata/name"), "emptyDir": {}});
        let volume = serde_json::from_value(volume).map_err(|error| error.to_string())?;
        spec.volumes.get_or_insert_default().push(volume);
    }
    let pod = Pod {
        metadata: ObjectMeta {
            generate_name: Some(format!("{}-", key.name)),
            namespace: Some(key.namespace.clone()),
            ..template.metadata.unwrap_or_default()
        },
        spec: Some(spec),
        status: None,
    };
    let params = PostParams { dry_run: true, ..PostParams::default() };
    match cluster.namespaced::<Pod>(&key.namespace).create(&params, &pod).await {
        Ok(_) => Ok(()),
        Err(kube::Error::Api(status)) => Err(status.message),
        Err(error) => Err(error.to_string()),
    }
}
