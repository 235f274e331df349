//! The failures of a call to a Keylime server, told apart by their meaning for an attestation and
//! by what a human has to do.

use std::fmt;
use std::time::Duration;

use evidence::{AgentId, InvalidAttestationKey};

use crate::Endpoint;

/// The reason why a server gave no usable answer.
///
/// Only [`Error::UnknownAgent`], [`Error::NotActivated`], [`Error::KnownTwice`] and
/// [`Error::UnusableAk`] are statements about the node; all others say nothing about it and may
/// pass. No text holds a nonce or a quote.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// No answer came.
    #[error("failed to reach {server}: {cause}")]
    Unreachable {
        /// The server that was asked.
        server: Server,
        /// The cause.
        cause: Unreachable,
    },
    /// The server does not accept our client certificate.
    #[error("failed to be accepted by {server}: {cause}")]
    Refused {
        /// The server that was asked.
        server: Server,
        /// The cause.
        cause: Refused,
    },
    /// An answer that Keylime would not give.
    #[error("failed to read the answer of {server}: {cause}")]
    Malformed {
        /// The server that was asked.
        server: Server,
        /// The cause.
        cause: Malformed,
    },
    /// The server says, in Keylime's own form, that it does not know the agent.
    #[error(
        "failed to find agent {agent} at {server}: it is not known there; register and enrol it, or check its id"
    )]
    UnknownAgent {
        /// The server that was asked.
        server: Server,
        /// The agent asked for.
        agent: AgentId,
    },
    /// The verifier says that it does not know the agent, and has it in its list: it cannot read
    /// its own database.
    #[error(
        "failed to learn what {server} holds of agent {agent}: it says that it does not know the agent, and lists it; see its log, and that it reads its database"
    )]
    ListedYetUnknown {
        /// The server that was asked.
        server: Server,
        /// The agent asked for.
        agent: AgentId,
    },
    /// The registrar says, in Keylime's own form, that the agent has begun to register and has not
    /// proven its TPM yet.
    #[error(
        "failed to use what {server} holds of agent {agent}: it is registered, but not activated; see the Keylime agent's log"
    )]
    NotActivated {
        /// The server that was asked.
        server: Server,
        /// The agent asked for.
        agent: AgentId,
    },
    /// Two verifiers have the agent, so that neither counts.
    #[error(
        "failed to find agent {agent} at one verifier: both {server} and {other} have it; remove it from one of them"
    )]
    KnownTwice {
        /// The first that has it.
        server: Server,
        /// Another that has it.
        other: Server,
        /// The agent asked for.
        agent: AgentId,
    },
    /// The registrar holds an AK that no quote can be verified by.
    #[error("failed to use what {server} holds: {cause}")]
    UnusableAk {
        /// The server that was asked.
        server: Server,
        /// The check that the AK fails.
        cause: InvalidAttestationKey,
    },
    /// The node's agent does not tell its id (the Python agent, and API 2.1).
    #[error(
        "failed to learn the agent's id from {server}: expected an answer to /agent/info (API 2.2 or later), it has none; \
         configure the id (keylime_agent_id)"
    )]
    NoAgentInfo {
        /// The server that was asked.
        server: Server,
    },
}

/// A server as errors name it: its role and its address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Server {
    /// The server's role.
    pub role: Role,
    /// The server's host and port.
    pub endpoint: Endpoint,
}

/// The role of a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// The Keylime verifier.
    Verifier,
    /// The Keylime registrar.
    Registrar,
    /// The Keylime agent on this node.
    Agent,
}

/// The reason why no answer came.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unreachable {
    /// The host's name has no address.
    #[error("its name was not resolved ({0}); check the configured host and the cluster's DNS")]
    Dns(String),
    /// No connection, such as nobody listening.
    #[error("no connection ({0}); check that it runs and that host and port are right")]
    Connect(String),
    /// No connection in time, TCP and TLS together.
    #[error(
        "no connection within {0:?}; check that it runs and speaks TLS there if we do, host and port, and firewalls in between"
    )]
    ConnectTimeout(Duration),
    /// No complete answer in time.
    #[error("no complete answer within {0:?}; check its load, or raise request_timeout")]
    AnswerTimeout(Duration),
    /// The connection was closed before an answer.
    #[error("it closed the connection without an answer{}", hint(*.plain_http))]
    Closed {
        /// True where the connection was plain http.
        plain_http: bool,
    },
    /// The other side does not speak TLS.
    #[error("expected TLS, it speaks something else, perhaps plain http; turn on its TLS, or ours off")]
    NotTls,
    /// The certificate's issuer is not in the CA file.
    #[error(
        "its certificate is not signed by a CA of the configured CA file; use the CA that signed it (Keylime's own is cv_ca/cacert.crt)"
    )]
    UnknownCa,
    /// The certificate is for other names.
    #[error(
        "expected a certificate for {expected}, it is for {presented}; reissue it, or configure one of these as the host or, \
         where it can be given, the server name"
    )]
    WrongName {
        /// The name expected.
        expected: String,
        /// The names in the certificate.
        presented: String,
    },
    /// The certificate has the expected address as a DNS name, which counts for no address.
    #[error(
        "its certificate names the address {address} as a DNS name; reissue it with {address} as an IP address (IP in its \
         subjectAltName)"
    )]
    AddressAsDnsName {
        /// The address.
        address: String,
    },
    /// The certificate has no subject alternative name; a common name does not count.
    #[error("its certificate has no subjectAltName; reissue it with one that names {expected}")]
    NoName {
        /// The name expected.
        expected: String,
    },
    /// The certificate cannot be used, whatever its names.
    #[error("its certificate is {0}")]
    Certificate(&'static str),
    /// No TLS version, cipher or signature algorithm in common.
    #[error(
        "it has no TLS version, cipher or signature algorithm in common with us: expected TLS 1.2 or 1.3 and a certificate \
         with an RSA, P-256, P-384 or Ed25519 key (P-521 is not supported)"
    )]
    NothingInCommon,
    /// The certificate has expired.
    #[error("its certificate has expired; renew it, or check this machine's clock")]
    Expired,
    /// The certificate is not valid yet.
    #[error("its certificate is not valid yet; check the clocks of both machines")]
    NotYetValid,
    /// The agent's certificate is not the pinned one.
    #[error(
        "its certificate is not the pinned one; pin the new one if it was renewed, else find out who answers there"
    )]
    NotPinned,
    /// Any other failure of TLS.
    #[error("the TLS handshake failed ({0})")]
    Tls(String),
}

/// A server's refusal of our client certificate.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// By an HTTP status.
    #[error(
        "it answered {0}; use a client certificate that it trusts (Keylime's own is cv_ca/client-cert.crt)"
    )]
    Status(u16),
    /// By a TLS alert.
    #[error("it sent the TLS alert {0}; use a client certificate of a CA that it trusts")]
    Alert(String),
}

/// The fault of an answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    /// Not HTTP/1.1.
    #[error("expected HTTP/1.1, got something else{}", hint(*.plain_http))]
    NotHttp {
        /// True where the connection was plain http.
        plain_http: bool,
    },
    /// Another content type than JSON, or no JSON in the body.
    #[error("expected application/json with status {status}, got {came}; check that Keylime answers there")]
    NotJson {
        /// The HTTP status.
        status: u16,
        /// The content type or the start of the body.
        came: String,
    },
    /// JSON of another shape.
    #[error("expected {expected}, got something else ({detail}); check Keylime's version")]
    Shape {
        /// The expected shape.
        expected: &'static str,
        /// The difference.
        detail: String,
    },
    /// A body that ends early.
    #[error("it ended too early; check the network and proxies in between")]
    CutShort,
    /// A body longer than any answer of Keylime.
    #[error("expected at most {limit} bytes, got more; check that Keylime answers there")]
    TooLarge {
        /// The limit, in bytes.
        limit: usize,
    },
    /// More agents than any verifier has.
    #[error("expected at most {limit} agents, got more; check that Keylime answers there")]
    TooManyAgents {
        /// The limit.
        limit: usize,
    },
    /// A redirect, which is never followed.
    #[error("expected no redirect, got status {0}; configure the final host and port")]
    Redirect(u16),
    /// A failure of the server (5xx).
    #[error("it failed with status {0}; see its log")]
    ServerError(u16),
    /// A status that Keylime does not give here.
    #[error("expected status 200, got {status}{}; check that Keylime answers there, and see its log", quoted(.text))]
    Status {
        /// The HTTP status.
        status: u16,
        /// Keylime's own text, where it may be shown.
        text: Option<String>,
    },
    /// An answer about another agent.
    #[error("it answered about another agent ({0:?}) than asked for")]
    WrongAgent(String),
    /// No API version in common.
    #[error("expected a Keylime API version {ours}, it knows {theirs}; update the older side")]
    ApiVersion {
        /// The versions of this client.
        ours: &'static str,
        /// The versions of the server.
        theirs: String,
    },
    /// A verifier too old to verify an identity quote.
    #[error(
        "expected a verifier with API version 2.2 or later, which can verify an identity quote, it knows {theirs}; update it to \
         Keylime 7.11 or later"
    )]
    VerifierTooOld {
        /// The versions of the server.
        theirs: String,
    },
}

impl Error {
    /// A short stable name of the failure, for metrics and logs.
    pub fn reason(&self) -> &'static str {
        match self {
            Error::Unreachable { cause, .. } => cause.reason(),
            Error::Refused { .. } => "client_certificate_refused",
            Error::Malformed { cause, .. } => cause.reason(),
            Error::UnknownAgent { .. } => "unknown_agent",
            Error::ListedYetUnknown { .. } => "listed_yet_unknown",
            Error::NotActivated { .. } => "not_activated",
            Error::KnownTwice { .. } => "known_twice",
            Error::UnusableAk { cause, .. } => cause.reason(),
            Error::NoAgentInfo { .. } => "no_agent_info",
        }
    }

    /// True for a statement of the server about the node, false for a failure to get one.
    pub fn is_refusal(&self) -> bool {
        matches!(
            self,
            Error::UnknownAgent { .. }
                | Error::NotActivated { .. }
                | Error::KnownTwice { .. }
                | Error::UnusableAk { .. }
        )
    }

    /// The server that was asked.
    pub fn server(&self) -> &Server {
        match self {
            Error::Unreachable { server, .. }
            | Error::Refused { server, .. }
            | Error::Malformed { server, .. }
            | Error::UnknownAgent { server, .. }
            | Error::ListedYetUnknown { server, .. }
            | Error::NotActivated { server, .. }
            | Error::KnownTwice { server, .. }
            | Error::UnusableAk { server, .. }
            | Error::NoAgentInfo { server } => server,
        }
    }
}

impl Unreachable {
    fn reason(&self) -> &'static str {
        match self {
            Unreachable::Dns(_) => "name_not_resolved",
            Unreachable::Connect(_) => "no_connection",
            Unreachable::ConnectTimeout(_) => "connect_timeout",
            Unreachable::AnswerTimeout(_) => "answer_timeout",
            Unreachable::Closed { .. } => "connection_closed",
            Unreachable::NotTls => "not_tls",
            Unreachable::UnknownCa => "unknown_ca",
            Unreachable::WrongName { .. }
            | Unreachable::AddressAsDnsName { .. }
            | Unreachable::NoName { .. } => "wrong_server_name",
            Unreachable::Certificate(_) => "unusable_certificate",
            Unreachable::NothingInCommon => "nothing_in_common",
            Unreachable::Expired => "certificate_expired",
            Unreachable::NotYetValid => "certificate_not_yet_valid",
            Unreachable::NotPinned => "certificate_not_pinned",
            Unreachable::Tls(_) => "tls_failed",
        }
    }
}

impl Malformed {
    fn reason(&self) -> &'static str {
        match self {
            Malformed::NotHttp { .. } => "not_http",
            Malformed::NotJson { .. } => "not_json",
            Malformed::Shape { .. } => "wrong_shape",
            Malformed::CutShort => "cut_short",
            Malformed::TooLarge { .. } | Malformed::TooManyAgents { .. } => "too_large",
            Malformed::Redirect(_) => "redirect",
            Malformed::ServerError(_) => "server_error",
            Malformed::Status { .. } => "unexpected_status",
            Malformed::WrongAgent(_) => "another_agent",
            Malformed::ApiVersion { .. } | Malformed::VerifierTooOld { .. } => "api_version",
        }
    }
}

impl fmt::Display for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the Keylime {} at {}", self.role, self.endpoint)
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Role::Verifier => "verifier",
            Role::Registrar => "registrar",
            Role::Agent => "agent",
        })
    }
}

/// The advice for a broken connection: a plain request to a port with TLS ends in a closed
/// connection or in bytes that are not HTTP.
fn hint(plain_http: bool) -> &'static str {
    if plain_http {
        "; we speak plain http: it may expect https, then configure a client certificate"
    } else {
        "; see its log"
    }
}

fn quoted(text: &Option<String>) -> String {
    text.as_deref().map(|text| format!(" ({text:?})")).unwrap_or_default()
}
