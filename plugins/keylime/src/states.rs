//! The verifiers' records of all their agents, read from their bulk answers.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use evidence::AgentId;

use crate::Endpoint;
use crate::error::{Error, Malformed, Server};
use crate::homes::Homes;
use crate::http::{Answer, Failure};
use crate::records::Records;
use crate::servers::AgentState;

/// Most agents in one verifier's answer.
pub(crate) const MAX_AGENTS: usize = 20_000;

/// The records of all verifiers, by one answer of each.
#[derive(Debug, Default)]
pub struct States {
    /// The agents that exactly one verifier has, with a record that can be read.
    pub agents: BTreeMap<AgentId, AgentState>,
    /// The agents with records that cannot be used. Of these nothing is known.
    pub doubts: Vec<Doubt>,
    /// The verifiers that gave no answer, each with the reason. Their agents are missing from
    /// `agents`.
    pub failures: Vec<Error>,
}

/// The word of all verifiers together on one agent.
#[derive(Debug, Clone, Copy)]
pub enum Known<'a> {
    /// One verifier has it.
    At(&'a AgentState),
    /// All of them answered, and none has it.
    Nowhere,
    /// Not known: a verifier did not answer, or the agent is one of the doubts.
    Unclear,
}

/// The reason why nothing is known of an agent with a record.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Doubt {
    /// Its record cannot be read.
    #[error("failed to read what the Keylime verifier at {verifier} holds of agent {agent:?}: {detail}")]
    Record {
        /// The verifier.
        verifier: Endpoint,
        /// The agent's id as it came, or the start of it.
        agent: String,
        /// The problem.
        detail: String,
    },
    /// Two verifiers have it, so that neither counts.
    #[error(
        "failed to find agent {agent} at one verifier: those at {} and {} have it; remove it from one of them", .verifiers[0], .verifiers[1]
    )]
    KnownTwice {
        /// The agent.
        agent: AgentId,
        /// The first two verifiers that have it.
        verifiers: [Endpoint; 2],
    },
}

/// One verifier's answer.
#[derive(Debug)]
pub(crate) struct Bulk {
    verifier: Endpoint,
    records: Records,
}

impl States {
    /// The word of all verifiers on one agent.
    pub fn of_agent(&self, agent: &AgentId) -> Known<'_> {
        match self.agents.get(agent) {
            Some(state) => Known::At(state),
            None if self.failures.is_empty() && !self.doubts.iter().any(|doubt| doubt.is_about(agent)) => {
                Known::Nowhere
            }
            None => Known::Unclear,
        }
    }

    /// All answers together. Of an agent whose home gave no answer nothing is known, whichever
    /// other verifier has it.
    pub(crate) fn of(answers: Vec<Result<Bulk, Error>>, homes: &Homes) -> States {
        let mut states = States::default();
        for answer in answers {
            match answer {
                Ok(bulk) => states.add(bulk),
                Err(error) => states.failures.push(error),
            }
        }
        // An agent that is in doubt at one verifier is not known by the word of another.
        let States { agents, doubts, failures } = &mut states;
        for doubt in doubts.iter() {
            doubt.agent().and_then(|agent| agents.remove(&agent));
        }
        let cut_off: Vec<&Endpoint> = failures.iter().map(|failure| &failure.server().endpoint).collect();
        if !cut_off.is_empty() {
            agents.retain(|agent, _| !homes.of(agent).is_some_and(|home| cut_off.contains(&&home)));
        }
        states
    }

    fn add(&mut self, Bulk { verifier, records }: Bulk) {
        for (agent, (node, contact)) in records.good {
            match self.agents.entry(agent) {
                Entry::Vacant(free) => {
                    free.insert(AgentState { node, contact, verifier: verifier.clone() });
                }
                Entry::Occupied(first) => {
                    let verifiers = [first.get().verifier.clone(), verifier.clone()];
                    self.doubts.push(Doubt::KnownTwice { agent: first.key().clone(), verifiers });
                }
            }
        }
        let bad = records.bad.into_iter();
        self.doubts.extend(bad.map(|(agent, detail)| Doubt::Record {
            verifier: verifier.clone(),
            agent,
            detail,
        }));
    }
}

impl Doubt {
    /// The agent in doubt; [`None`] where the text is no id.
    pub fn agent(&self) -> Option<AgentId> {
        match self {
            Doubt::Record { agent, .. } => AgentId::new(agent).ok(),
            Doubt::KnownTwice { agent, .. } => Some(agent.clone()),
        }
    }

    fn is_about(&self, other: &AgentId) -> bool {
        match self {
            Doubt::Record { agent, .. } => agent == other.as_str(),
            Doubt::KnownTwice { agent, .. } => agent == other,
        }
    }
}

impl Bulk {
    /// Reads an answer. A record that cannot be read is noted and spoils no other.
    pub(crate) fn read(answer: Answer, server: &Server) -> Result<Bulk, Failure> {
        let records = answer.records()?;
        if records.too_many {
            return Err(Malformed::TooManyAgents { limit: MAX_AGENTS }.into());
        }
        Ok(Bulk { verifier: server.endpoint.clone(), records })
    }
}
