//! The labels of the metrics of nodes.

use keylime_attestor_api::{NodeReason, NodeState};
use prometheus_client::encoding::EncodeLabelSet;
use report::Act;

use crate::model::target::Owner;

/// The labels of actions on agents: the action, and its result.
pub(super) const OUTCOMES: [(&str, &str); 7] = [
    ("evict", "done"),
    ("evict", "failed"),
    ("ban", "done"),
    ("ban", "failed"),
    ("reattest", "done"),
    ("reattest", "failed"),
    ("refuse", "done"),
];

pub(super) fn outcome(action: &report::Action) -> (&'static str, &'static str) {
    let act = match action.action {
        Act::Evict => "evict",
        Act::Ban => "ban",
        Act::Reattest => "reattest",
        Act::Refuse => "refuse",
    };
    (act, if action.error.is_some() { "failed" } else { "done" })
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
pub(super) struct Resource {
    pub(super) namespace: String,
    pub(super) name: String,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
pub(super) struct InState {
    pub(super) namespace: String,
    pub(super) name: String,
    pub(super) state: &'static str,
    pub(super) reason: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
pub(super) struct OfNode {
    pub(super) namespace: String,
    pub(super) name: String,
    pub(super) node: String,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
pub(super) struct NodeInState {
    pub(super) namespace: String,
    pub(super) name: String,
    pub(super) node: String,
    pub(super) state: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
pub(super) struct Transition {
    pub(super) namespace: String,
    pub(super) name: String,
    pub(super) reason: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
pub(super) struct Action {
    pub(super) namespace: String,
    pub(super) name: String,
    pub(super) action: &'static str,
    pub(super) outcome: &'static str,
}

pub(super) fn of(owner: &Owner) -> Resource {
    Resource { namespace: owner.namespace.clone(), name: owner.name.clone() }
}

pub(super) fn in_state(owner: &Owner, reason: NodeReason) -> InState {
    let Owner { namespace, name } = owner.clone();
    InState { namespace, name, state: reason.state().as_str(), reason: reason.as_str() }
}

pub(super) fn transition(owner: &Owner, reason: &'static str) -> Transition {
    let Owner { namespace, name } = owner.clone();
    Transition { namespace, name, reason }
}

pub(super) fn enforced(owner: &Owner, (action, outcome): (&'static str, &'static str)) -> Action {
    let Owner { namespace, name } = owner.clone();
    Action { namespace, name, action, outcome }
}

pub(super) fn of_node(owner: &Owner, node: &str) -> OfNode {
    let Owner { namespace, name } = owner.clone();
    OfNode { namespace, name, node: node.to_owned() }
}

pub(super) fn node_in_state(owner: &Owner, node: &str, state: NodeState) -> NodeInState {
    let Owner { namespace, name } = owner.clone();
    NodeInState { namespace, name, node: node.to_owned(), state: state.as_str() }
}
