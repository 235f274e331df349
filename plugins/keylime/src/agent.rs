//! The client of the Keylime agent on the same node.

use std::path::PathBuf;
use std::time::Duration;

use evidence::{AgentId, HashAlg, Nonce};
use serde::Deserialize;

use crate::error::{Error, Malformed, Role};
use crate::http::{Answer, Ask, Failure, Peer, Scope, connect_timeout};
use crate::tls::{Clients, IdentityFiles, Pool, Problem, Setting, TlsSettings, Trust};
use crate::{Endpoint, check_timeout};

/// The time that an unused connection is kept. The Rust agent closes it after 5 seconds.
const IDLE: Duration = Duration::from_secs(4);

/// The longest path of a unix socket, in bytes: all that Linux has room for, with an end.
const MAX_SOCKET: usize = 107;

/// The address of the node's agent, and the rules of its connections.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeAgentConfig {
    /// The agent's host and port.
    pub endpoint: Endpoint,
    /// The files for TLS; [`None`] speaks plain http.
    pub tls: Option<AgentTls>,
    /// The longest time for one call.
    pub request_timeout: Duration,
}

/// The files for TLS with the node's agent. Followed on disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AgentTls {
    /// Our client certificate with its chain (PEM), of a CA that the agent trusts. May hold the key
    /// as well.
    pub cert: PathBuf,
    /// The key of the certificate: PEM, PKCS#8, PKCS#1 or SEC 1, not encrypted.
    pub key: PathBuf,
    /// The agent's certificate, PEM or DER: only a server that shows the very same certificate, for
    /// the host configured, and has its key, is the agent. (No CA signs the agent's certificate,
    /// see Keylime's registrar record, `mtls_cert`.)
    ///
    /// [`None`] is for a loopback host only: any certificate passes whose key the other side has.
    /// This does not prove who answers, and need not, because SPIRE's server refuses a quote that
    /// the node's registered TPM has not made.
    pub pinned: Option<PathBuf>,
}

/// The agent's statement about itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AgentInfo {
    /// The id under which it is registered.
    pub agent_id: AgentId,
    /// The PCR bank that it quotes.
    pub hash_alg: HashAlg,
}

/// A quote as the agent gives it, not parsed.
#[derive(Clone, PartialEq, Eq)]
pub struct QuoteAnswer {
    /// Keylime's three-part text.
    pub quote: String,
    /// The PCR bank that was quoted, by the agent's word: all that an agent without `/agent/info`
    /// tells of it.
    pub hash_alg: HashAlg,
}

/// A client of the node's agent.
#[derive(Debug)]
pub struct NodeAgent {
    clients: Clients,
    peer: Peer,
}

impl NodeAgent {
    /// Reads the files and makes no connection.
    ///
    /// # Errors
    /// Every problem of the files and of the timeout.
    pub fn new(config: NodeAgentConfig) -> Result<NodeAgent, Vec<Problem>> {
        let timeout = config.request_timeout;
        let pool = Pool { connect_timeout: connect_timeout(timeout), idle: IDLE, socket: None };
        let https = config.tls.is_some();
        let unpinned =
            config.tls.as_ref().is_some_and(|tls| tls.pinned.is_none()) && !config.endpoint.is_loopback();
        let mut problems = Vec::from_iter(check_timeout(timeout));
        if unpinned {
            let expected = "expected a pinned certificate of the agent, because its host is not loopback";
            problems.push(Problem::new(Setting::PinnedFile, expected));
        }
        let clients = Clients::new(config.tls.map(TlsSettings::from), pool);
        let peer = Peer::new(Role::Agent, config.endpoint, https, timeout);
        match (clients, peer) {
            (Ok(clients), Ok(peer)) if problems.is_empty() => Ok(NodeAgent { clients, peer }),
            (clients, peer) => {
                problems.extend(clients.err().into_iter().flatten());
                problems.extend(peer.err());
                Err(problems)
            }
        }
    }

    /// A client of the quoter on the node, by its unix socket. Makes no connection.
    ///
    /// # Errors
    /// Every problem of the path and of the timeout.
    pub fn on_socket(socket: PathBuf, request_timeout: Duration) -> Result<NodeAgent, Vec<Problem>> {
        let mut problems = Vec::from_iter(check_timeout(request_timeout));
        let length = socket.as_os_str().len();
        if !socket.is_absolute() || length > MAX_SOCKET {
            let expected = format!("expected an absolute path of at most {MAX_SOCKET} bytes");
            problems.push(Problem::in_file(Setting::Endpoint, &socket, expected));
        }
        let connect_timeout = connect_timeout(request_timeout);
        let pool = Pool { connect_timeout, idle: IDLE, socket: Some(socket.clone()) };
        match (Clients::new(None, pool), Peer::on_socket(socket, request_timeout)) {
            (Ok(clients), Ok(peer)) if problems.is_empty() => Ok(NodeAgent { clients, peer }),
            (clients, peer) => {
                problems.extend(clients.err().into_iter().flatten());
                problems.extend(peer.err());
                Err(problems)
            }
        }
    }

    /// Asks the agent for its id and its PCR bank (`/agent/info`, API 2.2 or later).
    ///
    /// # Errors
    /// [`Error::NoAgentInfo`] for an agent that does not tell; otherwise the failure to get an
    /// answer.
    pub async fn info(&self) -> Result<AgentInfo, Error> {
        let ask = Ask { path: &["agent", "info"], query: &[], scope: Scope::One };
        let answer = self.peer.get(&self.clients, ask).await?;
        if answer.is_bad_request() {
            return Err(Error::NoAgentInfo { server: self.peer.server().clone() });
        }
        read_info(&answer).map_err(|failure| failure.at(self.peer.server()))
    }

    /// Has the agent quote `nonce` (`/quotes/identity`). The answer has at most 64 KiB.
    ///
    /// # Errors
    /// The failure to get an answer. Never repeats a part of it.
    pub async fn identity_quote(&self, nonce: &Nonce) -> Result<QuoteAnswer, Error> {
        let ask =
            Ask { path: &["quotes", "identity"], query: &[("nonce", nonce.as_str())], scope: Scope::One };
        let answer = self.peer.get(&self.clients, ask).await?;
        read_quote(&answer).map_err(|failure| failure.at(self.peer.server()))
    }
}

impl From<AgentTls> for TlsSettings {
    fn from(tls: AgentTls) -> TlsSettings {
        let trust = tls.pinned.map_or(Trust::Loopback, |file| Trust::Pin { file });
        TlsSettings { trust, identity: Some(IdentityFiles { cert: tls.cert, key: tls.key }) }
    }
}

impl std::fmt::Debug for QuoteAnswer {
    /// Leaves the quote out.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("QuoteAnswer").field("hash_alg", &self.hash_alg).finish_non_exhaustive()
    }
}

fn read_info(answer: &Answer) -> Result<AgentInfo, Failure> {
    const EXPECTED: &str = "the agent's id and algorithms";
    #[derive(Deserialize)]
    struct Info {
        agent_uuid: String,
        tpm_hash_alg: String,
    }
    let shape = |detail: String| Failure::from(Malformed::Shape { expected: EXPECTED, detail });
    let info: Info = answer.results(EXPECTED, false)?;
    Ok(AgentInfo {
        agent_id: AgentId::new(&info.agent_uuid).map_err(|error| shape(error.to_string()))?,
        hash_alg: info
            .tpm_hash_alg
            .parse()
            .map_err(|error: evidence::InvalidHashAlg| shape(error.to_string()))?,
    })
}

fn read_quote(answer: &Answer) -> Result<QuoteAnswer, Failure> {
    const EXPECTED: &str = "an identity quote";
    #[derive(Deserialize)]
    struct Quote {
        quote: String,
        hash_alg: String,
    }
    let Quote { quote, hash_alg } = answer.results(EXPECTED, true)?;
    // Without the name in the error: any member of this answer may hold a part of the quote.
    let hash_alg = hash_alg.parse().map_err(|_| {
        let detail = "hash_alg is none of sha256, sha384 and sha512".to_owned();
        Failure::from(Malformed::Shape { expected: EXPECTED, detail })
    })?;
    Ok(QuoteAnswer { quote, hash_alg })
}
