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
    next(rollout, &Now { keylime_is_well, secrets: Some(secrets), progress_deadline: DEADLINE, time: now() })
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
    for cause in [FailureCause::Pods, FailureCause::Keylime, FailureCause::Secret, FailureCause::Cluster] {
        assert_eq!(next_of(&rolled_back(cause, 1, 31), false, "2"), Next::Now, "{cause:?}");
        assert_eq!(next_of(&rolled_back(cause, 1, 20), false, "2"), Next::In(Duration::from_secs(10)));
    }
    assert_eq!(next_of(&rolled_back(FailureCause::Pods, 1, 3000), true, "1"), Next::OnChange);
}

#[test]
fn what_nobody_sees_the_end_of_is_tried_less_and_less_often() {
    let pauses = |cause| {
        [1, 2, 3, 9, i32::MAX].map(|failures| match next_of(&rolled_back(cause, failures, 0), true, "1") {
            Next::In(pause) => pause.as_secs(),
            other => panic!("{other:?}"),
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
