//! The standing of a node whose agent is to be moved.

use keylime_attestor_api::{AttestedNode, NodeState};

/// The content of its `AttestedNode`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Node {
    pub(crate) standing: Standing,
    /// True where SPIRE has an agent on it that Keylime attested.
    pub(crate) issued: bool,
}

/// The standing of a node: its agent may be moved, or not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Standing {
    /// Keylime passes it.
    Passed,
    /// Keylime knows it, and does not pass it now.
    NotPassed,
    NotEnrolled,
}

impl Node {
    pub(crate) fn of(node: &AttestedNode) -> Self {
        let is_true = |type_: &str| {
            let conditions = node.status.iter().flat_map(|status| &status.conditions);
            conditions
                .filter(|condition| condition.type_ == type_)
                .any(|condition| condition.status == "True")
        };
        let not_enrolled = node.status.as_ref().is_some_and(|status| status.state == NodeState::NotEnrolled);
        let standing = match (not_enrolled, is_true("KeylimeHealthy")) {
            (true, _) => Standing::NotEnrolled,
            (false, true) => Standing::Passed,
            (false, false) => Standing::NotPassed,
        };
        Self { standing, issued: is_true("IdentityIssued") }
    }
}
