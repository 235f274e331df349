//! The verdict on the verifier's record of a node, before the node is challenged and again after
//! it.

use std::time::Duration;

use crate::{Attestation, NodeState, Refusal};

/// The furthest that a node's last success may lie in the future, for clocks of the verifier and of
/// this machine that differ: 60 seconds.
///
/// A node's age is understated by as much at most. Beyond it the two clocks cannot be compared, so
/// the age is not known, and the node is refused.
pub const CLOCK_TOLERANCE: Duration = Duration::from_secs(60);

/// Accepts a node by the verifier's record: it passes, and has passed not longer than `max_age`
/// ago.
///
/// The age matters because a record stays as it is while the verifier cannot reach the node, and
/// for ever once the verifier has died. `max_age` of `None` turns the check of the age off, also
/// the need for a last success. `now` is in Unix seconds.
///
/// Proves only what the verifier believed at that time; that the node which attests now is the
/// same, the quote proves.
///
/// # Errors
/// The [`Refusal`] of the state or the age.
pub fn judge_state(state: &NodeState, now: u64, max_age: Option<Duration>) -> Result<(), Refusal> {
    let mode = state.mode;
    match state.attestation {
        Attestation::Pass => {}
        Attestation::Fail => return Err(Refusal::NodeFails { mode }),
        Attestation::Unreachable => return Err(Refusal::NodeUnreachable),
        Attestation::Pending => return Err(Refusal::NodePending { mode }),
        Attestation::Timeout => return Err(Refusal::NodeTimedOut),
    }
    match max_age {
        Some(max_age) => judge_age(state, now, max_age),
        None => Ok(()),
    }
}

/// Like [`judge_state`], for the record that is read again after the node's proof.
///
/// # Errors
/// [`Refusal::StateChanged`], which holds the refusal of [`judge_state`].
pub fn judge_state_again(state: &NodeState, now: u64, max_age: Option<Duration>) -> Result<(), Refusal> {
    judge_state(state, now, max_age).map_err(|refusal| Refusal::StateChanged(Box::new(refusal)))
}

fn judge_age(state: &NodeState, now: u64, max_age: Duration) -> Result<(), Refusal> {
    // Keylime writes 0 for a node that has never passed.
    let last_success = state.last_success.filter(|seconds| *seconds != 0).ok_or(Refusal::NeverPassed)?;
    let ahead = Duration::from_secs(last_success.saturating_sub(now));
    if ahead > CLOCK_TOLERANCE {
        return Err(Refusal::LastSuccessInFuture { ahead });
    }
    let age = Duration::from_secs(now.saturating_sub(last_success));
    if age > max_age {
        let interval = state.interval_beyond(Some(max_age));
        return Err(Refusal::Stale { age, max_age, interval });
    }
    Ok(())
}

#[cfg(test)]
mod tests;
