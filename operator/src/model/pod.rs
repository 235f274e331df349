//! The facts about a pod.

use k8s_openapi::api::core::v1::{Pod, PodCondition, PodSpec, PodStatus};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use keylime_attestor_api::names::annotation;
use kube::ResourceExt as _;

pub(crate) fn is_ready(pod: &Pod) -> bool {
    let conditions = pod.status.as_ref().and_then(|status| status.conditions.as_ref());
    conditions.into_iter().flatten().any(|condition| condition.type_ == "Ready" && condition.status == "True")
}

/// True for a pod that was made with an overlay of ours.
pub(crate) fn carries_overlay(pod: &Pod) -> bool {
    pod.annotations().contains_key(annotation::CONTENT_HASH)
}

/// True for a pod that carries an overlay of ours other than the wanted one, and is not ready.
pub(crate) fn is_stuck(pod: &Pod, wanted: Option<&str>) -> bool {
    let hash = pod.annotations().get(annotation::CONTENT_HASH).map(String::as_str);
    hash.is_some() && hash != wanted && !is_ready(pod) && pod.metadata.deletion_timestamp.is_none()
}

/// The members of a pod that are used, and no others: there may be thousands of pods.
pub(crate) fn slim(pod: Pod) -> Pod {
    let is_ready = |condition: &PodCondition| condition.type_ == "Ready";
    let Pod { metadata, spec, status } = pod;
    let annotations = metadata.annotations.unwrap_or_default();
    let conditions = status.and_then(|status| status.conditions).unwrap_or_default();
    Pod {
        metadata: ObjectMeta {
            name: metadata.name,
            namespace: metadata.namespace,
            uid: metadata.uid,
            deletion_timestamp: metadata.deletion_timestamp,
            annotations: Some(
                annotations.into_iter().filter(|(key, _)| key == annotation::CONTENT_HASH).collect(),
            ),
            ..ObjectMeta::default()
        },
        spec: Some(PodSpec { node_name: spec.and_then(|spec| spec.node_name), ..PodSpec::default() }),
        status: Some(PodStatus {
            conditions: Some(conditions.into_iter().filter(is_ready).collect()),
            ..PodStatus::default()
        }),
    }
}
