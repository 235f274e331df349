use serde_json::json;

use super::*;
use crate::fixture::{merge, now, object, read, reported};

#[test]
fn only_a_rollout_under_way_that_lacks_pods_for_more_than_a_moment_is_asked_about() {
    let lacking = |all: i32| {
        let mut object = object(Kind::StatefulSet, 1, 1);
        merge(&mut object, &json!({"status": {"replicas": all}}));
        read(Kind::StatefulSet, object)
    };
    let rollout = |state, ago| reported(Kind::StatefulSet, state, "h", 1, ago).rollout.unwrap();
    let waits = |state, ago, all| waits(&rollout(state, ago), &lacking(all), now());
    assert!(waits(RolloutState::Progressing, 2, 2));
    assert!(!waits(RolloutState::Progressing, 1, 2) && !waits(RolloutState::Progressing, 2, 3));
    assert!(!waits(RolloutState::Complete, 60, 2) && !waits(RolloutState::RolledBack, 60, 2));
}

#[test]
fn a_deployment_tells_by_its_condition() {
    let of = |status: &str| {
        let mut object = object(Kind::Deployment, 1, 1);
        let condition = json!({"type": "ReplicaFailure", "status": status, "reason": REASON, "message": "exceeded quota"});
        merge(&mut object, &json!({"status": {"conditions": [condition]}}));
        replica_failure(&read(Kind::Deployment, object))
    };
    assert_eq!((of("True"), of("False")), (Some("exceeded quota".to_owned()), None));
}
