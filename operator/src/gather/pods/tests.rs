use serde_json::{Value, json};

use keylime_attestor_api::names::annotation;

use super::*;
use crate::model::pod::is_stuck;

fn pod(hash: Option<&str>, ready: bool, statuses: Value) -> Pod {
    serde_json::from_value(json!({
        "metadata": {"name": "p", "annotations": hash.map(|hash| json!({annotation::CONTENT_HASH: hash}))},
        "status": {
            "conditions": [{"type": "Ready", "status": if ready { "True" } else { "False" }, "reason": "ContainersNotReady", "message": "m"}],
            "containerStatuses": statuses,
        },
    }))
    .unwrap()
}

fn container(state: Value) -> Value {
    json!([{"name": "spire-agent", "image": "x", "imageID": "", "ready": false, "restartCount": 2, "state": state}])
}

#[test]
fn only_pods_of_another_overlay_that_are_not_ready_are_stuck() {
    for (hash, ready, wanted, stuck) in [
        (Some("a"), false, Some("b"), true),
        (Some("a"), false, None, true),
        (Some("a"), false, Some("a"), false),
        (Some("a"), true, Some("b"), false),
        (None, false, Some("b"), false),
        (None, false, None, false),
    ] {
        assert_eq!(is_stuck(&pod(hash, ready, json!([])), wanted), stuck, "{hash:?} {ready} {wanted:?}");
    }
    let mut going = pod(Some("a"), false, json!([]));
    going.metadata.deletion_timestamp = Some(serde_json::from_value(json!("2026-01-01T00:00:00Z")).unwrap());
    assert!(!is_stuck(&going, None));
}

#[test]
fn a_pod_says_what_is_wrong_with_it() {
    for (status, expected) in [
        (
            container(json!({"waiting": {"reason": "CrashLoopBackOff", "message": "back-off 10s"}})),
            "container spire-agent: CrashLoopBackOff: back-off 10s",
        ),
        (
            container(json!({"terminated": {"exitCode": 1, "message": "bad"}})),
            "container spire-agent ended with 1: bad",
        ),
        (container(json!({"waiting": {"reason": "PodInitializing"}})), "ContainersNotReady: m"),
        (container(json!({"running": {}})), "ContainersNotReady: m"),
    ] {
        assert_eq!(state(&pod(None, false, status)), expected);
    }
    assert_eq!(state(&Pod::default()), "it has no status yet");
}

#[test]
fn the_log_is_that_of_the_container_that_ended() {
    let crashed = pod(None, false, container(json!({"waiting": {"reason": "CrashLoopBackOff"}})));
    assert_eq!(failed(&crashed), Some(("spire-agent".to_owned(), true)));
    let ended = pod(None, false, container(json!({"terminated": {"exitCode": 1}})));
    assert_eq!(failed(&ended), Some(("spire-agent".to_owned(), false)));
    let waiting = json!([
        {"name": "proxy", "image": "x", "imageID": "", "ready": true, "restartCount": 0, "state": {"running": {}}},
        {"name": "spire-agent", "image": "x", "imageID": "", "ready": false, "restartCount": 0, "state": {"running": {}}},
    ]);
    assert_eq!(failed(&pod(None, false, waiting)), Some(("spire-agent".to_owned(), false)));
    let starting = json!([{"name": "spire-agent", "image": "x", "imageID": "", "ready": false, "restartCount": 0,
        "state": {"waiting": {"reason": "PodInitializing"}}}]);
    assert_eq!(failed(&pod(None, false, starting)), None);
}

#[test]
fn the_line_is_the_last_error_or_else_the_last() {
    for (log, line) in [
        ("a\nb\n\n", Some("b")),
        ("level=error msg=x\nlevel=error msg=y\nlevel=debug msg=z\n", Some("level=error msg=y")),
        (
            "{\"level\":\"error\",\"msg\":\"y\"}\n{\"level\":\"debug\"}",
            Some("{\"level\":\"error\",\"msg\":\"y\"}"),
        ),
        ("\n", None),
    ] {
        assert_eq!(telling_line(log), line);
    }
}

#[test]
fn what_a_pod_could_not_have_is_told_from_what_it_says_itself() {
    let waiting = |reason: &str| cause(&pod(None, false, container(json!({"waiting": {"reason": reason}}))));
    assert_eq!(waiting("ImagePullBackOff"), FailureCause::Cluster);
    assert_eq!(waiting("CrashLoopBackOff"), FailureCause::Pods);
    let mut unscheduled = pod(None, false, json!([]));
    let conditions = unscheduled.status.as_mut().and_then(|status| status.conditions.as_mut()).unwrap();
    conditions[0].reason = Some("Unschedulable".to_owned());
    assert_eq!(cause(&unscheduled), FailureCause::Cluster);
    let event = |reason: &str, note: &str| {
        let event = Noted { at: Timestamp::UNIX_EPOCH, reason: reason.to_owned(), note: note.to_owned() };
        cause_of_event(&event, FailureCause::Pods)
    };
    assert_eq!(event("FailedMount", "secret \"x\" not found"), FailureCause::Secret);
    assert_eq!(event("FailedMount", "configmap \"x\" not found"), FailureCause::Cluster);
    assert_eq!(event("FailedScheduling", "no nodes"), FailureCause::Cluster);
    assert_eq!(event("Unhealthy", "probe"), FailureCause::Pods);
}
