//! A workload of SPIRE as the cluster has it, whatever its kind.

mod kinds;

use std::collections::BTreeMap;
use std::fmt;

use k8s_openapi::api::core::v1::{Container, PodSpec, PodTemplateSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, ManagedFieldsEntry, ObjectMeta};
use keylime_attestor_api::names;
use kube::api::DynamicObject;
use serde_json::{Value, json};

pub(crate) use kinds::Kind;
use kinds::{Parts, daemon_set, deployment, read, stateful_set};

/// The identity of a workload.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct WorkloadKey {
    pub(crate) kind: Kind,
    pub(crate) namespace: String,
    pub(crate) name: String,
}

/// A workload that exists.
#[derive(Clone, Debug)]
pub(crate) struct Workload {
    pub(crate) key: WorkloadKey,
    pub(crate) uid: String,
    /// True for one that is being deleted.
    pub(crate) deleting: bool,
    /// The object as it came, to compare with what should be in it.
    pub(crate) live: Value,
    pub(crate) template: PodTemplateSpec,
    pub(crate) selector: LabelSelector,
    pub(crate) pods: PodCounts,
    /// The setting of its own that keeps its pods from being replaced.
    pub(crate) held: Option<&'static str>,
    /// True where the apiserver counts fields of it as ours.
    pub(crate) managed: bool,
    /// The managed fields.
    pub(crate) fields: Vec<ManagedFieldsEntry>,
    /// The field manager, other than us, that wrote last.
    pub(crate) last_writer: Option<String>,
}

/// The counts of pods, by the workload's controller.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct PodCounts {
    /// Pods that should run.
    pub(crate) desired: i32,
    /// Pods of the present template.
    pub(crate) updated: i32,
    /// Pods of the present template that are ready, as far as the counts tell: those of older
    /// templates are taken as ready.
    pub(crate) ready: i32,
    /// Pods of any template that are available.
    pub(crate) available: i32,
    /// Pods that should run and do not exist.
    pub(crate) missing: i32,
    /// True where all pods that should run are of the present template and are available.
    pub(crate) complete: bool,
}

/// An object of another kind than the one asked for.
#[derive(Debug, thiserror::Error)]
#[error("failed to read the {key}: {error}")]
pub(crate) struct UnreadableWorkload {
    key: WorkloadKey,
    error: serde_json::Error,
}

impl fmt::Display for WorkloadKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}/{}", self.kind.as_str(), self.namespace, self.name)
    }
}

impl Workload {
    /// Reads an object that the API gave for this kind.
    pub(crate) fn read(kind: Kind, object: DynamicObject) -> Result<Self, UnreadableWorkload> {
        let metadata = object.metadata.clone();
        let key = WorkloadKey {
            kind,
            namespace: metadata.namespace.clone().unwrap_or_default(),
            name: metadata.name.clone().unwrap_or_default(),
        };
        let parts = || -> Result<(Value, Parts), serde_json::Error> {
            let live = serde_json::to_value(object)?;
            let parts = match kind {
                Kind::DaemonSet => daemon_set(read(&live)?),
                Kind::Deployment => deployment(read(&live)?),
                Kind::StatefulSet => stateful_set(read(&live)?),
            };
            Ok((live, parts))
        };
        match parts() {
            Ok((live, parts)) => Ok(Self::new(key, metadata, live, parts)),
            Err(error) => Err(UnreadableWorkload { key, error }),
        }
    }

    fn new(key: WorkloadKey, metadata: ObjectMeta, live: Value, parts: Parts) -> Self {
        let Parts { template, selector, pods, held } = parts;
        let fields = metadata.managed_fields.as_deref().unwrap_or_default();
        Self {
            uid: metadata.uid.clone().unwrap_or_default(),
            deleting: metadata.deletion_timestamp.is_some(),
            live,
            template,
            selector,
            pods,
            held,
            managed: fields.iter().any(is_ours),
            last_writer: last_writer(fields),
            fields: fields.to_vec(),
            key,
        }
    }

    /// True where the apiserver counts the command of a container as ours.
    pub(crate) fn owns_command(&self, container: &str) -> bool {
        let command =
            format!("/f:spec/f:template/f:spec/f:containers/k:{}/f:command", json!({"name": container}));
        self.owns(&command)
    }

    /// True where the apiserver counts a field as ours; `field` is written as in the managed
    /// fields.
    fn owns(&self, field: &str) -> bool {
        self.fields
            .iter()
            .filter(|entry| is_ours(entry))
            .any(|entry| entry.fields_v1.as_ref().is_some_and(|fields| fields.0.pointer(field).is_some()))
    }

    /// The pod template's own part about pods.
    pub(crate) fn pod_spec(&self) -> Option<&PodSpec> {
        self.template.spec.as_ref()
    }

    pub(crate) fn containers(&self) -> &[Container] {
        self.pod_spec().map(|spec| spec.containers.as_slice()).unwrap_or_default()
    }
}

/// The field manager, other than us, that wrote last, be it by apply or by update. Status is
/// written by controllers and does not count.
pub(crate) fn last_writer(fields: &[ManagedFieldsEntry]) -> Option<String> {
    fields
        .iter()
        .filter(|entry| entry.subresource.is_none() && entry.manager.as_deref() != Some(names::FIELD_MANAGER))
        .max_by_key(|entry| entry.time.as_ref().map(|time| time.0))
        .and_then(|entry| entry.manager.clone())
}

pub(crate) fn is_ours(entry: &ManagedFieldsEntry) -> bool {
    entry.manager.as_deref() == Some(names::FIELD_MANAGER)
        && entry.operation.as_deref() == Some("Apply")
        && entry.subresource.is_none()
}

/// The labels by which people find the objects of a resource.
pub(crate) fn owner_labels(namespace: &str, name: &str) -> BTreeMap<String, String> {
    BTreeMap::from([
        (names::label::MANAGED_BY.to_owned(), names::FIELD_MANAGER.to_owned()),
        (names::label::ATTESTOR_NAME.to_owned(), name.to_owned()),
        (names::label::ATTESTOR_NAMESPACE.to_owned(), namespace.to_owned()),
    ])
}

#[cfg(test)]
mod tests;
