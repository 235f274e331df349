//! The agents that SPIRE has, by the reports of the plugins in its server pods. Pure.

use std::collections::{BTreeMap, BTreeSet};

use evidence::AgentId;
use keylime::Endpoint;
use report::Report;

use super::bindings::{Proof, Proofs};
use super::facts::NodeFacts;

/// The report of a pod of SPIRE's server.
#[derive(Clone, Debug)]
pub(crate) struct Reported {
    pub(crate) pod: String,
    pub(crate) endpoint: Endpoint,
    pub(crate) report: Report,
}

/// The agents of all reports: ours by their ID at Keylime, others by their node.
#[derive(Debug, Default)]
pub(crate) struct SpireAgents {
    ours: BTreeMap<AgentId, Held>,
    others: BTreeMap<NodeKey, Other>,
    /// The pairs that our agents proved.
    pub(crate) proofs: Proofs,
    /// All agents of other attestation types that are not banned, each with its node where that is
    /// known.
    all_others: Vec<(String, Option<NodeKey>)>,
}

/// An agent of our attestation type.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Held {
    pub(crate) spiffe_id: String,
    pub(crate) banned: bool,
    pub(crate) expires: u64,
}

/// An agent of another attestation type.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Other {
    pub(crate) spiffe_id: String,
    pub(crate) attestation_type: String,
    pub(crate) expires: u64,
    pub(crate) banned: bool,
    /// The endpoint of the pod that reported it.
    pub(crate) endpoint: Endpoint,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum NodeKey {
    Uid(String),
    Name(String),
}

impl SpireAgents {
    /// The agents of all reports together; [`None`] when none of the reports' loops has polled
    /// SPIRE's agents. Agents whose SVID has ended have no identity.
    pub(crate) fn of(reports: &[Reported], now: u64) -> Option<Self> {
        let mut all = None;
        for Reported { endpoint, report, .. } in reports {
            if report.enforcement.last_poll.is_none() {
                continue;
            }
            let all: &mut Self = all.get_or_insert_default();
            for agent in report.agents.iter().filter(|agent| agent.banned || agent.expires > now) {
                all.add(agent, &report.plugin_name, endpoint);
            }
        }
        all
    }

    /// The agent of our attestation type with this ID at Keylime.
    pub(crate) fn ours(&self, agent: &AgentId) -> Option<&Held> {
        self.ours.get(agent)
    }

    /// The agent of another attestation type on a node.
    pub(crate) fn other(&self, node: &NodeFacts) -> Option<&Other> {
        let by_uid = self.others.get(&NodeKey::Uid(node.uid.clone()));
        by_uid.or_else(|| self.others.get(&NodeKey::Name(node.name.clone())))
    }

    /// The agents of other attestation types that are of none of these nodes.
    pub(crate) fn elsewhere<'n>(&self, nodes: impl Iterator<Item = &'n NodeFacts>) -> Vec<String> {
        let keys = |node: &NodeFacts| [NodeKey::Uid(node.uid.clone()), NodeKey::Name(node.name.clone())];
        let known: BTreeSet<NodeKey> = nodes.flat_map(keys).collect();
        let others = self.all_others.iter();
        let others = others.filter(|(_, key)| key.as_ref().is_none_or(|key| !known.contains(key)));
        others.map(|(spiffe_id, _)| spiffe_id.clone()).collect()
    }

    fn add(&mut self, agent: &report::Agent, plugin_name: &str, endpoint: &Endpoint) {
        let report::Agent { spiffe_id, attestation_type, agent_id, node_name, node_uid, .. } = agent;
        let report::Agent { expires, banned, .. } = agent;
        if attestation_type == plugin_name {
            let Some(id) = agent_id else { return };
            let held = Held { spiffe_id: spiffe_id.clone(), banned: *banned, expires: *expires };
            // After a change of the path template SPIRE may have an agent twice: the newer one
            // counts.
            let newer = self.ours.get(id).is_none_or(|known| known.expires <= held.expires);
            if newer {
                self.ours.insert(id.clone(), held);
            }
            if let Some(uid) = node_uid {
                let (ak_sha256, ek_sha256) = (agent.ak_sha256.clone(), agent.ek_sha256.clone());
                let proof = Proof { agent_id: id.clone(), ak_sha256, ek_sha256 };
                self.proofs.entry(uid.clone()).or_default().push(proof);
            }
            return;
        }
        let other = Other {
            spiffe_id: spiffe_id.clone(),
            attestation_type: attestation_type.clone(),
            expires: *expires,
            banned: *banned,
            endpoint: endpoint.clone(),
        };
        // A UID is one node's for ever, while a name may come again: the name only counts without a
        // UID.
        let key = match (node_uid, node_name) {
            (Some(uid), _) => Some(NodeKey::Uid(uid.clone())),
            (None, Some(name)) => Some(NodeKey::Name(name.clone())),
            (None, None) => None,
        };
        if !banned {
            self.all_others.push((spiffe_id.clone(), key.clone()));
        }
        if let Some(key) = key {
            self.others.insert(key, other);
        }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use serde_json::{Value, json};

    use super::*;

    pub(in crate::nodes) fn reported(agents: &Value, last_poll: Option<u64>) -> Reported {
        let report = json!({
            "version": 1, "plugin_started": 1, "trust_domain": "example.org", "plugin_name": "keylime",
            "loop": {"action": "evict", "last_poll": last_poll, "last_error": null, "held": null, "listed": 0, "failing": 0, "unknown": 0},
            "actions": [], "agents": agents,
        });
        Reported {
            pod: "spire-server-0".to_owned(),
            endpoint: Endpoint::new("10.0.0.9", 9797).unwrap(),
            report: serde_json::from_value(report).unwrap(),
        }
    }

    fn agent(spiffe_id: &str, type_: &str, more: Value) -> Value {
        let mut agent =
            json!({"spiffe_id": spiffe_id, "attestation_type": type_, "expires": 100, "banned": false});
        agent.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        agent
    }

    fn node(name: &str, uid: &str) -> NodeFacts {
        NodeFacts { name: name.to_owned(), uid: uid.to_owned(), ..NodeFacts::default() }
    }

    #[test]
    fn agents_are_found_by_id_and_by_node() {
        let agents = json!([
            agent("a", "keylime", json!({"agent_id": "x"})),
            agent("a-new", "keylime", json!({"agent_id": "x", "expires": 200})),
            agent("b", "keylime", json!({"agent_id": "y", "banned": true, "expires": 10})),
            agent("c", "keylime", json!({"agent_id": "z", "expires": 50})),
            agent("d", "k8s_psat", json!({"node_name": "n", "node_uid": "u"})),
            agent("e", "k8s_sat", json!({"node_name": "m"})),
            agent("f", "k8s_psat", json!({"node_name": "o", "node_uid": "old"})),
            agent("g", "join_token", json!({})),
            agent("h", "join_token", json!({"banned": true})),
        ]);
        let spire = SpireAgents::of(&[reported(&agents, Some(1))], 50).unwrap();
        let ours = |id: &str| {
            spire.ours(&AgentId::new(id).unwrap()).map(|held| (held.spiffe_id.as_str(), held.banned))
        };
        assert_eq!((ours("x"), ours("y"), ours("z")), (Some(("a-new", false)), Some(("b", true)), None));
        let other = |name, uid| spire.other(&node(name, uid)).map(|other| other.spiffe_id.as_str());
        assert_eq!((other("n", "u"), other("m", "v"), other("o", "new")), (Some("d"), Some("e"), None));
        let nodes = [node("n", "u"), node("m", "v"), node("o", "new")];
        assert_eq!(spire.elsewhere(nodes.iter()), ["f", "g"]);
    }

    #[test]
    fn reports_add_up_and_none_is_not_an_empty_one() {
        let one = reported(&json!([agent("a", "keylime", json!({"agent_id": "x"}))]), Some(1));
        let two = reported(&json!([agent("b", "keylime", json!({"agent_id": "y"}))]), Some(1));
        let spire = SpireAgents::of(&[one, two], 1).unwrap();
        assert_eq!(spire.ours.len(), 2);
        assert!(SpireAgents::of(&[], 1).is_none());
        assert!(SpireAgents::of(&[reported(&json!([]), None)], 1).is_none());
    }
}
