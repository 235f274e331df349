//! The facts about a Node, about a SPIRE agent's pod, and about an `AttestedNode`: the members that
//! are used.

use std::collections::BTreeMap;
use std::net::IpAddr;

use k8s_openapi::api::core::v1::{Node, Pod, Taint};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ManagedFieldsEntry, ObjectMeta};
use keylime_attestor_api::names::{self, FIELD_MANAGER, annotation, label};
use keylime_attestor_api::{AttestedNodeStatus, NodeMarks};
use kube::ResourceExt as _;
use kube::api::DynamicObject;
use serde_json::Value;

use crate::gather::pods;
use crate::model::pod::is_ready;
use crate::model::target::Owner;

/// The annotation on a pod that a kubelet says it runs by itself.
const MIRROR: &str = "kubernetes.io/config.mirror";

/// The facts about a Node.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct NodeFacts {
    pub(crate) name: String,
    pub(crate) uid: String,
    pub(crate) resource_version: String,
    pub(crate) labels: BTreeMap<String, String>,
    /// The marks on it that are ours.
    pub(crate) marks: NodeMarks,
    /// True where somebody else wrote the label that is one of our marks.
    pub(crate) relabelled: bool,
    pub(crate) system_uuid: String,
    pub(crate) hostnames: Vec<String>,
    pub(crate) addresses: Vec<IpAddr>,
    pub(crate) taints: Vec<Taint>,
}

/// The facts about a pod that runs a SPIRE agent.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct PodFacts {
    pub(crate) uid: String,
    pub(crate) node: String,
    pub(crate) ready: bool,
    /// The reason why it is not ready; empty when it is.
    pub(crate) message: String,
    /// The hash of the overlay that it runs with; [`None`] for one without an overlay of ours.
    pub(crate) hash: Option<String>,
    pub(crate) leaving: bool,
    /// The time of its creation, in Unix seconds: tells the newer of two.
    pub(crate) created: i64,
}

/// The facts about an `AttestedNode`.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct AttestedNodeFacts {
    /// The `KeylimeAttestor` that it belongs to.
    pub(crate) owner: Option<Owner>,
    /// The UID of the Node that owns it.
    pub(crate) node_uid: Option<String>,
    /// The agent ID that an administrator named.
    pub(crate) claim: Option<String>,
    /// [`None`] also when it does not parse.
    pub(crate) status: Option<AttestedNodeStatus>,
}

impl NodeFacts {
    pub(crate) fn read(node: Node) -> Self {
        let taints = node.spec.and_then(|spec| spec.taints).unwrap_or_default();
        let status = node.status.unwrap_or_default();
        let of = |type_: &'static str| {
            let addresses = status.addresses.iter().flatten();
            addresses.filter(move |address| address.type_ == type_).map(|address| address.address.clone())
        };
        Self {
            relabelled: relabelled(&node.metadata),
            marks: marks(&node.metadata, &taints),
            hostnames: of("Hostname").collect(),
            addresses: of("InternalIP").filter_map(|address| address.parse().ok()).collect(),
            system_uuid: status.node_info.map(|info| info.system_uuid).unwrap_or_default(),
            taints,
            name: node.metadata.name.unwrap_or_default(),
            uid: node.metadata.uid.unwrap_or_default(),
            resource_version: node.metadata.resource_version.unwrap_or_default(),
            labels: node.metadata.labels.unwrap_or_default(),
        }
    }
}

impl PodFacts {
    pub(crate) fn read(pod: Pod) -> Self {
        let ready = is_ready(&pod);
        let is_mirror = pod.annotations().contains_key(MIRROR);
        let message =
            if ready { String::new() } else { format!("pod {}: {}", pod.name_any(), pods::state(&pod)) };
        Self {
            uid: pod.uid().unwrap_or_default(),
            ready,
            message,
            hash: pod.annotations().get(annotation::CONTENT_HASH).cloned(),
            leaving: pod.metadata.deletion_timestamp.is_some(),
            created: pod.creation_timestamp().map(|time| time.0.as_second()).unwrap_or_default(),
            // A kubelet may give such a pod any labels: it is no agent of SPIRE's.
            node: pod.spec.filter(|_| !is_mirror).and_then(|spec| spec.node_name).unwrap_or_default(),
        }
    }

    /// True where the agent runs with its former attestor.
    pub(crate) fn is_back(&self) -> bool {
        self.ready && self.hash.is_none() && !self.leaving
    }
}

impl AttestedNodeFacts {
    pub(crate) fn read(object: DynamicObject) -> Self {
        let label = |key: &str| object.labels().get(key).cloned();
        let owner = label(label::ATTESTOR_NAMESPACE).zip(label(label::ATTESTOR_NAME));
        Self {
            owner: owner.map(|(namespace, name)| Owner { namespace, name }),
            node_uid: object
                .owner_references()
                .iter()
                .find(|owner| owner.kind == "Node")
                .map(|owner| owner.uid.clone()),
            claim: object.data.pointer("/spec/agentId").and_then(Value::as_str).map(str::to_owned),
            status: object.data.get("status").and_then(|status| serde_json::from_value(status.clone()).ok()),
        }
    }
}

/// True for our taint.
pub(crate) fn is_our_taint(taint: &Taint) -> bool {
    taint.key == names::TAINT && taint.effect == "NoSchedule"
}

/// The marks on a Node that are ours. Anybody who may write the Node can set its annotations and
/// labels, too: the managed fields tell whose they are.
fn marks(metadata: &ObjectMeta, taints: &[Taint]) -> NodeMarks {
    let own = |map: &str, values: &Option<BTreeMap<String, String>>, key: &str| {
        let value = values.as_ref().and_then(|all| all.get(key)).cloned();
        value.filter(|_| we_own(metadata, map, key))
    };
    NodeMarks {
        spiffe_id: own("annotations", &metadata.annotations, annotation::SPIFFE_ID),
        label: own("labels", &metadata.labels, label::NODE_AGENT_ID),
        tainted: taints.iter().any(is_our_taint),
    }
}

fn relabelled(metadata: &ObjectMeta) -> bool {
    let is_labelled = metadata.labels.as_ref().is_some_and(|all| all.contains_key(label::NODE_AGENT_ID));
    is_labelled && !we_own(metadata, "labels", label::NODE_AGENT_ID)
}

fn we_own(metadata: &ObjectMeta, map: &str, key: &str) -> bool {
    let fields = metadata.managed_fields.as_deref().unwrap_or_default();
    fields.iter().any(|entry| is_ours(entry) && owns(entry, map, key))
}

fn is_ours(entry: &ManagedFieldsEntry) -> bool {
    entry.manager.as_deref() == Some(FIELD_MANAGER)
}

fn owns(entry: &ManagedFieldsEntry, map: &str, key: &str) -> bool {
    let fields = entry.fields_v1.as_ref().map(|fields| &fields.0);
    fields
        .and_then(|fields| fields.get("f:metadata")?.get(format!("f:{map}"))?.get(format!("f:{key}")))
        .is_some()
}

#[cfg(test)]
mod tests;
