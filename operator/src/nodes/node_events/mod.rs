//! Events about nodes: changes of state, on the `AttestedNode` and on the Node, with a reason for
//! the user. Pure but for the publishing.

use k8s_openapi::api::core::v1::ObjectReference;
use keylime_attestor_api::names::{event, label};
use keylime_attestor_api::{AttestedNode, AttestedNodeStatus, NodeReason, NodeState};
use kube::Resource as _;
use kube::runtime::events::{Event, EventType};

use super::matching::Conflict;
use crate::events::{self, Events};

/// An event about a node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct NodeEvent {
    pub(super) reason: &'static str,
    pub(super) note: String,
    pub(super) bad: bool,
}

/// The events of a node's new state.
pub(super) fn of(
    previous: Option<&AttestedNodeStatus>,
    reason: NodeReason,
    healthy: bool,
    status: &AttestedNodeStatus,
) -> Vec<NodeEvent> {
    let mut events = Vec::new();
    let failed = previous.is_some_and(|previous| previous.state == NodeState::Failing);
    if failed && healthy {
        let note = "Keylime passes the node again.".to_owned();
        events.push(NodeEvent { reason: event::RECOVERED, note, bad: false });
    }
    let first = previous.is_none();
    let changed = previous.is_none_or(|previous| previous.reason != reason.as_str());
    // A new node that passes or is on its way is no news, and for one that passes again the event
    // is above.
    let calm = match reason {
        NodeReason::Attested => first || failed,
        NodeReason::KeylimeAttestationPending
        | NodeReason::IdentityNotIssued
        | NodeReason::KeylimeUnreachable
        | NodeReason::IdentityUnknown => first,
        _ => false,
    };
    if changed && !calm {
        // No warning for an agent that is not ready: that is so in every rollout, and the kubelet
        // warns when it stays so.
        let bad = !matches!(
            reason,
            NodeReason::Attested
                | NodeReason::KeylimeAttestationPending
                | NodeReason::IdentityNotIssued
                | NodeReason::SpireAgentNotReady
        );
        events.push(NodeEvent { reason: reason.as_str(), note: status.message.clone(), bad });
    }
    events
}

/// The event of a conflict that is new.
pub(super) fn of_conflict(
    previous: Option<&AttestedNodeStatus>,
    conflict: Option<Conflict>,
) -> Option<NodeEvent> {
    let Conflict { reason, text } = conflict?;
    let is_known = previous.is_some_and(|previous| previous.conflict.as_ref() == Some(&text));
    (!is_known).then_some(NodeEvent { reason, note: text, bad: true })
}

/// The event of a label that somebody else wrote, and that is right again.
pub(super) fn of_label() -> NodeEvent {
    let note = format!(
        "Somebody other than the operator wrote the label {}; it is right again. If it was the node's kubelet, the apiserver runs without the \
         admission plugin NodeRestriction: turn it on.",
        label::NODE_AGENT_ID
    );
    NodeEvent { reason: event::LABEL_CORRECTED, note, bad: true }
}

/// Publishes the events on both objects.
pub(super) async fn publish(recorder: &Events, node: &str, uid: &str, events: &[NodeEvent]) {
    for NodeEvent { reason, note, bad } in events {
        let kind = if *bad { EventType::Warning } else { EventType::Normal };
        let event: Event = events::event(kind, reason, "Poll", note.clone());
        let reference = |api_version: &str, kind: &str, uid: Option<&str>| ObjectReference {
            api_version: Some(api_version.to_owned()),
            kind: Some(kind.to_owned()),
            name: Some(node.to_owned()),
            uid: uid.map(str::to_owned),
            ..ObjectReference::default()
        };
        let attested = reference(&AttestedNode::api_version(&()), &AttestedNode::kind(&()), None);
        recorder.tell(&attested, &event).await;
        recorder.tell(&reference("v1", "Node", Some(uid)), &event).await;
    }
}

#[cfg(test)]
mod tests;
