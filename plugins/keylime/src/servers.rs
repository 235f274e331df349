//! Keylime's servers: what they know of a node.

use std::path::PathBuf;
use std::time::Duration;

use evidence::{AgentId, HashAlg, NodeState, Nonce, Registration};
use rustls::pki_types::ServerName;

use crate::error::{Error, Role};
use crate::http::{Answer, Ask, Failure, Peer, connect_timeout};
use crate::tls::{Clients, Pool, Problem, Setting, TlsSettings, Trust};
use crate::{Endpoint, check_timeout, registrar, verifier};

/// How long an unused connection is kept. Keylime's servers keep it for an hour; what is in between may not.
const IDLE: Duration = Duration::from_secs(60);

/// Where Keylime's servers are and how to talk to them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServersConfig {
    /// The verifier's https port.
    pub verifier: Endpoint,
    /// The registrar's https port.
    pub registrar: Endpoint,
    /// How to speak TLS with both.
    pub tls: TlsFiles,
    /// The longest time for one operation.
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
    /// The DNS name or address that the servers' certificates must be for; [`None`] is the host dialled.
    pub server_name: Option<String>,
}

/// A client of verifier and registrar.
#[derive(Debug)]
pub struct Servers {
    clients: Clients,
    verifier: Peer,
    registrar: Peer,
}

/// What the verifier says about an identity quote.
///
/// A `Valid` alone proves nothing about the quote: the plugin verifies the quote itself against the registered AK and does not
/// rely on a remote verdict. An `Invalid` is a refusal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Confirmation {
    /// The verifier accepts it.
    Valid,
    /// The verifier does not accept it.
    Invalid,
}

impl Servers {
    /// Reads the files and makes no connection. All that is wrong with them is reported at once.
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
        let verifier = Peer::new(Role::Verifier, config.verifier, true, timeout);
        let registrar = Peer::new(Role::Registrar, config.registrar, true, timeout);
        match (clients, verifier, registrar) {
            (Ok(clients), Ok(verifier), Ok(registrar)) if problems.is_empty() => {
                Ok(Servers { clients, verifier, registrar })
            }
            (clients, verifier, registrar) => {
                problems.extend(clients.err().into_iter().flatten());
                problems.extend(verifier.err().into_iter().chain(registrar.err()));
                Err(problems)
            }
        }
    }

    /// What the registrar holds of an agent: its AK and EK. The answer must name the same agent.
    pub async fn registration(&self, agent: &AgentId) -> Result<Registration, Error> {
        let ask = Ask { path: &["agents", agent.as_str()], query: &[] };
        self.about(&self.registrar, agent, ask, |answer| registrar::read(answer, agent)).await
    }

    /// What the verifier holds of an agent: its state and when it last attested. (The verifier's answer does not name the agent.)
    pub async fn state(&self, agent: &AgentId) -> Result<NodeState, Error> {
        let ask = Ask { path: &["agents", agent.as_str()], query: &[] };
        self.about(&self.verifier, agent, ask, |answer| verifier::read_state(answer, agent)).await
    }

    /// Asks the verifier whether `quote` is of the agent and for `nonce` (`/verify/identity`). `hash_alg` is the PCR bank's.
    pub async fn confirm_identity(
        &self,
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
        let ask = Ask { path: &["verify", "identity"], query: &query };
        self.about(&self.verifier, agent, ask, verifier::read_confirmation).await
    }

    async fn about<T>(
        &self,
        peer: &Peer,
        agent: &AgentId,
        ask: Ask<'_>,
        read: impl FnOnce(&Answer) -> Result<T, Failure>,
    ) -> Result<T, Error> {
        let answer = peer.get(&self.clients, ask).await?;
        if answer.is_not_found() {
            return Err(Error::UnknownAgent { server: peer.server().clone(), agent: agent.clone() });
        }
        read(&answer).map_err(|failure| failure.at(peer.server()))
    }
}

fn server_name(text: &str) -> Result<ServerName<'static>, Problem> {
    ServerName::try_from(text.to_owned()).map_err(|_| {
        Problem::new(Setting::ServerName, format_args!("expected a DNS name or an IP address, got {text:?}"))
    })
}
