//! The reasons why a message cannot be read.

use crate::{Code, InvalidAgentId, InvalidHashAlg, InvalidNonce, InvalidServiceAccountToken};

/// A message that cannot be read. Never repeats a nonce, a quote or a token.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("failed to read the {message}: {problem}")]
pub struct MessageError {
    /// `payload`, `challenge` or `response`.
    pub message: &'static str,
    /// The limit or rule that it breaks.
    pub problem: MessageProblem,
}

/// The limit or rule that a message breaks.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MessageProblem {
    /// Larger than the limit; not parsed.
    #[error("it has {length} bytes; at most {limit} are allowed")]
    TooLarge {
        /// The size in bytes.
        length: usize,
        /// The limit in bytes.
        limit: usize,
    },
    /// Anything but a JSON object with members of the expected types.
    #[error("it is not the expected JSON object: {0}")]
    Json(String),
    /// A required member that is absent, null or empty.
    #[error("the member {0} is missing or empty")]
    Missing(&'static str),
    /// A byte string that is not base64 of text.
    #[error("the member {0} is not base64 (standard alphabet, padded) of text")]
    Base64(&'static str),
    /// An agent id that breaks a rule.
    #[error(transparent)]
    AgentId(#[from] InvalidAgentId),
    /// A hash algorithm that is weak or not supported.
    #[error(transparent)]
    HashAlg(#[from] InvalidHashAlg),
    /// A nonce that no Keylime agent accepts.
    #[error(transparent)]
    Nonce(#[from] InvalidNonce),
    /// A text that is no service account token.
    #[error(transparent)]
    ServiceAccountToken(#[from] InvalidServiceAccountToken),
}

impl MessageError {
    pub(crate) fn reason(&self) -> &'static str {
        match (&self.problem, self.message) {
            (MessageProblem::AgentId(_), _) => "invalid_agent_id",
            (MessageProblem::HashAlg(InvalidHashAlg::Sha1), _) => "weak_hash_alg",
            (MessageProblem::HashAlg(InvalidHashAlg::Unsupported { .. }), _) => "unsupported_hash_alg",
            (MessageProblem::ServiceAccountToken(_), _) => "malformed_token",
            (_, "payload") => "malformed_payload",
            (_, "challenge") => "malformed_challenge",
            (_, _) => "malformed_response",
        }
    }

    /// The status for SPIRE. SHA-1 is the node's own setting, so that its evidence never suffices;
    /// all else is no message at all.
    pub(crate) fn code(&self) -> Code {
        match &self.problem {
            MessageProblem::HashAlg(InvalidHashAlg::Sha1) => Code::PermissionDenied,
            _ => Code::InvalidArgument,
        }
    }
}
