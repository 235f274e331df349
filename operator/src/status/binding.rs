//! BindingRequired: whether each attestation proves its Node.

use keylime_attestor_api::conditions::{Reason, binding_required as reason};
use keylime_attestor_api::{Mode, RolloutState};

use super::Facts;
use super::finding::Finding;

/// The condition BindingRequired.
pub(super) fn binding(facts: &Facts<'_>) -> Finding {
    let plain = |reason: Reason| (reason, reason.meaning.to_owned());
    if facts.is_deleted() {
        return plain(reason::WITHDRAWING);
    }
    let Some(desired) = facts.attempt.desired() else { return plain(reason::NOT_APPLIED) };
    let bound = &desired.bound;
    let server = facts.attempt.rollouts().get(&desired.server.key).map(|rollout| rollout.state);
    let runs = desired.mode == Mode::ConfigOnly || server == Some(RolloutState::Complete);
    match bound.reason {
        reason::REQUIRED if !runs => plain(reason::ROLLING_OUT),
        other if bound.detail.is_empty() => plain(other),
        other => (other, format!("{} It is so because {}. {}", other.meaning, bound.detail, other.remedy)),
    }
}
