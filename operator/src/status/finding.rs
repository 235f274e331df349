//! A condition's reason with its message.

use keylime_attestor_api::conditions::Reason;

/// A reason, which knows its condition and status, and the message.
pub(super) type Finding = (Reason, String);
