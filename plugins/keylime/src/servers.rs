//! The client of Keylime's verifiers and registrar.

use std::collections::HashSet;
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use evidence::{AgentId, HashAlg, NodeState, Nonce, Registration};
use futures_util::future::{join_all, try_join_all};
use rustls::pki_types::{DnsName, ServerName};

use crate::agent_list::AgentList;
use crate::error::{Error, Role, Unreachable};
use crate::homes::{Answers, Homes, deciding_denials, the_one_that_knows};
use crate::http::{Answer, Ask, Failure, Peer, Scope, connect_timeout};
use crate::states::{Bulk, States};
use crate::tls::{Clients, Pool, Problem, Setting, TlsSettings, Trust};
use crate::{Endpoint, agent_list, check_timeout, registrar, verifier};

/// The time that an unused connection is kept. Keylime's servers keep it for an hour; a firewall in
/// between may not.
const IDLE: Duration = Duration::from_secs(60);

/// The addresses of Keylime's servers, and the rules of their connections.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServersConfig {
    /// The https ports of the verifiers. Each agent belongs to the one that knows it; errors name
    /// the first when none does.
    pub verifiers: Vec<Endpoint>,
    /// The registrar's https port.
    pub registrar: Endpoint,
    /// The files for TLS with all of them.
    pub tls: TlsFiles,
    /// The longest time for one request, the negotiation of the API version included.
    pub request_timeout: Duration,
}

/// The files for TLS with Keylime's servers. Followed on disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsFiles {
    /// The CA certificates that are trusted, and no others (PEM).
    pub ca: PathBuf,
    /// Our client certificate with its chain (PEM). May hold the key as well.
    pub cert: PathBuf,
    /// The key of the certificate: PEM, PKCS#8, PKCS#1 or SEC 1, not encrypted.
    pub key: PathBuf,
    /// The DNS name or address that the servers' certificates must be for; [`None`] is the host
    /// dialled.
    pub server_name: Option<String>,
}

/// A client of verifiers and registrar.
#[derive(Debug)]
pub struct Servers {
    clients: Clients,
    main: Verifier,
    further: Vec<Verifier>,
    registrar: Peer,
    homes: Homes,
}

/// A verifier, and the newest list of its agents.
#[derive(Debug)]
struct Verifier {
    peer: Peer,
    list: AgentList,
}

/// A verifier's record of an agent.
#[derive(Debug, Clone)]
pub struct AgentState {
    /// The node's state.
    pub node: NodeState,
    /// The address at which the verifier reaches the node's Keylime agent. [`None`] in push mode.
    pub contact: Option<Contact>,
    /// The verifier that has the record.
    pub verifier: Endpoint,
}

/// The address at which a verifier reaches a Keylime agent (`ip`, which may hold a name).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Contact {
    /// An address; an IPv4 address in the form of IPv6 is an IPv4 address.
    Address(IpAddr),
    /// A DNS name, in lower case, without a dot at its end.
    Name(String),
}

/// The verifier's word on an identity quote.
///
/// A `Valid` alone proves nothing about the quote: the plugin verifies the quote itself against the
/// registered AK and does not rely on a remote answer. An `Invalid` is a refusal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Confirmation {
    /// The verifier accepts the quote.
    Valid,
    /// The verifier does not accept the quote.
    Invalid,
}

impl Contact {
    pub(crate) fn read(text: &str) -> Option<Contact> {
        if let Ok(address) = text.parse::<IpAddr>() {
            return Some(Contact::Address(address.to_canonical()));
        }
        let name = text.strip_suffix('.').unwrap_or(text);
        DnsName::try_from(name).ok().map(|_| Contact::Name(name.to_ascii_lowercase()))
    }
}

impl Servers {
    /// Reads the files and makes no connection.
    ///
    /// # Errors
    /// Every problem of the settings and files.
    pub fn new(config: ServersConfig) -> Result<Servers, Vec<Problem>> {
        let timeout = config.request_timeout;
        let pool = Pool { connect_timeout: connect_timeout(timeout), idle: IDLE };
        let mut problems = Vec::from_iter(check_timeout(timeout));
        let server_name = config
            .tls
            .server_name
            .as_deref()
            .and_then(|name| server_name(name).map_err(|problem| problems.push(problem)).ok());
        let trust = Trust::Ca { file: config.tls.ca, server_name };
        let clients =
            Clients::new(Some(TlsSettings { trust, cert: config.tls.cert, key: config.tls.key }), pool);
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

/// The peers, the main one apart. Each verifier may be there once only: twice, it would seem that
/// two of them have an agent.
fn verifiers(endpoints: Vec<Endpoint>, timeout: Duration) -> Result<(Verifier, Vec<Verifier>), Problem> {
    let mut peers: Vec<Peer> = Vec::new();
    for endpoint in endpoints {
        if peers.iter().any(|peer| peer.server().endpoint == endpoint) {
            let text = format_args!("expected each verifier once, got {endpoint} twice");
            return Err(Problem::new(Setting::Endpoint, text));
        }
        peers.push(Peer::new(Role::Verifier, endpoint, true, timeout)?);
    }
    let mut peers = peers.into_iter().map(|peer| Verifier { peer, list: AgentList::default() });
    let main =
        peers.next().ok_or_else(|| Problem::new(Setting::Endpoint, "expected a verifier, got none"))?;
    Ok((main, peers.collect()))
}

fn server_name(text: &str) -> Result<ServerName<'static>, Problem> {
    ServerName::try_from(text.to_owned()).map_err(|_| {
        Problem::new(Setting::ServerName, format_args!("expected a DNS name or an IP address, got {text:?}"))
    })
}
