use serde_json::json;

use super::*;
use crate::nodes::spire::tests::reported;

fn reports(started: u64, sequences: &[u64]) -> Vec<Reported> {
    let mut reported = reported(&json!([]), Some(1));
    reported.report.plugin_started = started;
    let action = |sequence: &u64| {
        let action = json!({"sequence": sequence, "time": 1, "agent_id": "x", "spiffe_id": "s", "action": "evict", "reason": "r"});
        serde_json::from_value(action).unwrap()
    };
    reported.report.actions = sequences.iter().map(action).collect();
    vec![reported]
}

fn sequences(told: &mut Told, reports: &[Reported]) -> Vec<u64> {
    untold(told, reports, None).into_iter().map(|untold| untold.action.sequence).collect()
}

#[test]
fn each_action_is_told_once() {
    let mut told = Told::new();
    assert_eq!(sequences(&mut told, &reports(10, &[1, 2])), [1, 2]);
    assert_eq!(sequences(&mut told, &reports(10, &[1, 2, 3])), [3]);
    assert_eq!(sequences(&mut told, &reports(10, &[])), [0u64; 0]);
    assert_eq!(sequences(&mut told, &[]), [0u64; 0]);
    assert_eq!(sequences(&mut told, &reports(10, &[3, 4])), [4]);
    // After a restart of SPIRE's server.
    assert_eq!(sequences(&mut told, &reports(20, &[1])), [1]);
}

#[test]
fn the_status_tells_a_new_operator_what_was_told() {
    let status = |last| -> Vec<EnforcementStatus> {
        serde_json::from_value(
            json!([{"name": "spire-server-0", "started": "1970-01-01T00:00:10Z", "lastAction": last}]),
        )
        .unwrap()
    };
    let mut told = Told::new();
    recall(&mut told, &status(2));
    assert_eq!(sequences(&mut told, &reports(10, &[1, 2, 3])), [3]);
    recall(&mut told, &status(0));
    assert_eq!(sequences(&mut told, &reports(10, &[1, 2, 3])), [0u64; 0]);
}

#[test]
fn what_was_told_of_a_pod_is_known_for_as_long_as_there_is_the_pod() {
    let mut told = Told::new();
    let there = BTreeSet::from(["spire-server-0".to_owned(), "spire-server-1".to_owned()]);
    let mut of_both = reports(10, &[1]);
    of_both.extend(reports(10, &[1, 2]));
    of_both[1].pod = "spire-server-1".to_owned();
    assert_eq!(untold(&mut told, &of_both, Some(&there)).len(), 3);
    // A pod without a report for a while.
    assert_eq!(untold(&mut told, &of_both[..1], Some(&there)), []);
    assert_eq!(untold(&mut told, &of_both, Some(&there)), []);
    untold(&mut told, &of_both[..1], Some(&BTreeSet::from(["spire-server-0".to_owned()])));
    assert_eq!(told.len(), 1);
}

#[test]
fn what_was_not_done_is_told_as_that() {
    let mut reports = reports(1, &[1]);
    reports[0].report.actions[0].error = Some("no".to_owned());
    let [one] = &untold(&mut Told::new(), &reports, None)[..] else { panic!() };
    assert_eq!((one.event.reason, one.event.bad), (event::ENFORCEMENT_FAILED, true));
    assert!(one.event.note.contains("no"), "{}", one.event.note);
}

#[test]
fn an_attempt_against_a_pair_is_an_alarm_of_its_own() {
    let action = json!({"sequence": 1, "time": 1, "agent_id": "x", "node_uid": "u", "spiffe_id": "s", "action": "refuse",
        "reason": "the agent is bound to the node n"});
    let event = event(&serde_json::from_value(action).unwrap());
    assert_eq!((event.reason, event.bad), (event::BOUND_ELSEWHERE, true));
    assert!(event.note.ends_with("the agent is bound to the node n"), "{}", event.note);
}
