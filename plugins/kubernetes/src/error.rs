//! The failures to get the apiserver's word.

use std::fmt;

use evidence::BindingRefusal;
use evidence::binding::ObjectName;
use keylime::{Endpoint, HttpsError, Malformed, Unreachable};

use crate::TokenFileError;

/// The reason why a node is not proven. Only [`Error::Refused`] is a statement about the token; all
/// others say nothing about it and may pass. No text holds a token.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The token proves nothing.
    #[error(transparent)]
    Refused(#[from] BindingRefusal),
    /// Our own token is not there.
    #[error(transparent)]
    OwnToken(#[from] TokenFileError),
    /// No answer came.
    #[error("failed to ask the apiserver at {endpoint}: {}", told(.cause))]
    NoAnswer {
        /// The apiserver's address.
        endpoint: Endpoint,
        /// The cause.
        cause: HttpsError,
    },
    /// Our own token is not accepted.
    #[error(
        "failed to be accepted by the apiserver at {endpoint}: it answered 401; check that token_file holds a token of its cluster that has not expired"
    )]
    Unauthorized {
        /// The apiserver's address.
        endpoint: Endpoint,
    },
    /// Our own account may not ask.
    #[error(
        "failed to {right} at the apiserver at {endpoint}: it answered 403; give the account of SPIRE's server this right"
    )]
    Forbidden {
        /// The apiserver's address.
        endpoint: Endpoint,
        /// The right that is missing.
        right: Right,
    },
    /// An answer that is none.
    #[error(
        "failed to read the answer of the apiserver at {endpoint}: expected {expected}, got something else with status {status}; see its log"
    )]
    Malformed {
        /// The apiserver's address.
        endpoint: Endpoint,
        /// The expected answer.
        expected: &'static str,
        /// The HTTP status.
        status: u16,
    },
}

/// A right that our own account needs at the apiserver.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Right {
    /// To have tokens reviewed.
    ReviewTokens,
    /// To read nodes.
    GetNodes,
    /// To read the pods of a namespace.
    GetPods {
        /// The namespace.
        namespace: ObjectName,
    },
}

impl Error {
    /// A short stable name of the failure, for metrics and logs.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Refused(_) => "binding_refused",
            Self::OwnToken(_) => "own_token",
            Self::NoAnswer { .. } => "apiserver_unreachable",
            Self::Unauthorized { .. } => "apiserver_unauthorized",
            Self::Forbidden { .. } => "apiserver_forbidden",
            Self::Malformed { .. } => "apiserver_malformed",
        }
    }
}

impl fmt::Display for Right {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ReviewTokens => formatter.write_str("create tokenreviews.authentication.k8s.io"),
            Self::GetNodes => formatter.write_str("get nodes"),
            Self::GetPods { namespace } => write!(formatter, "get pods in the namespace {namespace}"),
        }
    }
}

/// The cause, without the words that are for Keylime's servers.
fn told(cause: &HttpsError) -> String {
    match cause {
        HttpsError::Unreachable(Unreachable::UnknownCa) => {
            "its certificate is not signed by a CA of ca_file".to_owned()
        }
        HttpsError::Malformed(Malformed::TooLarge { limit }) => {
            format!("expected at most {limit} bytes, got more")
        }
        other => other.to_string(),
    }
}
