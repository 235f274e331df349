//! The decision: which agents are to lose their identity now. Pure; the time is an argument.

use std::collections::HashMap;
use std::fmt;
use std::time::{Duration, Instant};

use evidence::{AgentId, Attestation};
use keylime::{Known, States};

use super::settings::Share;

/// What the decision goes by.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rules {
    /// How long an agent must have been at fault, poll by poll.
    pub(crate) grace: Duration,
    /// The same, where its fault is that it is not heard of.
    pub(crate) unreachable_grace: Duration,
    /// The most agents that go at one poll.
    pub(crate) max_per_poll: usize,
    /// When a larger share is at fault, nobody goes.
    pub(crate) max_unhealthy: Share,
}

/// An agent that SPIRE holds of our attestation type, neither banned nor expired.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Watched {
    pub(crate) spiffe_id: String,
    /// Its node's agent at Keylime; nothing when it cannot be told. Such an agent is never at
    /// fault.
    pub(crate) agent_id: Option<AgentId>,
}

/// What Keylime holds against an agent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// FAIL.
    Failing,
    /// TIMEOUT.
    TimedOut,
    /// FAIL, because the verifier does not reach the node.
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

/// What a poll comes to.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Assessment {
    /// How many agents there are.
    pub(crate) listed: usize,
    /// How many of them FAIL or have TIMEOUT, for whatever cause.
    pub(crate) failing: usize,
    /// How many of them no verifier knows.
    pub(crate) unknown: usize,
    /// Too large a share is at fault: nobody goes.
    pub(crate) held: bool,
    /// Those whose grace is over, the longest at fault first, no more than may go at one poll.
    pub(crate) due: Vec<Candidate>,
}

/// The agents that are at fault, by SPIFFE ID.
#[derive(Debug, Default)]
pub(crate) struct Memory(HashMap<String, Tracked>);

/// An agent that has been at fault at each poll since.
#[derive(Clone, Copy, Debug)]
struct Tracked {
    since: Instant,
    /// It was never more than silent.
    silent: bool,
}

impl Tracked {
    /// Who fails after it was not heard of is at fault anew; but whoever has failed has not been
    /// found good by falling silent.
    fn follow(before: Option<Self>, fault: Fault, now: Instant) -> Self {
        let silent = fault.is_silence();
        before.filter(|before| !before.silent || silent).unwrap_or(Self { since: now, silent })
    }
}

impl Memory {
    /// Assesses the agents by what the verifiers hold. Without the answer of every verifier it is
    /// [`forget`](Self::forget) that is to be called.
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

    /// Nothing is known of anyone: each grace begins anew.
    pub(crate) fn forget(&mut self) {
        self.0.clear();
    }

    /// The second question said otherwise: this agent's grace begins anew.
    pub(crate) fn acquit(&mut self, candidate: &Candidate) {
        self.0.remove(&candidate.spiffe_id);
    }
}

/// What is held against an agent, by the answer of all verifiers. PENDING is no fault, and neither
/// is a last success that is old: the verifier may have been away.
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
    /// Whether nothing is known of the node but that it is not heard of.
    fn is_silence(self) -> bool {
        matches!(self, Self::TimedOut | Self::NotReached)
    }

    /// What is held against an agent in this state.
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
            Self::TimedOut => "Keylime's verifier has not heard from the agent for too long (TIMEOUT)",
            Self::NotReached => "Keylime's verifier does not reach the agent (FAIL, state 7)",
            Self::Unknown => "no verifier of Keylime knows the agent",
        })
    }
}

#[cfg(test)]
mod tests;
