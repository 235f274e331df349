//! The JSON messages. Unknown members of a report are ignored, so that it can grow; those of a
//! request are errors.

use evidence::AgentId;
use serde::{Deserialize, Serialize};

/// The agents that SPIRE's server holds, and the state and actions of enforcement, as of the last
/// poll. Times are in Unix seconds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// [`VERSION`](crate::VERSION).
    pub version: u32,
    /// The time at which the plugin's process began to poll: another one after a start of SPIRE's
    /// server.
    pub plugin_started: u64,
    /// SPIRE's trust domain.
    pub trust_domain: String,
    /// The name of the plugin, which is the attestation type of its agents.
    pub plugin_name: String,
    /// The result of the last poll.
    #[serde(rename = "loop")]
    pub enforcement: Loop,
    /// The newest actions, at most [`MAX_ACTIONS`](crate::MAX_ACTIONS), oldest first.
    pub actions: Vec<Action>,
    /// The agents that SPIRE's server holds, of every attestation type, expired ones as well.
    pub agents: Vec<Agent>,
}

/// The health of enforcement.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Loop {
    /// The action on an agent that Keylime fails.
    pub action: Mode,
    /// The time at which the agents in this report were listed. [`None`] before the first poll has
    /// succeeded.
    pub last_poll: Option<u64>,
    /// The reason why the last poll failed: SPIRE or a verifier could not be asked. Nobody is
    /// evicted then.
    pub last_error: Option<String>,
    /// The reason why nothing is done although Keylime fails agents: more of them than
    /// `max_unhealthy` would lose their identity at once.
    pub held: Option<String>,
    /// The number of agents of our attestation type that are not banned.
    pub listed: u32,
    /// The number of them that Keylime fails.
    pub failing: u32,
    /// The number of them that no verifier knows.
    pub unknown: u32,
}

/// The action on agents that Keylime fails.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// None; agents are watched. Earlier configurations say `off`.
    #[default]
    #[serde(alias = "off")]
    Observe,
    /// Eviction: the agent attests anew, and is refused until Keylime passes it.
    Evict,
    /// Ban: a human has to lift it before the agent can attest again.
    Ban,
}

/// An action on an agent, done or failed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Action {
    /// The action's number, from 1 in each process of the plugin.
    pub sequence: u64,
    /// The time of the action.
    pub time: u64,
    /// The node's agent at Keylime; [`None`] for an agent of another attestation type.
    #[serde(default, with = "crate::agent_id", skip_serializing_if = "Option::is_none")]
    pub agent_id: Option<AgentId>,
    /// The agent's SPIFFE ID.
    pub spiffe_id: String,
    /// The UID of the Kubernetes node that a refused attestation came from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node_uid: Option<String>,
    /// The kind of action.
    pub action: Act,
    /// The reason, for a human.
    pub reason: String,
    /// The reason why it failed; [`None`] for an action that was done.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// A kind of action on an agent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Act {
    /// Eviction, because of Keylime.
    Evict,
    /// Ban, because of Keylime.
    Ban,
    /// Eviction, by a request of the operator ([`Reattest`]).
    Reattest,
    /// Refusal of an attestation against a proven pair of node and agent.
    Refuse,
}

/// An agent that SPIRE's server holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Agent {
    /// The agent's SPIFFE ID.
    pub spiffe_id: String,
    /// The attestation type, such as `keylime` or `k8s_psat`.
    pub attestation_type: String,
    /// The node's agent at Keylime; only for agents of our attestation type.
    #[serde(default, with = "crate::agent_id", skip_serializing_if = "Option::is_none")]
    pub agent_id: Option<AgentId>,
    /// The Kubernetes node, where the agent attested by `k8s_psat`, or proved it to us by a token.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node_name: Option<String>,
    /// That node's UID.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node_uid: Option<String>,
    /// SHA-256 of the AK that it attested with, in hexadecimal; only for agents of our attestation
    /// type.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ak_sha256: Option<String>,
    /// The same of the EK.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ek_sha256: Option<String>,
    /// The end of its SVID.
    pub expires: u64,
    /// True for a banned agent.
    pub banned: bool,
}

/// The request to evict an agent, so that it attests anew with the attestor that it has now.
/// Refused for agents of our own attestation type.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Reattest {
    /// The agent's SPIFFE ID.
    pub spiffe_id: String,
}

/// The answer to a request that was refused or failed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rejection {
    /// The reason, for a human.
    pub error: String,
}

#[cfg(test)]
mod tests;
