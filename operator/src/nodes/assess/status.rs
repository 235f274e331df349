//! The status that comes of an assessment.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use k8s_openapi::jiff::Timestamp;
use keylime_attestor_api::node_reason::{keylime as keylime_reason, node_condition as condition};
use keylime_attestor_api::{AttestedNodeStatus, NodeReason, NodeState};

use super::inputs::{Rules, Seen};
use super::of_keylime::Keylime;

pub(super) fn status(
    rules: &Rules<'_>,
    seen: &Seen<'_>,
    keylime: Keylime,
    spiffe_id: Option<String>,
    identity: (&'static str, &'static str, String),
    reason: NodeReason,
    message: String,
) -> AttestedNodeStatus {
    let state = reason.state();
    let now = Time(rules.now);
    let attested = match state {
        NodeState::Attested => "True",
        NodeState::Failing | NodeState::Pending | NodeState::NotEnrolled => "False",
        NodeState::Unknown => "Unknown",
    };
    let (healthy, word) = match keylime.reason.state() {
        NodeState::Attested => ("True", keylime_reason::PASSED),
        NodeState::Unknown => ("Unknown", keylime.reason.as_str()),
        _ => ("False", keylime.reason.as_str()),
    };
    let conditions = [
        (condition::ATTESTED, attested, reason.as_str(), message.clone()),
        (condition::KEYLIME_HEALTHY, healthy, word, keylime.message),
        (condition::IDENTITY_ISSUED, identity.0, identity.1, identity.2),
    ];
    let previous = seen.previous;
    let is_held = spiffe_id.is_some();
    let (agent, by) = keylime.agent.unzip();
    let mut status = AttestedNodeStatus {
        agent_id: agent.map(|agent| agent.as_str().to_owned()),
        matched_by: by,
        binding: seen.binding.cloned(),
        verifier: keylime.verifier.map(|verifier| verifier.to_string()),
        spiffe_id,
        state,
        reason: reason.as_str().to_owned(),
        message,
        since: previous.filter(|last| last.state == state).map_or(now.clone(), |last| last.since.clone()),
        last_success: previous.and_then(|last| last.last_success.clone()),
        first_attested: first_attested(seen, state, is_held, &now),
        reattested_pod: previous.and_then(|last| last.reattested_pod.clone()),
        conflict: seen.conflict.map(|conflict| conflict.text.clone()),
        marks: previous.map(|last| last.marks.clone()).unwrap_or_default(),
        selector: rules.selector.map(str::to_owned),
        conditions: conditions.into_iter().map(|found| build(found, previous, &now)).collect(),
    };
    // A newer success alone is not written: else every poll would be a write to every node.
    if previous != Some(&status) {
        let seconds = keylime.last_success.and_then(|seconds| i64::try_from(seconds).ok());
        status.last_success = seconds.and_then(|seconds| Timestamp::from_second(seconds).ok()).map(Time);
    }
    status
}

/// A node that Keylime passes and that no rollout has reached has nothing to lose yet. `is_held` is
/// true where SPIRE holds its agent by our attestor.
fn first_attested(seen: &Seen<'_>, state: NodeState, is_held: bool, now: &Time) -> Option<Time> {
    let is_reached = is_held || seen.pod.is_some_and(|pod| pod.hash.is_some());
    let before = seen.previous.and_then(|last| last.first_attested.clone());
    before.or_else(|| (state == NodeState::Attested && is_reached).then(|| now.clone()))
}

fn build(
    (type_, status, reason, message): (&str, &str, &str, String),
    previous: Option<&AttestedNodeStatus>,
    now: &Time,
) -> Condition {
    let last = previous.and_then(|last| last.conditions.iter().find(|condition| condition.type_ == type_));
    let since = last.filter(|last| last.status == status).map_or(now, |last| &last.last_transition_time);
    Condition {
        type_: type_.to_owned(),
        status: status.to_owned(),
        reason: reason.to_owned(),
        message,
        observed_generation: None,
        last_transition_time: since.clone(),
    }
}
