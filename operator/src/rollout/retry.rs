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
mod tests {
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

    use super::*;
    use crate::fixture::now;

    const DEADLINE: Duration = Duration::from_secs(300);

    fn rolled_back(cause: FailureCause, failures: i32, seconds_ago: i64) -> RolloutStatus {
        RolloutStatus {
            state: RolloutState::RolledBack,
            content_hash: Some("h".to_owned()),
            observed_generation: Some(1),
            last_progress_time: Time(Timestamp::from_second(now().as_second() - seconds_ago).unwrap()),
            desired: 3,
            updated: 0,
            ready: 0,
            batch: None,
            retry: Some(RetryStatus { failures, cause, secrets: Some("1".to_owned()) }),
        }
    }

    fn next_of(rollout: &RolloutStatus, keylime_is_well: bool, secrets: &str) -> Next {
        next(
            rollout,
            &Now { keylime_is_well, secrets: Some(secrets), progress_deadline: DEADLINE, time: now() },
        )
    }

    #[test]
    fn keylime_is_waited_for() {
        let soon = rolled_back(FailureCause::Keylime, 1, 10);
        assert_eq!(next_of(&soon, true, "1"), Next::In(Duration::from_secs(20)));
        let late = rolled_back(FailureCause::Keylime, 1, 3000);
        assert_eq!((next_of(&late, false, "1"), next_of(&late, true, "1")), (Next::OnChange, Next::Now));
    }

    #[test]
    fn a_secret_that_changed_is_tried_whatever_the_cause() {
        for cause in [FailureCause::Pods, FailureCause::Keylime, FailureCause::Secret, FailureCause::Cluster]
        {
            assert_eq!(next_of(&rolled_back(cause, 1, 31), false, "2"), Next::Now, "{cause:?}");
            assert_eq!(next_of(&rolled_back(cause, 1, 20), false, "2"), Next::In(Duration::from_secs(10)));
        }
        assert_eq!(next_of(&rolled_back(FailureCause::Pods, 1, 3000), true, "1"), Next::OnChange);
    }

    #[test]
    fn what_nobody_sees_the_end_of_is_tried_less_and_less_often() {
        let pauses = |cause| {
            [1, 2, 3, 9, i32::MAX].map(|failures| {
                match next_of(&rolled_back(cause, failures, 0), true, "1") {
                    Next::In(pause) => pause.as_secs(),
                    other => panic!("{other:?}"),
                }
            })
        };
        assert_eq!(pauses(FailureCause::PodNotCreated), [30, 60, 120, 3600, 3600]);
        assert_eq!(pauses(FailureCause::Keylime), [30, 60, 120, 3600, 3600]);
        assert_eq!(pauses(FailureCause::Cluster), [600, 1200, 2400, 21600, 21600]);
        assert_eq!(pauses(FailureCause::Secret), [600, 1200, 2400, 21600, 21600]);
    }

    #[test]
    fn failures_count_until_it_is_complete_or_another() {
        let back = rolled_back(FailureCause::Cluster, 2, 0);
        let of = |state, hash: &str, generation| RolloutStatus {
            state,
            content_hash: Some(hash.to_owned()),
            observed_generation: Some(generation),
            retry: None,
            ..back.clone()
        };
        let again = kept(Some(&back), &of(RolloutState::Progressing, "h", 1));
        assert_eq!(again, back.retry);
        assert_eq!(failed(again.as_ref(), FailureCause::Pods, None).failures, 3);
        assert_eq!(failed(None, FailureCause::Pods, None).failures, 1);
        for other in [
            of(RolloutState::Complete, "h", 1),
            of(RolloutState::Progressing, "i", 1),
            of(RolloutState::Progressing, "h", 2),
        ] {
            assert_eq!(kept(Some(&back), &other), None, "{other:?}");
        }
    }
}
