//! The JSON. Unknown members of a report are ignored, so that it can grow; a request has to be
//! understood whole.

use evidence::AgentId;
use serde::{Deserialize, Serialize};

/// What SPIRE's server holds, and what enforcement sees and did, as of the last poll. Times are in
/// Unix seconds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// [`VERSION`](crate::VERSION).
    pub version: u32,
    /// When the plugin's process began to poll: other than before, when SPIRE's server was started
    /// again.
    pub plugin_started: u64,
    /// SPIRE's trust domain.
    pub trust_domain: String,
    /// The name of the plugin, which is the attestation type of its agents.
    pub plugin_name: String,
    /// What the last poll found.
    #[serde(rename = "loop")]
    pub enforcement: Loop,
    /// What was done last, at most [`MAX_ACTIONS`](crate::MAX_ACTIONS), oldest first.
    pub actions: Vec<Action>,
    /// The agents that SPIRE's server holds, of every attestation type, expired ones as well.
    pub agents: Vec<Agent>,
}

/// The health of enforcement.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Loop {
    /// What is done to an agent that Keylime fails.
    pub action: Mode,
    /// When the agents in this report were listed. Nothing before the first poll has succeeded.
    pub last_poll: Option<u64>,
    /// Why the last poll failed: SPIRE or a verifier could not be asked. Nobody is evicted
    /// then.
    pub last_error: Option<String>,
    /// Why nothing is done although Keylime fails agents: more of them than `max_unhealthy` would
    /// go at once.
    pub held: Option<String>,
    /// How many agents of our attestation type there are that are not banned.
    pub listed: u32,
    /// How many of them Keylime fails.
    pub failing: u32,
    /// How many of them no verifier knows.
    pub unknown: u32,
}

/// What is done to agents that Keylime fails.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// Nothing; agents are watched. Earlier configurations say `off`.
    #[default]
    #[serde(alias = "off")]
    Observe,
    /// They are evicted: each attests anew, and is refused until Keylime passes it.
    Evict,
    /// They are banned: a human has to let them in again.
    Ban,
}

/// Something that was done to an agent, or tried.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Action {
    /// Counts from 1 in each process of the plugin.
    pub sequence: u64,
    /// When.
    pub time: u64,
    /// The node's agent at Keylime; nothing for an agent of another attestation type.
    #[serde(default, with = "crate::agent_id", skip_serializing_if = "Option::is_none")]
    pub agent_id: Option<AgentId>,
    /// The agent at SPIRE.
    pub spiffe_id: String,
    /// What was done.
    pub action: Act,
    /// Why, for a person.
    pub reason: String,
    /// Why it failed; nothing when it was done.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// What can be done to an agent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Act {
    /// Evicted, because of Keylime.
    Evict,
    /// Banned, because of Keylime.
    Ban,
    /// Evicted, because it was asked for by [`Reattest`].
    Reattest,
}

/// An agent that SPIRE's server holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Agent {
    /// Its SPIFFE ID.
    pub spiffe_id: String,
    /// How it attested, such as `keylime` or `k8s_psat`.
    pub attestation_type: String,
    /// The node's agent at Keylime; only for agents of our attestation type.
    #[serde(default, with = "crate::agent_id", skip_serializing_if = "Option::is_none")]
    pub agent_id: Option<AgentId>,
    /// The Kubernetes node, where the agent attested by `k8s_psat`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node_name: Option<String>,
    /// That node's UID.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node_uid: Option<String>,
    /// When its SVID ends.
    pub expires: u64,
    /// Whether it is banned.
    pub banned: bool,
}

/// A request: evict this agent, so that it attests anew with the attestor that it has now. Refused
/// for agents of our own attestation type.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Reattest {
    /// Its SPIFFE ID.
    pub spiffe_id: String,
}

/// The answer to a request that is refused or failed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rejection {
    /// Why, for a person.
    pub error: String,
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn report() -> Report {
        let agent_id = AgentId::new("a").ok();
        Report {
            version: crate::VERSION,
            plugin_started: 1,
            trust_domain: "example.org".into(),
            plugin_name: "keylime".into(),
            enforcement: Loop {
                action: Mode::Evict,
                last_poll: Some(2),
                last_error: None,
                held: Some("h".into()),
                listed: 3,
                failing: 1,
                unknown: 1,
            },
            actions: vec![Action {
                sequence: 1,
                time: 2,
                agent_id: agent_id.clone(),
                spiffe_id: "spiffe://example.org/spire/agent/keylime/a".into(),
                action: Act::Evict,
                reason: "r".into(),
                error: None,
            }],
            agents: vec![Agent {
                spiffe_id: "spiffe://example.org/spire/agent/k8s_psat/c/u".into(),
                attestation_type: "k8s_psat".into(),
                agent_id: None,
                node_name: Some("n".into()),
                node_uid: Some("u".into()),
                expires: 4,
                banned: false,
            }],
        }
    }

    fn json() -> Value {
        json!({
            "version": 1, "plugin_started": 1, "trust_domain": "example.org", "plugin_name": "keylime",
            "loop": {"action": "evict", "last_poll": 2, "last_error": null, "held": "h", "listed": 3, "failing": 1,
                "unknown": 1},
            "actions": [{"sequence": 1, "time": 2, "agent_id": "a",
                "spiffe_id": "spiffe://example.org/spire/agent/keylime/a", "action": "evict", "reason": "r"}],
            "agents": [{"spiffe_id": "spiffe://example.org/spire/agent/k8s_psat/c/u", "attestation_type": "k8s_psat",
                "node_name": "n", "node_uid": "u", "expires": 4, "banned": false}],
        })
    }

    #[test]
    fn a_report_has_this_form_and_may_grow() {
        assert_eq!(serde_json::to_value(report()).unwrap(), json());
        let mut grown = json();
        grown["new"] = json!({"a": 1});
        assert_eq!(serde_json::from_value::<Report>(grown).unwrap(), report());
    }

    #[test]
    fn what_is_no_id_action_or_mode_is_refused() {
        for (pointer, value) in [
            ("/actions/0/agent_id", json!("../x")),
            ("/actions/0/agent_id", json!(7)),
            ("/actions/0/action", json!("delete")),
            ("/loop/action", json!("Evict")),
            ("/agents/0/banned", json!("no")),
            ("/agents/0/expires", json!(-1)),
        ] {
            let mut wrong = json();
            *wrong.pointer_mut(pointer).unwrap() = value;
            assert!(serde_json::from_value::<Report>(wrong).is_err(), "{pointer}");
        }
    }

    #[test]
    fn a_request_is_understood_whole() {
        assert!(serde_json::from_str::<Reattest>(r#"{"spiffe_id": "a"}"#).is_ok());
        for text in ["{}", r#"{"spiffe_id": "a", "ban": true}"#, r#"{"spiffe_id": 1}"#] {
            assert!(serde_json::from_str::<Reattest>(text).is_err(), "{text}");
        }
    }
}
