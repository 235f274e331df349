//! The events of the plugins' actions on agents: one event each, also across restarts of the
//! operator or of SPIRE's server. Pure.

use std::collections::{BTreeMap, BTreeSet};

use keylime_attestor_api::EnforcementStatus;
use keylime_attestor_api::names::event;
use report::{Act, Action};

use super::node_events::NodeEvent;
use super::spire::Reported;

/// By pod: the start of its plugin, and the number of its last action with an event.
pub(super) type Told = BTreeMap<String, (u64, u64)>;

/// An action that has had no event yet, and its event.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Untold {
    pub(super) action: Action,
    pub(super) event: NodeEvent,
}

/// Takes over the numbers of the status where none are remembered: those are from before the
/// operator started.
pub(super) fn recall(told: &mut Told, status: &[EnforcementStatus]) {
    for EnforcementStatus { name, started, last_action, .. } in status {
        let started = u64::try_from(started.0.as_second()).unwrap_or_default();
        let last = u64::try_from(*last_action).unwrap_or_default();
        told.entry(name.clone()).or_insert((started, last));
    }
}

/// The actions without an event so far. They count as published from then on, for as long as their
/// pod exists: one may fail to report for a while.
pub(super) fn untold(told: &mut Told, reports: &[Reported], pods: Option<&BTreeSet<String>>) -> Vec<Untold> {
    let mut untold = Vec::new();
    for Reported { pod, report, .. } in reports {
        let last = match told.get(pod) {
            Some((started, last)) if *started == report.plugin_started => *last,
            // Another process of the plugin counts from 1 again.
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
        Act::Refuse => {
            let note = format!("SPIRE's server refused an attestation as {spiffe_id}: {reason}");
            return NodeEvent { reason: event::BOUND_ELSEWHERE, note, bad: true };
        }
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
mod tests;
