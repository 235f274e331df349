//! The reasons why the apiserver gave no usable answer.

use crate::model::workload::{UnreadableWorkload, WorkloadKey};

/// The reason why the apiserver gave no usable answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// The apiserver's refusal, or that it gave no answer.
    #[error("failed to {verb} {what}: {}", words(.error))]
    Api {
        /// The request.
        verb: &'static str,
        /// The object.
        what: String,
        /// The client's error.
        error: Box<kube::Error>,
    },
    /// An object of another kind than expected.
    #[error(transparent)]
    Unreadable(#[from] UnreadableWorkload),
    /// A certificate that could not be made.
    #[error("failed to make a certificate for the report: {0}")]
    Certificate(rcgen::Error),
    /// A Secret that somebody else wrote at the same time.
    #[error("failed to keep a certificate for the report in the Secret {0}: somebody else writes it, too")]
    NotKept(String),
    /// A label selector that cannot be written as a query.
    #[error("failed to read the selector of the {0}: {1}")]
    Selector(WorkloadKey, String),
}

impl Error {
    pub(crate) fn api(verb: &'static str, what: impl Into<String>) -> impl FnOnce(kube::Error) -> Self {
        let what = what.into();
        move |error| Self::Api { verb, what, error: Box::new(error) }
    }

    /// True where the apiserver understood the request and refuses it: another try by itself brings
    /// nothing.
    pub(crate) fn is_refusal(&self) -> bool {
        self.code().is_some_and(|code| matches!(code, 400 | 403 | 405 | 413 | 422))
    }

    /// True where the operator lacks the right.
    pub(crate) fn is_forbidden(&self) -> bool {
        self.code() == Some(403)
    }

    /// True where the object changed meanwhile.
    pub(crate) fn is_conflict(&self) -> bool {
        self.code() == Some(409)
    }

    pub(crate) fn is_not_found(&self) -> bool {
        self.code() == Some(404)
    }

    fn code(&self) -> Option<u16> {
        match self {
            Self::Api { error, .. } => match &**error {
                kube::Error::Api(status) => Some(status.code),
                _ => None,
            },
            _ => None,
        }
    }

    /// The fields that others own, each with the apiserver's message on the owner.
    pub(crate) fn owned_by_others(&self) -> Vec<String> {
        let Self::Api { error, .. } = self else { return Vec::new() };
        let kube::Error::Api(status) = &**error else { return Vec::new() };
        let causes = status.details.iter().flat_map(|details| &details.causes);
        causes
            .filter(|cause| cause.reason == "FieldManagerConflict")
            .map(|cause| format!("{} ({})", cause.field, cause.message))
            .collect()
    }
}

/// The apiserver's message without the debug form that the client library adds.
fn words(error: &kube::Error) -> String {
    match error {
        kube::Error::Api(status) if !status.message.is_empty() => status.message.clone(),
        other => other.to_string(),
    }
}
