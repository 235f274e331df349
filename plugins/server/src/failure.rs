//! The failures of an attestation, and SPIRE's status for each.

use evidence::{BindingRefusal, Code, InvalidAgentPath, Refusal};
use keylime::Role;
use spire_plugin::Status;

use crate::enforcement::SpireError;

/// The end of an attestation that gives no identity.
///
/// `Display` is the text for the log. It holds neither nonce nor quote.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    /// A refusal: the evidence or the node's state says no.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// A refusal before the node has proven its identity. Any peer that names an id gets this far,
    /// so that only the log tells what is known of the node.
    #[error(transparent)]
    RefusedBeforeProof(Refusal),
    /// No refusal: Keylime gave no usable answer.
    #[error(transparent)]
    Keylime(keylime::Error),
    /// No refusal: the apiserver gave no usable answer.
    #[error(transparent)]
    Kubernetes(kubernetes::Error),
    /// No refusal: SPIRE's own server gave no usable answer over its socket.
    #[error(transparent)]
    Spire(#[from] SpireError),
    /// SPIRE broke off, or sent an unexpected message.
    #[error("{}", .0.message())]
    Stream(#[from] Status),
    /// The configured template gives no SPIFFE ID for this agent.
    #[error(transparent)]
    Path(#[from] InvalidAgentPath),
}

/// The only text for a peer that has shown no quote.
const NOT_ATTESTED: &str = "the agent is not attested; the log of the SPIRE server tells why";

impl Failure {
    /// The same failure, of an attestation without a quote.
    pub(crate) fn before_proof(self) -> Self {
        match self {
            Self::Refused(refusal) => Self::RefusedBeforeProof(refusal),
            other => other,
        }
    }

    /// A stable name for logs and metrics.
    pub(crate) fn reason(&self) -> &'static str {
        match self {
            Self::Refused(refusal) | Self::RefusedBeforeProof(refusal) => refusal.reason(),
            Self::Keylime(error) => error.reason(),
            Self::Kubernetes(error) => error.reason(),
            Self::Spire(_) => "spire_socket",
            Self::Stream(_) => "broken_stream",
            Self::Path(_) => "invalid_agent_path",
        }
    }

    /// True for a statement about the node or its messages, false for one about this machine or
    /// Keylime.
    pub(crate) fn is_refusal(&self) -> bool {
        self.refusal()
            .is_some_and(|refusal| matches!(refusal.code(), Code::PermissionDenied | Code::InvalidArgument))
    }

    /// True where a human has to act at once, see [`Refusal::is_alarm`].
    pub(crate) fn is_alarm(&self) -> bool {
        self.refusal().is_some_and(Refusal::is_alarm)
    }

    /// True for good evidence against a pair of node and agent that was proven before.
    pub(crate) fn is_against_a_pair(&self) -> bool {
        matches!(self.refusal(), Some(Refusal::Binding(refusal)) if refusal.is_against_a_pair())
    }

    fn refusal(&self) -> Option<&Refusal> {
        match self {
            Self::Refused(refusal) | Self::RefusedBeforeProof(refusal) => Some(refusal),
            Self::Keylime(_) | Self::Kubernetes(_) | Self::Spire(_) | Self::Stream(_) | Self::Path(_) => None,
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

impl From<BindingRefusal> for Failure {
    fn from(refusal: BindingRefusal) -> Self {
        Refusal::from(refusal).into()
    }
}

impl From<kubernetes::Error> for Failure {
    fn from(error: kubernetes::Error) -> Self {
        match error {
            kubernetes::Error::Refused(refusal) => Refusal::from(refusal).into(),
            other => Self::Kubernetes(other),
        }
    }
}

impl From<Failure> for Status {
    fn from(failure: Failure) -> Self {
        let text = failure.to_string();
        match failure {
            Failure::Refused(refusal) => status(refusal.code(), text),
            Failure::RefusedBeforeProof(refusal) => status(refusal.code(), NOT_ATTESTED.to_owned()),
            Failure::Keylime(_) | Failure::Kubernetes(_) | Failure::Spire(_) => Status::unavailable(text),
            Failure::Stream(status) => status,
            Failure::Path(_) => Status::internal(text),
        }
    }
}

fn status(code: Code, text: String) -> Status {
    match code {
        Code::PermissionDenied => Status::permission_denied(text),
        Code::InvalidArgument => Status::invalid_argument(text),
        Code::FailedPrecondition => Status::failed_precondition(text),
        Code::Unavailable => Status::unavailable(text),
        Code::Internal => Status::internal(text),
    }
}
