//! What stands in the way of a resource.

use keylime_attestor_api::conditions::Reason;

/// One thing that stands in the way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Problem {
    pub(crate) reason: Reason,
    /// What was expected, what was found, and what to do.
    pub(crate) message: String,
}

impl Problem {
    pub(crate) fn new(reason: Reason, message: impl Into<String>) -> Self {
        Self { reason, message: message.into() }
    }
}
