//! The decision which agents are to lose their identity now. Pure; the time is an argument.

use std::collections::HashMap;
use std::fmt;
use std::time::{Duration, Instant};

use evidence::{AgentId, Attestation};
use keylime::{Known, States};

use super::settings::Share;

/// The limits of the decision.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rules {
    /// The time for which an agent must have been at fault, poll by poll.
    pub(crate) grace: Duration,
    /// The same for an agent whose fault is its silence.
    pub(crate) unreachable_grace: Duration,
    /// Most agents that lose their identity at one poll.
    pub(crate) max_per_poll: usize,
    /// The share of agents at fault beyond which none loses its identity.
    pub(crate) max_unhealthy: Share,
}

/// An agent of our attestation type at SPIRE, neither banned nor expired.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Watched {
    pub(crate) spiffe_id: String,
    /// Its node's agent at Keylime; [`None`] where that is not known. Such an agent is never at
    /// fault.
    pub(crate) agent_id: Option<AgentId>,
}

/// The state at Keylime that puts an agent at fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// FAIL.
    Failing,
    /// TIMEOUT.
    TimedOut,
    /// FAIL, as the verifier does not reach the node.
    NotReached,
    /// All verifiers answered, and none knows it.
    Unknown,
}

/// An agent at fault.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Candidate {
    pub(crate) spiffe_id: String,
    pub(crate) agent_id: AgentId,
    pub(crate) fault: Fault,
}

/// The result of a poll.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Assessment {
    /// The number of agents.
    pub(crate) listed: usize,
    /// The number of them with FAIL or TIMEOUT, for whatever cause.
    pub(crate) failing: usize,
    /// The number of them that no verifier knows.
    pub(crate) unknown: usize,
    /// True where too large a share is at fault, so that no agent loses its identity.
    pub(crate) held: bool,
    /// The agents whose grace is over, the longest at fault first, no more than
    /// [`Rules::max_per_poll`].
    pub(crate) due: Vec<Candidate>,
}

/// The agents that are at fault, by SPIFFE ID.
#[derive(Debug, Default)]
pub(crate) struct Memory(HashMap<String, Tracked>);

/// An agent that has been at fault at each poll since.
#[derive(Clone, Copy, Debug)]
struct Tracked {
    since: Instant,
    /// True for an agent whose only fault is silence.
    silent: bool,
}

impl Tracked {
    /// The agent after another poll. One that fails after silence is at fault anew; one that falls
    /// silent after a failure stays at fault, as nobody has found it good.
    fn follow(before: Option<Self>, fault: Fault, now: Instant) -> Self {
        let silent = fault.is_silence();
        before.filter(|before| !before.silent || silent).unwrap_or(Self { since: now, silent })
    }
}

impl Memory {
    /// Assesses the agents by the records of all verifiers. Without the answer of every verifier,
    /// [`forget`](Self::forget) is to be called instead.
    pub(crate) fn assess(
        &mut self,
        now: Instant,
        agents: &[Watched],
        states: &States,
        rules: Rules,
    ) -> Assessment {
        let mut candidates: Vec<(Tracked, Candidate)> = agents
            .iter()
            .filter_map(|agent| {
                let agent_id = agent.agent_id.clone()?;
                let fault = fault(states.of_agent(&agent_id))?;
                let tracked = Tracked::follow(self.0.get(&agent.spiffe_id).copied(), fault, now);
                Some((tracked, Candidate { spiffe_id: agent.spiffe_id.clone(), agent_id, fault }))
            })
            .collect();
        self.0 = candidates.iter().map(|(tracked, one)| (one.spiffe_id.clone(), *tracked)).collect();
        candidates.sort_by(|(tracked, one), (other_tracked, other)| {
            tracked.since.cmp(&other_tracked.since).then_with(|| one.spiffe_id.cmp(&other.spiffe_id))
        });
        let unknown = candidates.iter().filter(|(_, one)| one.fault == Fault::Unknown).count();
        let held = rules.max_unhealthy.is_exceeded_by(candidates.len(), agents.len());
        let failing = candidates.len() - unknown;
        let due = candidates
            .into_iter()
            .filter(|(tracked, _)| {
                !held && now.saturating_duration_since(tracked.since) >= rules.grace_of(*tracked)
            })
            .map(|(_, one)| one)
            .take(rules.max_per_poll)
            .collect();
        Assessment { listed: agents.len(), failing, unknown, held, due }
    }

    /// Begins each grace anew, after a poll without every answer.
    pub(crate) fn forget(&mut self) {
        self.0.clear();
    }

    /// Begins an agent's grace anew, after the second question found no fault.
    pub(crate) fn acquit(&mut self, candidate: &Candidate) {
        self.0.remove(&candidate.spiffe_id);
    }
}

/// An agent's fault, by the answers of all verifiers. PENDING is none, and neither is an old last
/// success: the verifier may have been away.
fn fault(known: Known<'_>) -> Option<Fault> {
    match known {
        Known::At(state) => Fault::of(state.node.attestation),
        Known::Nowhere => Some(Fault::Unknown),
        Known::Unclear => None,
    }
}

impl Rules {
    fn grace_of(&self, tracked: Tracked) -> Duration {
        if tracked.silent { self.unreachable_grace } else { self.grace }
    }
}

impl Fault {
    /// True for a fault that is only silence.
    fn is_silence(self) -> bool {
        matches!(self, Self::TimedOut | Self::NotReached)
    }

    /// The fault of an agent in this state.
    pub(crate) fn of(attestation: Attestation) -> Option<Self> {
        match attestation {
            Attestation::Fail => Some(Self::Failing),
            Attestation::Timeout => Some(Self::TimedOut),
            Attestation::Unreachable => Some(Self::NotReached),
            Attestation::Pass | Attestation::Pending => None,
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Failing => "Keylime's verifier says that the agent FAILs attestation",
            Self::TimedOut => "the agent has not been heard of by Keylime's verifier for too long (TIMEOUT)",
            Self::NotReached => "Keylime's verifier does not reach the agent (FAIL, state 7)",
            Self::Unknown => "no verifier of Keylime knows the agent",
        })
    }
}

#[cfg(test)]
mod tests;
