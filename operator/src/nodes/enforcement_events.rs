//! What the plugins in SPIRE's server pods did to agents: each is told once, also when the operator
//! or SPIRE's server starts again. Pure.

use std::collections::{BTreeMap, BTreeSet};

use keylime_attestor_api::EnforcementStatus;
use keylime_attestor_api::names::event;
use report::{Act, Action};

use super::node_events::NodeEvent;
use super::spire::Reported;

/// By pod: when its plugin started, and the number of its last action that was told.
pub(super) type Told = BTreeMap<String, (u64, u64)>;

/// An action that was not told yet, with the SPIFFE ID that it was about.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Untold {
    pub(super) action: Action,
    pub(super) event: NodeEvent,
}

/// Takes over what the status says was told, where nothing is remembered: the operator started
/// after that.
pub(super) fn recall(told: &mut Told, status: &[EnforcementStatus]) {
    for EnforcementStatus { name, started, last_action, .. } in status {
        let started = u64::try_from(started.0.as_second()).unwrap_or_default();
        let last = u64::try_from(*last_action).unwrap_or_default();
        told.entry(name.clone()).or_insert((started, last));
    }
}

/// What was not told yet. It counts as told then, for as long as its pod is among those that there
/// are: one may fail to report for a while.
pub(super) fn untold(told: &mut Told, reports: &[Reported], pods: Option<&BTreeSet<String>>) -> Vec<Untold> {
    let mut untold = Vec::new();
    for Reported { pod, report, .. } in reports {
        let last = match told.get(pod) {
            Some((started, last)) if *started == report.plugin_started => *last,
            // Another process counts from 1 again.
            _ => 0,
        };
        let new = report.actions.iter().filter(|action| action.sequence > last);
        untold.extend(new.map(|action| Untold { action: action.clone(), event: event(action) }));
        let newest = report.actions.iter().map(|action| action.sequence).max().unwrap_or(0);
        told.insert(pod.clone(), (report.plugin_started, newest.max(last)));
    }
    told.retain(|pod, _| pods.is_none_or(|pods| pods.contains(pod)));
    untold
}

fn event(action: &Action) -> NodeEvent {
    let Action { action: act, spiffe_id, reason, error, .. } = action;
    let (done, verb) = match act {
        Act::Evict => (event::EVICTED, "evicted"),
        Act::Ban => (event::BANNED, "banned"),
        Act::Reattest => (event::REATTESTED, "evicted once, so that it attests by Keylime,"),
    };
    match error {
        None => NodeEvent {
            reason: done,
            note: format!("SPIRE's server {verb} {spiffe_id}: {reason}"),
            bad: *act != Act::Reattest,
        },
        Some(error) => NodeEvent {
            reason: event::ENFORCEMENT_FAILED,
            note: format!("SPIRE's server has not {verb} {spiffe_id} ({reason}): {error}"),
            bad: true,
        },
    }
}

#[cfg(test)]
mod tests {
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
        // SPIRE's server started again.
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
        // One of them does not report for a while.
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
}
