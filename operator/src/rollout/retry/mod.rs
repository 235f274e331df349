//! The next try of a rollout that was rolled back, by itself. Pure.
//!
//! A change of the resource, of SPIRE's configuration or of the plugin is another rollout, and
//! begins at once. Otherwise the cause of the last failure decides: where its end can be seen, the
//! next try follows it; where it cannot, only a try finds out. Each try costs pods, so the pauses
//! grow.

use std::time::Duration;

use k8s_openapi::jiff::Timestamp;
use keylime_attestor_api::{FailureCause, RetryStatus, RolloutState, RolloutStatus};

use crate::rollout::progress::elapsed;

/// The first pause where a try costs little: the cause has ended, or a failure shows within
/// seconds.
const SHORT: Duration = Duration::from_secs(30);
const SHORT_AT_MOST: Duration = Duration::from_secs(60 * 60);
/// The first pause, in times of `progressDeadline`, where each try may cost a whole one.
const LONG: u32 = 2;
const LONG_AT_MOST: Duration = Duration::from_secs(6 * 60 * 60);

/// The present state of the causes of a failure.
pub(crate) struct Now<'a> {
    /// True where Keylime answers, and passes the nodes of the agents that would change.
    pub(crate) keylime_is_well: bool,
    /// The versions of the Secrets.
    pub(crate) secrets: Option<&'a str>,
    pub(crate) progress_deadline: Duration,
    pub(crate) time: Timestamp,
}

/// The time of the next try.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Next {
    Now,
    In(Duration),
    /// At a change that the operator sees.
    OnChange,
}

pub(crate) fn next(rollout: &RolloutStatus, now: &Now<'_>) -> Next {
    let Some(retry) = &rollout.retry else { return Next::OnChange };
    let secrets_changed =
        retry.secrets.is_some() && now.secrets.is_some() && retry.secrets.as_deref() != now.secrets;
    let pause = match retry.cause {
        _ if secrets_changed => short(retry.failures),
        FailureCause::Keylime if now.keylime_is_well => short(retry.failures),
        FailureCause::PodNotCreated => short(retry.failures),
        FailureCause::Secret | FailureCause::Cluster => {
            grown(now.progress_deadline.saturating_mul(LONG), retry.failures, LONG_AT_MOST)
        }
        FailureCause::Keylime | FailureCause::Pods => return Next::OnChange,
    };
    let left = pause.saturating_sub(elapsed(rollout.last_progress_time.0, now.time));
    if left.is_zero() { Next::Now } else { Next::In(left) }
}

fn short(failures: i32) -> Duration {
    grown(SHORT, failures, SHORT_AT_MOST)
}

fn grown(first: Duration, failures: i32, at_most: Duration) -> Duration {
    let doubled = u32::try_from(failures.saturating_sub(1)).unwrap_or_default();
    first.saturating_mul(2u32.saturating_pow(doubled)).min(at_most.max(first))
}

/// The former failures of a rollout of the same content, until it is complete.
pub(crate) fn kept(previous: Option<&RolloutStatus>, rollout: &RolloutStatus) -> Option<RetryStatus> {
    let previous = previous.filter(|previous| {
        previous.content_hash == rollout.content_hash
            && previous.observed_generation == rollout.observed_generation
            && rollout.state != RolloutState::Complete
    });
    previous?.retry.clone()
}

/// The failures with one more.
pub(crate) fn failed(
    before: Option<&RetryStatus>,
    cause: FailureCause,
    secrets: Option<String>,
) -> RetryStatus {
    let failures = before.map_or(0, |before| before.failures).saturating_add(1);
    RetryStatus { failures, cause, secrets }
}

#[cfg(test)]
mod tests;
