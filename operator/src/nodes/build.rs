//! The objects that should be: an `AttestedNode` for each node, and what is kept on the Node itself. Pure.

use k8s_openapi::api::core::v1::Taint;
use keylime_attestor_api::names::{self, annotation, label};
use keylime_attestor_api::{AttestedNode, AttestedNodeStatus, NodeReason, NodeState};
use kube::Resource as _;
use serde_json::{Map, Value, json};

use super::facts::{KeptFacts, Marks, NodeFacts};
use crate::target::Owner;

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
pub(super) fn is_made(kept: Option<&KeptFacts>, owner: &Owner, node: &NodeFacts) -> bool {
    kept.is_some_and(|kept| kept.owner.as_ref() == Some(owner) && kept.node_uid.as_ref() == Some(&node.uid))
}

/// What should be on a Node. An agent that is in doubt is not written there, nor one that somebody else has written there.
pub(super) fn marks(node: &NodeFacts, reason: NodeReason, status: &AttestedNodeStatus) -> Marks {
    let doubtful = matches!(reason, NodeReason::AmbiguousAgent | NodeReason::AgentMoved);
    let agent = status.agent_id.clone().filter(|_| !doubtful);
    Marks {
        label: agent.clone().filter(|agent| is_label_value(agent)),
        agent_id: agent.filter(|_| node.claim.is_none()),
        spiffe_id: status.spiffe_id.clone().filter(|_| !doubtful),
    }
}

/// What is applied to a Node. With the uid it can never make a Node of the same name anew.
pub(super) fn marked(node: &NodeFacts, marks: &Marks) -> Value {
    let some = |pairs: [(&str, &Option<String>); 2]| -> Map<String, Value> {
        pairs.into_iter().filter_map(|(key, value)| Some((key.to_owned(), json!(value.as_ref()?)))).collect()
    };
    let annotations =
        some([(annotation::AGENT_ID, &marks.agent_id), (annotation::SPIFFE_ID, &marks.spiffe_id)]);
    let labels = some([(label::NODE_AGENT_ID, &marks.label), ("", &None)]);
    json!({
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": node.name, "uid": node.uid, "annotations": annotations, "labels": labels},
    })
}

/// Whether the Node should have our taint; nothing while that cannot be said, so that it keeps what it has.
pub(super) fn wants_taint(asked: bool, state: NodeState) -> Option<bool> {
    match state {
        _ if !asked => Some(false),
        NodeState::Attested => Some(false),
        NodeState::Failing | NodeState::Pending | NodeState::NotEnrolled => Some(true),
        NodeState::Unknown => None,
    }
}

/// The merge patch that sets or removes our taint; nothing when it is so. The API keeps taints as one value, which others write as well: the patch
/// fails when the Node is another than the one that was read.
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
mod tests {
    use super::*;
    use crate::nodes::judge::tests::passing;

    fn node(taints: &[&str]) -> NodeFacts {
        let taint = |key: &&str| Taint {
            key: (*key).to_owned(),
            effect: "NoSchedule".to_owned(),
            ..Taint::default()
        };
        NodeFacts {
            name: "n".to_owned(),
            uid: "u".to_owned(),
            resource_version: "7".to_owned(),
            taints: taints.iter().map(taint).collect(),
            ..NodeFacts::default()
        }
    }

    #[test]
    fn what_is_kept_on_a_node() {
        let long = "x".repeat(64);
        for (agent, label) in [("a-1", Some("a-1")), (&long, None), ("-a", None), ("a_", None)] {
            let mut status = passing();
            (status.agent_id, status.spiffe_id) = (Some(agent.to_owned()), Some("spiffe://x".to_owned()));
            let marks = marks(&node(&[]), NodeReason::Attested, &status);
            assert_eq!((marks.agent_id.as_deref(), marks.label.as_deref()), (Some(agent), label));
            assert_eq!(marks.spiffe_id.as_deref(), Some("spiffe://x"));
        }
    }

    #[test]
    fn what_is_in_doubt_or_claimed_is_not_written_there() {
        let mut status = passing();
        (status.agent_id, status.spiffe_id) = (Some("a".to_owned()), Some("s".to_owned()));
        for reason in [NodeReason::AgentMoved, NodeReason::AmbiguousAgent] {
            assert_eq!(marks(&node(&[]), reason, &status), Marks::default());
        }
        let claimed = NodeFacts { claim: Some("a".to_owned()), ..node(&[]) };
        let marks = marks(&claimed, NodeReason::Attested, &status);
        assert_eq!((marks.agent_id, marks.label.as_deref()), (None, Some("a")));
    }

    #[test]
    fn taints_of_others_stay() {
        let after = |taints: &[&str], wanted: bool| {
            let patch = taint_patch(&node(taints), Some(wanted))?;
            assert_eq!(patch.pointer("/metadata/resourceVersion"), Some(&json!("7")));
            let keys = patch.pointer("/spec/taints").and_then(Value::as_array).unwrap().iter();
            Some(keys.map(|taint| taint["key"].as_str().unwrap().to_owned()).collect::<Vec<_>>())
        };
        assert_eq!(after(&["other"], true), Some(vec!["other".to_owned(), names::TAINT.to_owned()]));
        assert_eq!(after(&["other", names::TAINT], false), Some(vec!["other".to_owned()]));
        assert_eq!((after(&["other"], false), after(&[names::TAINT], true)), (None, None));
        assert_eq!(taint_patch(&node(&[names::TAINT]), None), None);
    }

    #[test]
    fn an_unknown_state_changes_no_taint() {
        assert_eq!(wants_taint(true, NodeState::Unknown), None);
        assert_eq!(wants_taint(false, NodeState::Unknown), Some(false));
        assert_eq!(wants_taint(true, NodeState::Attested), Some(false));
        for state in [NodeState::Failing, NodeState::Pending, NodeState::NotEnrolled] {
            assert_eq!(wants_taint(true, state), Some(true));
        }
    }
}
