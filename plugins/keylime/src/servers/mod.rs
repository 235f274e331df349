//! The client of Keylime's verifiers and registrar.

mod agent_state;
mod config;
mod verifiers;

use std::collections::HashSet;
use std::time::Duration;

use evidence::{AgentId, HashAlg, Nonce, Registration};
use futures_util::future::{join_all, try_join_all};

pub use agent_state::{AgentState, Confirmation, Contact};
use config::server_name;
pub use config::{ServersConfig, TlsFiles};
use verifiers::{Verifier, verifiers};

use crate::error::{Error, Role, Unreachable};
use crate::homes::{Answers, Homes, deciding_denials, the_one_that_knows};
use crate::http::{Answer, Ask, Failure, Peer, Scope, connect_timeout};
use crate::states::{Bulk, States};
use crate::tls::{Clients, IdentityFiles, Pool, Problem, TlsSettings, Trust};
use crate::{Endpoint, agent_list, check_timeout, registrar, verifier};

/// The time that an unused connection is kept. Keylime's servers keep it for an hour; a firewall in
/// between may not.
const IDLE: Duration = Duration::from_secs(60);

/// A client of verifiers and registrar.
#[derive(Debug)]
pub struct Servers {
    clients: Clients,
    main: Verifier,
    further: Vec<Verifier>,
    registrar: Peer,
    homes: Homes,
}

impl Servers {
    /// Reads the files and makes no connection.
    ///
    /// # Errors
    /// Every problem of the settings and files.
    pub fn new(config: ServersConfig) -> Result<Servers, Vec<Problem>> {
        let timeout = config.request_timeout;
        let pool = Pool { connect_timeout: connect_timeout(timeout), idle: IDLE, socket: None };
        let mut problems = Vec::from_iter(check_timeout(timeout));
        let server_name = config
            .tls
            .server_name
            .as_deref()
            .and_then(|name| server_name(name).map_err(|problem| problems.push(problem)).ok());
        let trust = Trust::Ca { file: config.tls.ca, server_name };
        let identity = IdentityFiles { cert: config.tls.cert, key: config.tls.key };
        let clients = Clients::new(Some(TlsSettings { trust, identity: Some(identity) }), pool);
        let verifiers = verifiers(config.verifiers, timeout);
        let registrar = Peer::new(Role::Registrar, config.registrar, true, timeout);
        match (clients, verifiers, registrar) {
            (Ok(clients), Ok((main, further)), Ok(registrar)) if problems.is_empty() => {
                Ok(Servers { clients, main, further, registrar, homes: Homes::default() })
            }
            (clients, verifiers, registrar) => {
                problems.extend(clients.err().into_iter().flatten());
                problems.extend(verifiers.err().into_iter().chain(registrar.err()));
                Err(problems)
            }
        }
    }

    /// The registrar's record of an agent: its AK and EK. The answer must name the same agent.
    ///
    /// # Errors
    /// The registrar's denial, or the failure to get an answer.
    pub async fn registration(&self, agent: &AgentId) -> Result<Registration, Error> {
        let ask = Ask { path: &["agents", agent.as_str()], query: &[], scope: Scope::One };
        self.about(&self.registrar, agent, ask, |answer| registrar::read(answer, agent)).await
    }

    /// The record of the verifier that has an agent: its state and its last success. (A verifier's
    /// answer does not name the agent.)
    ///
    /// Several verifiers are asked side by side, and the one that knows the agent decides, but not
    /// while the one that had it before gives no answer.
    ///
    /// # Errors
    /// [`Error::UnknownAgent`] by the word of all verifiers, whose lists of agents lack it too;
    /// otherwise the failure to get an answer.
    pub async fn state(&self, agent: &AgentId) -> Result<AgentState, Error> {
        let answers = self.ask_verifiers(agent).await;
        self.decide(agent, answers).await
    }

    /// The records of registrar and verifier, asked side by side. All answers are awaited, so that
    /// their connections can be used again.
    ///
    /// For an agent that is not even registered no list is asked for.
    ///
    /// # Errors
    /// Those of [`registration`](Self::registration), then those of [`state`](Self::state).
    pub async fn node(&self, agent: &AgentId) -> Result<(Registration, AgentState), Error> {
        let (registration, answers) = tokio::join!(self.registration(agent), self.ask_verifiers(agent));
        Ok((registration?, self.decide(agent, answers).await?))
    }

    /// The records of all agents of all verifiers (`?bulk=true`), asked side by side. An answer has
    /// at most 64 MiB and 20,000 agents, and may take six times `request_timeout`.
    pub async fn states(&self) -> States {
        let answers = join_all(self.verifiers().map(|verifier| self.bulk(&verifier.peer))).await;
        let states = States::of(answers, &self.homes);
        if !self.further.is_empty() {
            self.homes.remember(states.agents.iter().map(|(agent, state)| (agent, &state.verifier)));
        }
        states
    }

    /// Has the verifier that has the agent check that `quote` is the agent's and for `nonce`
    /// (`/verify/identity`). `hash_alg` is the PCR bank's. A `verifier` that is none of the
    /// configured ones stands for the first.
    ///
    /// # Errors
    /// The failure to get an answer, or the verifier's denial of the agent.
    pub async fn confirm_identity(
        &self,
        verifier: &Endpoint,
        agent: &AgentId,
        quote: &str,
        nonce: &Nonce,
        hash_alg: HashAlg,
    ) -> Result<Confirmation, Error> {
        let query = [
            ("agent_uuid", agent.as_str()),
            ("hash_alg", hash_alg.as_str()),
            ("nonce", nonce.as_str()),
            ("quote", quote),
        ];
        let ask = Ask { path: &["verify", "identity"], query: &query, scope: Scope::One };
        let verifier = self.verifier(verifier);
        match self.about(&verifier.peer, agent, ask, verifier::read_confirmation).await {
            Err(denial @ Error::UnknownAgent { .. }) => {
                Err(self.check(verifier, agent).await.err().unwrap_or(denial))
            }
            other => other,
        }
    }

    fn verifiers(&self) -> impl Iterator<Item = &Verifier> {
        [&self.main].into_iter().chain(&self.further)
    }

    fn verifier(&self, endpoint: &Endpoint) -> &Verifier {
        let found = self.further.iter().find(|verifier| verifier.peer.server().endpoint == *endpoint);
        found.unwrap_or(&self.main)
    }

    async fn ask_verifiers(&self, agent: &AgentId) -> Answers {
        let further = join_all(self.further.iter().map(|verifier| self.state_at(&verifier.peer, agent)));
        let (main, further) = tokio::join!(self.state_at(&self.main.peer, agent), further);
        Answers { main, further }
    }

    async fn decide(&self, agent: &AgentId, answers: Answers) -> Result<AgentState, Error> {
        let home = self.homes.of(agent);
        let denials = deciding_denials(&answers, home.as_ref());
        let checks = denials.iter().map(|denial| self.check(self.verifier(denial), agent));
        try_join_all(checks).await?;
        let state = the_one_that_knows(answers, home.as_ref())?;
        if !self.further.is_empty() {
            self.homes.remember([(agent, &state.verifier)]);
        }
        Ok(state)
    }

    /// Checks that a verifier that denies an agent does not list it either.
    async fn check(&self, verifier: &Verifier, agent: &AgentId) -> Result<(), Error> {
        let server = || verifier.peer.server().clone();
        let timeout = verifier.peer.request_timeout();
        let has = tokio::time::timeout(timeout, verifier.list.has(agent, self.ids(&verifier.peer))).await;
        let has = has.unwrap_or_else(|_elapsed| {
            Err(Failure::Unreachable(Unreachable::AnswerTimeout(timeout)).at(&server()))
        });
        match has? {
            true => Err(Error::ListedYetUnknown { server: server(), agent: agent.clone() }),
            false => Ok(()),
        }
    }

    async fn ids(&self, peer: &Peer) -> Result<HashSet<Box<str>>, Error> {
        let ask = Ask { path: &["agents", ""], query: &[], scope: Scope::Ids };
        let answer = peer.get(&self.clients, ask).await?;
        agent_list::read(&answer).map_err(|failure| failure.at(peer.server()))
    }

    async fn state_at(&self, peer: &Peer, agent: &AgentId) -> Result<AgentState, Error> {
        let ask = Ask { path: &["agents", agent.as_str()], query: &[], scope: Scope::One };
        self.about(peer, agent, ask, |answer| verifier::read_state(answer, agent, peer.server())).await
    }

    async fn bulk(&self, peer: &Peer) -> Result<Bulk, Error> {
        let ask = Ask { path: &["agents", ""], query: &[("bulk", "true")], scope: Scope::All };
        let answer = peer.get(&self.clients, ask).await?;
        Bulk::read(answer, peer.server()).map_err(|failure| failure.at(peer.server()))
    }

    async fn about<T>(
        &self,
        peer: &Peer,
        agent: &AgentId,
        ask: Ask<'_>,
        read: impl FnOnce(&Answer) -> Result<T, Failure>,
    ) -> Result<T, Error> {
        let answer = peer.get(&self.clients, ask).await?;
        if peer.server().role == Role::Registrar && answer.is_not_activated() {
            return Err(Error::NotActivated { server: peer.server().clone(), agent: agent.clone() });
        }
        if answer.is_not_found() {
            return Err(Error::UnknownAgent { server: peer.server().clone(), agent: agent.clone() });
        }
        read(&answer).map_err(|failure| failure.at(peer.server()))
    }
}
