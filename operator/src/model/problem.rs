//! The problems in the way of a resource.

use keylime_attestor_api::conditions::Reason;

/// A problem in the way of a resource.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Problem {
    pub(crate) reason: Reason,
    /// The expected and the found state, and the remedy.
    pub(crate) message: String,
}

impl Problem {
    pub(crate) fn new(reason: Reason, message: impl Into<String>) -> Self {
        Self { reason, message: message.into() }
    }
}
