//! The content of the report to the operator: SPIRE's agents, the result of the last poll, the
//! actions. Outlives a reconfiguration.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use evidence::AgentId;
use report::{Act, Action, Agent, Loop, MAX_ACTIONS, Mode, Report, VERSION};

use crate::clock::unix_time;

/// For how long the same refusal is told once, in seconds.
const SAME_REFUSAL: u64 = 10 * 60;

/// Shared by the loop, which writes it, and the report's server.
pub(crate) struct ReportState {
    started: u64,
    held: Mutex<Held>,
}

struct Held {
    enforcement: Loop,
    agents: Arc<Vec<Agent>>,
    actions: VecDeque<Action>,
    sequence: u64,
}

/// An action, done or failed.
pub(crate) struct Done<'a> {
    pub(crate) agent_id: Option<&'a AgentId>,
    pub(crate) spiffe_id: &'a str,
    /// The Node that it was from, where that is proven.
    pub(crate) node_uid: Option<String>,
    pub(crate) act: Act,
    pub(crate) reason: String,
    pub(crate) error: Option<String>,
}

impl ReportState {
    pub(crate) fn new() -> Self {
        let enforcement = Loop {
            action: Mode::Observe,
            last_poll: None,
            last_error: None,
            held: None,
            listed: 0,
            failing: 0,
            unknown: 0,
        };
        let held = Held { enforcement, agents: Arc::default(), actions: VecDeque::new(), sequence: 0 };
        Self { started: unix_time(), held: Mutex::new(held) }
    }

    /// Takes the agents that SPIRE lists.
    pub(crate) fn listed(&self, agents: Vec<Agent>) {
        let mut held = self.held();
        held.agents = Arc::new(agents);
        held.enforcement.last_poll = Some(unix_time());
    }

    /// Changes the result of the last poll.
    pub(crate) fn update(&self, change: impl FnOnce(&mut Loop)) {
        change(&mut self.held().enforcement);
    }

    pub(crate) fn record(&self, done: Done<'_>) {
        let mut held = self.held();
        held.sequence += 1;
        let action = Action {
            sequence: held.sequence,
            time: unix_time(),
            agent_id: done.agent_id.cloned(),
            spiffe_id: done.spiffe_id.to_owned(),
            node_uid: done.node_uid,
            action: done.act,
            reason: done.reason,
            error: done.error,
        };
        if held.actions.len() == MAX_ACTIONS {
            held.actions.pop_front();
        }
        held.actions.push_back(action);
    }

    /// Records a refusal, unless the same one is among those of the last while: an attacker could
    /// fill the list by trying again and again.
    pub(crate) fn refused(&self, done: Done<'_>) {
        let since = unix_time().saturating_sub(SAME_REFUSAL);
        let known = self.held().actions.iter().any(|action| {
            action.action == Act::Refuse
                && action.time > since
                && (action.agent_id.as_ref(), &action.node_uid) == (done.agent_id, &done.node_uid)
        });
        if !known {
            self.record(done);
        }
    }

    pub(crate) fn report(&self, trust_domain: &str, plugin_name: &str) -> Report {
        let (enforcement, agents, actions) = {
            let held = self.held();
            (held.enforcement.clone(), Arc::clone(&held.agents), held.actions.iter().cloned().collect())
        };
        Report {
            version: VERSION,
            plugin_started: self.started,
            trust_domain: trust_domain.to_owned(),
            plugin_name: plugin_name.to_owned(),
            enforcement,
            actions,
            agents: agents.to_vec(),
        }
    }

    /// The content, also after a panic under the lock, which cannot leave it half-written: each
    /// value is good by itself.
    fn held(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests;
