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
mod tests {
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
    use k8s_openapi::jiff::Timestamp;

    use super::*;
    use crate::nodes::assess::tests::passing;

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
            let spire = SpireAgent { observed: true, ..SpireAgent::default() };
            let marks = marks(&node(&[]), spire, NodeReason::Attested, &status);
            assert_eq!((marks.agent_id.as_deref(), marks.label.as_deref()), (Some(agent), label));
            assert_eq!(marks.spiffe_id.as_deref(), Some("spiffe://x"));
        }
    }

    #[test]
    fn what_is_in_doubt_or_claimed_is_not_written_there() {
        let mut status = passing();
        (status.agent_id, status.spiffe_id) = (Some("a".to_owned()), Some("s".to_owned()));
        let spire = SpireAgent { observed: true, ..SpireAgent::default() };
        for reason in [NodeReason::AgentMoved, NodeReason::AmbiguousAgent] {
            assert_eq!(marks(&node(&[]), spire, reason, &status), Marks::default());
        }
        let claimed = NodeFacts { claim: Some("a".to_owned()), ..node(&[]) };
        let marks = marks(&claimed, spire, NodeReason::Attested, &status);
        assert_eq!((marks.agent_id, marks.label.as_deref()), (None, Some("a")));
    }

    /// Whether a node's workloads hang on its agent at Keylime: its pod's overlay and whether it is
    /// ready, what SPIRE has, and what was so.
    fn parent(
        pod: Option<(bool, bool)>,
        observed: bool,
        held: bool,
        was: bool,
        managed: bool,
    ) -> Option<String> {
        let pod = pod.map(|(overlaid, ready)| PodFacts {
            ready,
            hash: overlaid.then(|| "h".to_owned()),
            ..PodFacts::default()
        });
        let mut node = node(&[]);
        node.marks.label = was.then(|| "a".to_owned());
        let mut status = passing();
        status.agent_id = Some("a".to_owned());
        status.spiffe_id = held.then(|| "spiffe://x".to_owned());
        marks(&node, SpireAgent { pod: pod.as_ref(), observed, managed }, NodeReason::Attested, &status).label
    }

    #[test]
    fn workloads_hang_on_their_old_agent_until_the_node_has_attested() {
        for (pod, observed, held, is_parent) in [
            (Some((false, true)), true, false, false),
            // An agent of Keylime that SPIRE remembers, and the old one runs again.
            (Some((false, true)), true, true, false),
            (Some((true, true)), true, false, false),
            (Some((true, true)), true, true, true),
            (Some((true, false)), false, false, false),
            (Some((true, true)), false, false, true),
            (None, false, false, false),
        ] {
            let came = parent(pod, observed, held, false, true);
            assert_eq!(came.is_some(), is_parent, "{pod:?} {observed} {held}");
        }
    }

    #[test]
    fn a_node_that_fails_does_not_get_its_workloads_back_by_its_old_attestor() {
        for pod in [Some((true, false)), Some((true, true)), None] {
            for observed in [true, false] {
                assert!(parent(pod, observed, false, true, true).is_some(), "{pod:?} {observed}");
            }
        }
        // Its old agent was put back.
        assert_eq!(parent(Some((false, true)), true, false, true, true), None);
        // Nobody knows which agent it runs.
        assert_eq!(parent(Some((false, true)), true, false, true, false), None);
        assert_eq!(parent(Some((false, true)), false, false, true, false), None);
    }

    #[test]
    fn a_pod_that_ends_says_nothing_about_the_one_that_follows() {
        let ending = PodFacts { leaving: true, ..PodFacts::default() };
        let spire = SpireAgent { pod: Some(&ending), observed: true, managed: true };
        let mut status = passing();
        (status.agent_id, status.spiffe_id) = (Some("a".to_owned()), Some("s".to_owned()));
        assert_eq!(marks(&node(&[]), spire, NodeReason::Attested, &status).label.as_deref(), Some("a"));
    }

    #[test]
    fn what_keylime_no_longer_knows_keeps_its_parent() {
        let mut node = node(&[]);
        (node.marks.label, node.marks.spiffe_id) = (Some("a".to_owned()), Some("s".to_owned()));
        let mut status = passing();
        (status.agent_id, status.spiffe_id) = (None, None);
        let marks = marks(
            &node,
            SpireAgent { managed: true, ..SpireAgent::default() },
            NodeReason::NotEnrolled,
            &status,
        );
        assert_eq!(
            (marks.label.as_deref(), marks.spiffe_id.as_deref(), marks.agent_id),
            (Some("a"), Some("s"), None)
        );
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
    fn only_who_was_attested_and_lost_it_is_tainted() {
        use NodeState::{Attested, Failing, NotEnrolled, Pending, Unknown};
        let wanted = |asked, state, attested: Option<Time>| {
            wants_taint(asked, &AttestedNodeStatus { state, first_attested: attested, ..passing() })
        };
        let once = || Some(Time(Timestamp::UNIX_EPOCH));
        for state in [Attested, Failing, NotEnrolled, Pending, Unknown] {
            assert_eq!(wanted(false, state, once()), Some(false));
            assert_eq!(wanted(true, state, None), Some(false), "it was never attested");
        }
        assert_eq!(wanted(true, Attested, once()), Some(false));
        for state in [Pending, Unknown] {
            assert_eq!(wanted(true, state, once()), None, "it keeps what it has");
        }
        for state in [Failing, NotEnrolled] {
            assert_eq!(wanted(true, state, once()), Some(true));
        }
    }
}
