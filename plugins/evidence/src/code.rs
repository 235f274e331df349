//! The gRPC statuses of a refusal.

/// The gRPC status of a refusal: SPIRE's agent exits on `PermissionDenied` and tries again on all
/// others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Code {
    /// The bytes that came cannot be read.
    InvalidArgument,
    /// The evidence or the node's state speaks against it.
    PermissionDenied,
    /// No verdict: an answer is missing or cannot be used.
    Unavailable,
    /// The plugin is not configured.
    FailedPrecondition,
    /// A fault of this machine or program.
    Internal,
}
