//! The objects that should be: an `AttestedNode` for each node, and what is kept on the Node
//! itself. Pure.

use k8s_openapi::api::core::v1::Taint;
use keylime_attestor_api::names::{self, annotation, label};
use keylime_attestor_api::{AttestedNode, AttestedNodeStatus, NodeReason, NodeState};
use kube::Resource as _;
use serde_json::{Map, Value, json};

use super::facts::{AttestedNodeFacts, Marks, NodeFacts, PodFacts};
use crate::model::target::Owner;

/// Longest value of a label.
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

/// Its status, to be applied to the subresource.
pub(super) fn status(node: &str, status: &AttestedNodeStatus) -> Value {
    json!({
        "apiVersion": AttestedNode::api_version(&()),
        "kind": AttestedNode::kind(&()),
        "metadata": {"name": node},
        "status": status,
    })
}

/// Whether an `AttestedNode` is there and belongs to this resource and this Node.
pub(super) fn is_made(attested_node: Option<&AttestedNodeFacts>, owner: &Owner, node: &NodeFacts) -> bool {
    attested_node.is_some_and(|attested_node| {
        attested_node.owner.as_ref() == Some(owner) && attested_node.node_uid.as_ref() == Some(&node.uid)
    })
}

/// What is known of a node's SPIRE agent, other than its state.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct SpireAgent<'a> {
    pub(super) pod: Option<&'a PodFacts>,
    /// SPIRE's server pods should report which agents SPIRE has.
    pub(super) observed: bool,
    /// The agents' pods carry an overlay of ours, so that one without it has its old attestor.
    pub(super) managed: bool,
}

/// What should be on a Node. An agent that is in doubt is not written there, nor one that somebody
/// else has written there.
///
/// Label and SPIFFE ID make the agent at Keylime the parent of the node's workloads. They come when
/// the node has attested by it, not before: until then its workloads hang on its old agent. They
/// stay when it fails: otherwise a node that Keylime fails would get its workloads back by its old
/// attestor.
pub(super) fn marks(
    node: &NodeFacts,
    spire: SpireAgent<'_>,
    reason: NodeReason,
    status: &AttestedNodeStatus,
) -> Marks {
    let doubtful = matches!(reason, NodeReason::AmbiguousAgent | NodeReason::AgentMoved);
    let agent = status.agent_id.clone().filter(|_| !doubtful);
    let before = node.marks.clone();
    let label = match &agent {
        Some(agent) => Some(agent.clone()).filter(|agent| is_label_value(agent)),
        None => before.label,
    };
    let spiffe_id = status.spiffe_id.clone().filter(|_| !doubtful).or(before.spiffe_id);
    let is_parent = is_parent(node, spire, status);
    Marks {
        label: label.filter(|_| is_parent),
        spiffe_id: spiffe_id.filter(|_| is_parent),
        agent_id: agent.filter(|_| node.claim.is_none()),
    }
}

/// Whether a node's workloads hang on its agent at Keylime.
fn is_parent(node: &NodeFacts, spire: SpireAgent<'_>, status: &AttestedNodeStatus) -> bool {
    let pod = spire.pod.filter(|pod| !pod.leaving);
    if spire.managed && pod.is_some_and(|pod| pod.hash.is_none()) {
        return false;
    }
    let attested = match spire.observed {
        true => status.spiffe_id.is_some(),
        false => pod.is_some_and(|pod| pod.ready && pod.hash.is_some()),
    };
    let was = node.marks.label.is_some() || node.marks.spiffe_id.is_some();
    attested || was && spire.managed
}

/// What is applied to a Node. With the uid it can never make a Node of the same name anew.
pub(super) fn marked(node: &NodeFacts, marks: &Marks) -> Value {
    let some = |pairs: [(&str, &Option<String>); 2]| -> Map<String, Value> {
        pairs.into_iter().filter_map(|(key, value)| Some((key.to_owned(), json!(value.as_ref()?)))).collect()
    };
    let annotations =
        some([(annotation::AGENT_ID, &marks.agent_id), (annotation::SPIFFE_ID, &marks.spiffe_id)]);
    let labels = some([(label::NODE_AGENT_ID, &marks.label), ("", &None)]);
    let mut metadata =
        Map::from_iter([("name".to_owned(), json!(node.name)), ("uid".to_owned(), json!(node.uid))]);
    // With an empty map the apiserver would go on to list us among the Node's managers.
    for (name, values) in [("annotations", annotations), ("labels", labels)] {
        if !values.is_empty() {
            metadata.insert(name.to_owned(), Value::Object(values));
        }
    }
    json!({"apiVersion": "v1", "kind": "Node", "metadata": metadata})
}

/// Whether the Node should have our taint; nothing while that cannot be said, so that it keeps what
/// it has.
///
/// Only who was attested and then lost it has something to lose: a node that is still to be moved,
/// or to be enrolled, goes on as before. Silence taints nobody, or whoever floods a node's port
/// would take the node out of the cluster.
pub(super) fn wants_taint(asked: bool, status: &AttestedNodeStatus) -> Option<bool> {
    match status.state {
        _ if !asked || status.first_attested.is_none() => Some(false),
        NodeState::Attested => Some(false),
        NodeState::Failing | NodeState::NotEnrolled => Some(true),
        NodeState::Pending | NodeState::Unknown => None,
    }
}

/// The merge patch that sets or removes our taint; nothing when it is so. The API keeps taints as
/// one value, which others write as well: the patch fails when the Node is another than the one
/// that was read.
pub(super) fn taint_patch(node: &NodeFacts, wanted: Option<bool>) -> Option<Value> {
    let is_ours = |taint: &Taint| taint.key == names::TAINT && taint.effect == "NoSchedule";
    if wanted? == node.taints.iter().any(is_ours) {
        return None;
    }
    let mut taints: Vec<Taint> = node.taints.iter().filter(|taint| !is_ours(taint)).cloned().collect();
    if wanted? {
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
