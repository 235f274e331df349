//! The desired objects: an `AttestedNode` for each node, and the annotation, label and taint on the
//! Node itself. Pure.

use k8s_openapi::api::core::v1::Taint;
use keylime_attestor_api::names::{self, annotation, label};
use keylime_attestor_api::{AttestedNode, AttestedNodeStatus, NodeMarks, NodeReason, NodeState};
use kube::Resource as _;
use serde_json::{Map, Value, json};

use super::facts::{AttestedNodeFacts, NodeFacts, PodFacts, is_our_taint};
use crate::model::target::Owner;

/// The longest value of a label, in bytes.
const MAX_LABEL: usize = 63;

/// The `AttestedNode` without its status.
pub(super) fn attested_node(owner: &Owner, node: &NodeFacts) -> Value {
    json!({
        "apiVersion": AttestedNode::api_version(&()),
        "kind": AttestedNode::kind(&()),
        "metadata": {
            "name": node.name,
            "labels": {
                label::MANAGED_BY: names::FIELD_MANAGER,
                label::ATTESTOR_NAME: owner.name,
                label::ATTESTOR_NAMESPACE: owner.namespace,
            },
            "ownerReferences": [{"apiVersion": "v1", "kind": "Node", "name": node.name, "uid": node.uid}],
        },
    })
}

/// The status of an `AttestedNode`, to be applied to the subresource.
pub(super) fn status(node: &str, status: &AttestedNodeStatus) -> Value {
    json!({
        "apiVersion": AttestedNode::api_version(&()),
        "kind": AttestedNode::kind(&()),
        "metadata": {"name": node},
        "status": status,
    })
}

/// True where an `AttestedNode` is that of an earlier Node of the name, with what was said of it.
pub(super) fn is_outlived(attested_node: Option<&AttestedNodeFacts>, node: &NodeFacts) -> bool {
    let uid = attested_node.and_then(|attested_node| attested_node.node_uid.as_ref());
    uid.is_some_and(|uid| *uid != node.uid)
}

/// True where an `AttestedNode` exists and belongs to this resource and this Node.
pub(super) fn is_made(attested_node: Option<&AttestedNodeFacts>, owner: &Owner, node: &NodeFacts) -> bool {
    attested_node.is_some_and(|attested_node| {
        attested_node.owner.as_ref() == Some(owner) && attested_node.node_uid.as_ref() == Some(&node.uid)
    })
}

/// The facts about a node's SPIRE agent, other than its state.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct SpireAgent<'a> {
    pub(super) pod: Option<&'a PodFacts>,
    /// True where SPIRE's server pods should report which agents SPIRE has.
    pub(super) observed: bool,
    /// True where the agents' pods carry an overlay of ours, so that one without it has its former
    /// attestor.
    pub(super) managed: bool,
}

/// The desired marks on a Node, after those of before. An agent that is in doubt is not written
/// there.
///
/// Label and SPIFFE ID make the agent at Keylime the parent of the node's workloads. They are set
/// when the node has attested by it, not before: until then its workloads have their former parent.
/// They stay when the node fails: otherwise a node that Keylime fails would get its workloads back
/// by its former attestor.
pub(super) fn marks(
    before: &NodeMarks,
    spire: SpireAgent<'_>,
    reason: NodeReason,
    status: &AttestedNodeStatus,
    taint: bool,
) -> NodeMarks {
    let doubtful = matches!(reason, NodeReason::AmbiguousAgent | NodeReason::AgentMoved);
    let agent = status.agent_id.clone().filter(|_| !doubtful);
    let label = match agent {
        Some(agent) => Some(agent).filter(|agent| is_label_value(agent)),
        None => before.label.clone(),
    };
    let spiffe_id = status.spiffe_id.clone().filter(|_| !doubtful).or_else(|| before.spiffe_id.clone());
    let is_parent = is_parent(before, spire, status);
    NodeMarks {
        label: label.filter(|_| is_parent),
        spiffe_id: spiffe_id.filter(|_| is_parent),
        tainted: wants_taint(taint, status, before.tainted),
    }
}

/// True where a node's agent at Keylime is the parent of its workloads.
fn is_parent(before: &NodeMarks, spire: SpireAgent<'_>, status: &AttestedNodeStatus) -> bool {
    let pod = spire.pod.filter(|pod| !pod.leaving);
    if spire.managed && pod.is_some_and(|pod| pod.hash.is_none()) {
        return false;
    }
    let attested = match spire.observed {
        true => status.spiffe_id.is_some(),
        false => pod.is_some_and(|pod| pod.ready && pod.hash.is_some()),
    };
    let was = before.label.is_some() || before.spiffe_id.is_some();
    attested || was && spire.managed
}

/// The apply of the annotation and the label to a Node. With the UID it can never create a Node of
/// the same name.
pub(super) fn marked(node: &NodeFacts, marks: &NodeMarks) -> Value {
    let mut metadata =
        Map::from_iter([("name".to_owned(), json!(node.name)), ("uid".to_owned(), json!(node.uid))]);
    // With an empty map the apiserver would go on to list us among the Node's managers.
    for (map, key, value) in [
        ("annotations", annotation::SPIFFE_ID, &marks.spiffe_id),
        ("labels", label::NODE_AGENT_ID, &marks.label),
    ] {
        if let Some(value) = value {
            metadata.insert(map.to_owned(), json!({key: value}));
        }
    }
    json!({"apiVersion": "v1", "kind": "Node", "metadata": metadata})
}

/// True where the Node should have our taint: as before, while that is not known.
///
/// Only a node that was attested and then lost it is tainted: one that is still to be moved, or to
/// be enrolled, goes on as before. Silence taints no node: else flooding a node's port would take
/// the node out of the cluster.
fn wants_taint(asked: bool, status: &AttestedNodeStatus, before: bool) -> bool {
    match status.state {
        _ if !asked || status.first_attested.is_none() => false,
        NodeState::Attested => false,
        NodeState::Failing | NodeState::NotEnrolled => true,
        NodeState::Pending | NodeState::Unknown => before,
    }
}

/// The merge patch that sets or removes our taint; [`None`] when there is nothing to change. The
/// API keeps taints as one value, which others write as well: the resourceVersion makes the patch
/// fail when the Node has changed since it was read.
pub(super) fn taint_patch(node: &NodeFacts, wanted: bool) -> Option<Value> {
    if wanted == node.taints.iter().any(is_our_taint) {
        return None;
    }
    let mut taints: Vec<Taint> = node.taints.iter().filter(|taint| !is_our_taint(taint)).cloned().collect();
    if wanted {
        taints.push(Taint {
            key: names::TAINT.to_owned(),
            effect: "NoSchedule".to_owned(),
            ..Taint::default()
        });
    }
    Some(json!({
        "metadata": {"uid": node.uid, "resourceVersion": node.resource_version},
        "spec": {"taints": taints},
    }))
}

fn is_label_value(text: &str) -> bool {
    let at_ends = |c: char| c.is_ascii_alphanumeric();
    text.len() <= MAX_LABEL && text.starts_with(at_ends) && text.ends_with(at_ends)
}

#[cfg(test)]
mod tests;
