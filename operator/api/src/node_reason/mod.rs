//! The reasons of a node's state, each with its meaning and its remedy. They are on the
//! `AttestedNode`, in `status.nodes`, and the reasons of the Events about nodes.
//! `operator/docs/nodes.md` has them as a table, made by [`markdown`] and compared in a test.

use crate::NodeState;

/// Types of the conditions of an `AttestedNode`.
pub mod node_condition {
    /// Keylime passes the node, and nothing stands against it.
    pub const ATTESTED: &str = "Attested";
    /// Keylime passes the node.
    pub const KEYLIME_HEALTHY: &str = "KeylimeHealthy";
    /// SPIRE has an agent on the node that was attested by Keylime.
    pub const IDENTITY_ISSUED: &str = "IdentityIssued";
}

/// Reasons of an `AttestedNode`'s condition KeylimeHealthy besides those of [`NodeReason`].
pub mod keylime {
    /// Keylime passes the node.
    pub const PASSED: &str = "Passed";
}

/// Reasons of an `AttestedNode`'s condition IdentityIssued besides those of [`NodeReason`].
pub mod identity {
    /// SPIRE has the agent.
    pub const ISSUED: &str = "Issued";
    /// The agents of SPIRE are not known: `spec.enforcement` is absent, or SPIRE's server pods do
    /// not report.
    pub const NOT_OBSERVED: &str = "NotObserved";
}

/// The reason of a node's state. Stable over versions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum NodeReason {
    /// Nothing stands against it.
    Attested,
    /// The verifier fails it.
    KeylimeAttestationFailed,
    /// The verifier has not decided yet.
    KeylimeAttestationPending,
    /// The verifier gives no answer.
    KeylimeUnreachable,
    /// Its last success is too old.
    Stale,
    /// The verifier does not reach its agent, or has not heard from it for too long.
    NotHeardOf,
    /// No verifier has an agent that belongs to it.
    NotEnrolled,
    /// Two agents or two nodes claim each other.
    AmbiguousAgent,
    /// Its agent would be that of another node that is still there.
    AgentMoved,
    /// SPIRE holds another node's agent as its.
    BoundElsewhere,
    /// SPIRE does not have it.
    IdentityNotIssued,
    /// It is not known whether SPIRE has it.
    IdentityUnknown,
    /// SPIRE has it under another attestor.
    IdentityOfOtherAttestor,
    /// SPIRE has banned it.
    Banned,
    /// Its SPIRE agent is not ready.
    SpireAgentNotReady,
}

impl NodeReason {
    /// All reasons.
    pub const ALL: [Self; 15] = [
        Self::Attested,
        Self::KeylimeAttestationFailed,
        Self::Stale,
        Self::KeylimeAttestationPending,
        Self::IdentityNotIssued,
        Self::IdentityOfOtherAttestor,
        Self::Banned,
        Self::SpireAgentNotReady,
        Self::KeylimeUnreachable,
        Self::NotHeardOf,
        Self::IdentityUnknown,
        Self::AmbiguousAgent,
        Self::AgentMoved,
        Self::BoundElsewhere,
        Self::NotEnrolled,
    ];

    /// The name of the reason, as the resources have it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Attested => "Attested",
            Self::KeylimeAttestationFailed => "KeylimeAttestationFailed",
            Self::KeylimeAttestationPending => "KeylimeAttestationPending",
            Self::KeylimeUnreachable => "KeylimeUnreachable",
            Self::Stale => "Stale",
            Self::NotHeardOf => "NotHeardOf",
            Self::NotEnrolled => "NotEnrolled",
            Self::AmbiguousAgent => "AmbiguousAgent",
            Self::AgentMoved => "AgentMoved",
            Self::BoundElsewhere => "BoundElsewhere",
            Self::IdentityNotIssued => "IdentityNotIssued",
            Self::IdentityUnknown => "IdentityUnknown",
            Self::IdentityOfOtherAttestor => "IdentityOfOtherAttestor",
            Self::Banned => "Banned",
            Self::SpireAgentNotReady => "SpireAgentNotReady",
        }
    }

    /// The reason of this name.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|reason| reason.as_str() == name)
    }

    /// The state that goes with the reason.
    pub const fn state(self) -> NodeState {
        match self {
            Self::Attested => NodeState::Attested,
            Self::KeylimeAttestationFailed | Self::Stale => NodeState::Failing,
            Self::KeylimeAttestationPending
            | Self::IdentityNotIssued
            | Self::IdentityOfOtherAttestor
            | Self::Banned
            | Self::SpireAgentNotReady => NodeState::Pending,
            Self::KeylimeUnreachable
            | Self::NotHeardOf
            | Self::IdentityUnknown
            | Self::AmbiguousAgent
            | Self::AgentMoved
            | Self::BoundElsewhere => NodeState::Unknown,
            Self::NotEnrolled => NodeState::NotEnrolled,
        }
    }

    /// The meaning of the reason.
    pub const fn meaning(self) -> &'static str {
        match self {
            Self::Attested => "Keylime passes the node, and nothing stands against it.",
            Self::KeylimeAttestationFailed => {
                "Keylime's verifier fails the node: it is no longer what it was."
            }
            Self::KeylimeAttestationPending => "Keylime's verifier has not decided about the node yet.",
            Self::KeylimeUnreachable => {
                "The verifier that knows the node has given no answer for longer than `spec.nodes.grace`."
            }
            Self::Stale => {
                "The verifier's last success is older than `spec.attestation.maxAttestationAge`: it no longer hears from the node's agent."
            }
            Self::NotHeardOf => {
                "The verifier does not reach the node's agent, or has not heard from it for too long. Nothing is held against the node but its silence."
            }
            Self::NotEnrolled => "No verifier has an agent that belongs to the node.",
            Self::AmbiguousAgent => "Several agents claim the node, or several nodes the agent.",
            Self::AgentMoved => {
                "What fits the node is the agent of another node that is still there, and stays with that one: a machine was renamed, or a node passes itself off as another."
            }
            Self::BoundElsewhere => {
                "What SPIRE holds as the node's agent is bound to another node, which is still there, by an attestation that proved it."
            }
            Self::IdentityNotIssued => {
                "Keylime passes the node, but SPIRE has no agent for it that was attested by Keylime."
            }
            Self::IdentityUnknown => {
                "Keylime passes the node, but with mode ConfigOnly only SPIRE could tell whether it attests by Keylime, and it does not."
            }
            Self::IdentityOfOtherAttestor => {
                "SPIRE still has the node's agent under its former attestor, on an identity that it stored."
            }
            Self::Banned => "The node's agent is banned in SPIRE.",
            Self::SpireAgentNotReady => "Keylime passes the node, but its SPIRE agent is not ready.",
        }
    }

    /// The remedy for a node whose Keylime agent pushes its quotes and opens no port; [`None`] where
    /// it is that of all nodes.
    pub const fn remedy_in_push_mode(self) -> Option<&'static str> {
        match self {
            Self::KeylimeAttestationFailed => Some(
                "Find out in the verifier's log what changed on the node, repair it, and enrol it anew (keylime_tenant -c update --push-model): FAIL stays whatever quotes follow.",
            ),
            Self::KeylimeAttestationPending => Some(
                "Wait; if it stays so, check that the node's Keylime agent runs and reaches the verifier, and that its policy asks for something.",
            ),
            Self::Stale | Self::NotHeardOf => {
                Some("Check that the node's Keylime agent runs, and that it reaches the verifier.")
            }
            Self::IdentityNotIssued => Some(
                "See the log of the node's SPIRE agent; keylime-attestor-quoter has to run on the node, and `spec.keylime.agent.socket` to be its socket.",
            ),
            _ => None,
        }
    }

    /// The remedy.
    pub const fn remedy(self) -> &'static str {
        match self {
            Self::Attested => "Nothing.",
            Self::KeylimeAttestationFailed => {
                "Find out in the verifier's log what changed on the node, repair it, and reactivate the agent (keylime_tenant -c reactivate)."
            }
            Self::KeylimeAttestationPending => {
                "Wait; if it stays so, check that the verifier reaches the node's Keylime agent."
            }
            Self::KeylimeUnreachable => "See the condition KeylimeReachable of the KeylimeAttestor.",
            Self::Stale | Self::NotHeardOf => {
                "Check that the node's Keylime agent runs, and that the verifier runs and reaches it."
            }
            Self::NotEnrolled => {
                "Enrol it (keylime_tenant -c add), or name its agent in `spec.agentId` of the AttestedNode."
            }
            Self::AmbiguousAgent => {
                "Name the agent in `spec.agentId` of the AttestedNode of each node that the message names, or remove the agents that are no more from Keylime."
            }
            Self::AgentMoved => {
                "If the agent was moved on purpose, name it in `spec.agentId` of this AttestedNode, or remove the other node from the cluster. If not, treat it as an incident."
            }
            Self::BoundElsewhere => {
                "If the machine was moved on purpose, delete the Node that it was (kubectl delete node). If not, treat it as an incident."
            }
            Self::IdentityNotIssued => {
                "See the log of the node's SPIRE agent; it attests by itself when Keylime passes."
            }
            Self::IdentityUnknown => {
                "Set `spec.enforcement` ({} is enough), and run SPIRE's server with the derived configuration, so that it reports."
            }
            Self::IdentityOfOtherAttestor => {
                "Wait: the agent is asked once to attest anew. If it stays so, delete the SPIRE agent's pod and its stored data on the node."
            }
            Self::Banned => "When the node is good again, lift the ban (spire-server agent evict).",
            Self::SpireAgentNotReady => "Do what the message of the pod says.",
        }
    }
}

/// The reasons as a Markdown table, one row each.
pub fn markdown() -> String {
    let mut table = "| State | Reason | What it means | What to do |\n| --- | --- | --- | --- |\n".to_owned();
    for reason in NodeReason::ALL {
        let in_push_mode =
            reason.remedy_in_push_mode().map_or(String::new(), |remedy| format!(" In push mode: {remedy}"));
        table += &format!(
            "| {} | `{}` | {} | {}{in_push_mode} |\n",
            reason.state().as_str(),
            reason.as_str(),
            reason.meaning(),
            reason.remedy()
        );
    }
    table
}

#[cfg(test)]
mod tests;
