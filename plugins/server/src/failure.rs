//! Why an attestation ends without an identity, and how SPIRE is told.

use evidence::{Code, InvalidAgentPath, Refusal};
use keylime::Role;
use spire_plugin::Status;

/// The end of an attestation that gives no identity.
///
/// Its text goes to the SPIRE agent and into both logs, so it holds neither nonce nor quote.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    /// A refusal: the evidence or the node's state says no.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// No refusal: Keylime could not be asked, or its answer is none.
    #[error(transparent)]
    Keylime(keylime::Error),
    /// SPIRE broke off, or sent what does not belong there.
    #[error("{}", .0.message())]
    Stream(#[from] Status),
    /// The configured template gives no SPIFFE ID for this agent.
    #[error(transparent)]
    Path(#[from] InvalidAgentPath),
}

impl Failure {
    /// A stable name for logs and metrics.
    pub(crate) fn reason(&self) -> &'static str {
        match self {
            Self::Refused(refusal) => refusal.reason(),
            Self::Keylime(error) => error.reason(),
            Self::Stream(_) => "broken_stream",
            Self::Path(_) => "invalid_agent_path",
        }
    }

    /// Whether it is a statement about the node or its messages, and not about us or Keylime.
    pub(crate) fn is_refusal(&self) -> bool {
        match self {
            Self::Refused(refusal) => {
                matches!(refusal.code(), Code::PermissionDenied | Code::InvalidArgument)
            }
            _ => false,
        }
    }
}

impl From<keylime::Error> for Failure {
    fn from(error: keylime::Error) -> Self {
        match error {
            keylime::Error::UnknownAgent { server, .. } => match server.role {
                Role::Registrar => Refusal::NotRegistered.into(),
                Role::Verifier | Role::Agent => Refusal::NotEnrolled.into(),
            },
            keylime::Error::NotActivated { .. } => Refusal::NotActivated.into(),
            keylime::Error::KnownTwice { .. } => Refusal::EnrolledTwice.into(),
            keylime::Error::UnusableAk { cause, .. } => Refusal::from(cause).into(),
            other => Self::Keylime(other),
        }
    }
}

impl From<Failure> for Status {
    fn from(failure: Failure) -> Self {
        let text = failure.to_string();
        match failure {
            Failure::Refused(refusal) => match refusal.code() {
                Code::PermissionDenied => Status::permission_denied(text),
                Code::InvalidArgument => Status::invalid_argument(text),
                Code::FailedPrecondition => Status::failed_precondition(text),
                Code::Unavailable => Status::unavailable(text),
                Code::Internal => Status::internal(text),
            },
            Failure::Keylime(_) => Status::unavailable(text),
            Failure::Stream(status) => status,
            Failure::Path(_) => Status::internal(text),
        }
    }
}
