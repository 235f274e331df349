//! The reasons why the apiserver gave no usable answer.

use crate::model::workload::{UnreadableWorkload, WorkloadKey};

/// Why the apiserver gave no answer that is of use.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// The apiserver's own word.
    #[error("failed to {verb} {what}: {}", words(.error))]
    Api {
        /// What was tried.
        verb: &'static str,
        /// On which object.
        what: String,
        /// What came.
        error: Box<kube::Error>,
    },
    /// An object that is not what it should be.
    #[error(transparent)]
    Unreadable(#[from] UnreadableWorkload),
    /// A label selector that cannot be written as a query.
    #[error("failed to read the selector of the {0}: {1}")]
    Selector(WorkloadKey, String),
}

impl Error {
    pub(crate) fn api(verb: &'static str, what: impl Into<String>) -> impl FnOnce(kube::Error) -> Self {
        let what = what.into();
        move |error| Self::Api { verb, what, error: Box::new(error) }
    }

    /// Whether the apiserver understood and will not: trying again by itself brings nothing.
    pub(crate) fn is_refusal(&self) -> bool {
        self.code().is_some_and(|code| matches!(code, 400 | 403 | 405 | 413 | 422))
    }

    /// Whether the operator lacks the right.
    pub(crate) fn is_forbidden(&self) -> bool {
        self.code() == Some(403)
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

    /// The fields that others own, each with the apiserver's words on who.
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
