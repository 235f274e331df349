//! The failures of a call to a Keylime server, told apart by their meaning for an attestation and
//! by what a human has to do.

mod malformed;
mod server;
mod unreachable;

use evidence::{AgentId, InvalidAttestationKey};

pub use malformed::Malformed;
pub use server::{Role, Server};
pub use unreachable::Unreachable;

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
    /// The quoter's own word why it has no answer.
    #[error("failed to get an answer of {server}: {text}")]
    Unanswered {
        /// The server that was asked.
        server: Server,
        /// The start of its text.
        text: String,
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
        other: Box<Server>,
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

impl Error {
    /// A short stable name of the failure, for metrics and logs.
    pub fn reason(&self) -> &'static str {
        match self {
            Error::Unreachable { cause, .. } => cause.reason(),
            Error::Refused { .. } => "client_certificate_refused",
            Error::Unanswered { .. } => "unanswered",
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
            | Error::Unanswered { server, .. }
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

/// The advice for a broken connection: a plain request to a port with TLS ends in a closed
/// connection or in bytes that are not HTTP.
fn hint(plain_http: bool) -> &'static str {
    if plain_http {
        "; we speak plain http: it may expect https, then configure a client certificate"
    } else {
        "; see its log"
    }
}
