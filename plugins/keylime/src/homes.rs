//! The verifier, of several, that has an agent.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use evidence::AgentId;

use crate::Endpoint;
use crate::error::{Error, Role, Server};
use crate::servers::AgentState;

/// The most agents that are remembered: those of nine full verifiers.
const MAX_HOMES: usize = 9 * crate::states::MAX_AGENTS;

/// The verifier at which each agent was last seen. One that is cut off still has its agents: the
/// word of another about them does not count meanwhile.
#[derive(Debug, Default)]
pub(crate) struct Homes(Mutex<HashMap<AgentId, Endpoint>>);

/// The answers of all verifiers about one agent.
pub(crate) struct Answers {
    pub(crate) main: Result<AgentState, Error>,
    pub(crate) further: Vec<Result<AgentState, Error>>,
}

impl Answers {
    fn iter(&self) -> impl Iterator<Item = &Result<AgentState, Error>> {
        [&self.main].into_iter().chain(&self.further)
    }
}

impl Homes {
    pub(crate) fn of(&self, agent: &AgentId) -> Option<Endpoint> {
        self.homes().get(agent).cloned()
    }

    pub(crate) fn remember<'a>(&self, seen: impl IntoIterator<Item = (&'a AgentId, &'a Endpoint)>) {
        let mut homes = self.homes();
        for (agent, verifier) in seen {
            let full = homes.len() >= MAX_HOMES;
            match homes.get_mut(agent) {
                Some(home) if home == verifier => {}
                Some(home) => *home = verifier.clone(),
                None if full => {}
                None => drop(homes.insert(agent.clone(), verifier.clone())),
            }
        }
    }

    /// A panic while the lock is held leaves a whole map.
    fn homes(&self) -> MutexGuard<'_, HashMap<AgentId, Endpoint>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The verifiers whose "not found" decides: all of them, or the agent's home, where another one has
/// the agent now.
pub(crate) fn deciding_denials(answers: &Answers, home: Option<&Endpoint>) -> Vec<Endpoint> {
    let denials = || {
        answers.iter().filter_map(|answer| match answer {
            Err(Error::UnknownAgent { server, .. }) => Some(server.endpoint.clone()),
            _ => None,
        })
    };
    if denials().count() == 1 + answers.further.len() {
        return denials().collect();
    }
    let known = answers.iter().any(Result::is_ok);
    denials().filter(|denial| known && Some(denial) == home).collect()
}

/// The record of the only verifier that has the agent. A verifier without an answer may have it:
/// then nobody knows that the agent is unknown, and nothing is known of that verifier's own agents.
pub(crate) fn the_one_that_knows(answers: Answers, home: Option<&Endpoint>) -> Result<AgentState, Error> {
    let cut_off = |error: &&Error| !error.is_refusal() && Some(&error.server().endpoint) == home;
    if let Some(error) = answers.iter().filter_map(|answer| answer.as_ref().err()).find(cut_off) {
        return Err(error.clone());
    }
    let server = |endpoint| Server { role: Role::Verifier, endpoint, socket: None };
    answers.further.into_iter().fold(answers.main, |so_far, next| match (so_far, next) {
        (Ok(first), Ok(other)) => Err(Error::KnownTwice {
            server: server(first.verifier),
            other: Box::new(server(other.verifier)),
            agent: first.node.agent_id,
        }),
        (Err(twice @ Error::KnownTwice { .. }), _) => Err(twice),
        (Ok(known), Err(_)) | (Err(_), Ok(known)) => Ok(known),
        (Err(first), Err(other)) => {
            Err(if first.is_refusal() && !other.is_refusal() { other } else { first })
        }
    })
}
