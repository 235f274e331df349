//! The proven pairs of nodes and agents: pinned by the first proof, and from then on as long as the
//! Node is there, whatever else is proven or said. Pure.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use evidence::AgentId;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use keylime_attestor_api::{AttestedNodeStatus, NodeBinding, NodeState};

use super::View;
use super::facts::NodeFacts;
use super::matching::Claims;

/// A proof that SPIRE's server holds: an agent's id with the keys that it attested with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Proof {
    pub(crate) agent_id: AgentId,
    pub(crate) ak_sha256: Option<String>,
    pub(crate) ek_sha256: Option<String>,
}

/// The proofs by the UID of the Node.
pub(crate) type Proofs = BTreeMap<String, Vec<Proof>>;

/// The pairs, and the proofs against them.
#[derive(Debug, Default)]
pub(crate) struct Bindings {
    /// The pairs by node, in both directions of one agent a node.
    pub(crate) pinned: BTreeMap<String, NodeBinding>,
    /// By the node that a proof names: the text for the user.
    pub(crate) against: BTreeMap<String, String>,
    /// The nodes of the pairs by agent.
    by_agent: BTreeMap<String, String>,
}

/// The pairs of now: those of before whose Node is still there and whose agent no administrator
/// named elsewhere, then those of new proofs.
pub(crate) fn bindings(
    nodes: &BTreeMap<String, Arc<NodeFacts>>,
    before: &BTreeMap<String, Arc<AttestedNodeStatus>>,
    claims: &Claims,
    proofs: &Proofs,
    now: &Time,
) -> Bindings {
    let mut bindings = Bindings::default();
    let claimed: BTreeSet<&str> = claims.values().map(String::as_str).collect();
    let is_given = |node: &str, agent: &str| match claims.get(node) {
        Some(claim) => claim != agent,
        None => claimed.contains(agent),
    };
    for (name, node) in nodes {
        let pinned = before.get(name).and_then(|status| status.binding.as_ref());
        let pinned = pinned.filter(|pinned| pinned.node_uid == node.uid && !is_given(name, &pinned.agent_id));
        if let Some(pinned) = pinned {
            bindings.pin(name, pinned.clone());
        }
    }
    for (name, node) in nodes {
        for proof in proofs.get(&node.uid).into_iter().flatten() {
            if !is_given(name, proof.agent_id.as_str()) {
                bindings.take(name, node, proof, now);
            }
        }
    }
    bindings
}

/// The nodes that may have an identity by Keylime, now or soon, and did not prove themselves by a
/// token yet. [`None`] where no pod of SPIRE's server tells.
pub(crate) fn unbound(view: &View) -> Option<Vec<String>> {
    view.others.as_ref()?;
    let unbound = view.nodes.iter().filter(|(_, node)| {
        node.status.binding.is_none()
            && matches!(node.reason.state(), NodeState::Attested | NodeState::Pending)
    });
    Some(unbound.map(|(name, _)| name.clone()).collect())
}

impl Bindings {
    fn pin(&mut self, name: &str, pinned: NodeBinding) {
        self.by_agent.insert(pinned.agent_id.clone(), name.to_owned());
        self.pinned.insert(name.to_owned(), pinned);
    }

    fn take(&mut self, name: &str, node: &NodeFacts, proof: &Proof, now: &Time) {
        let agent = proof.agent_id.as_str();
        let elsewhere = self.by_agent.get(agent).filter(|other| *other != name);
        let text = match (elsewhere, self.pinned.get(name)) {
            (Some(other), _) => {
                format!("SPIRE holds agent {agent} as that of node {name}, and it is bound to node {other}")
            }
            (None, Some(own)) if own.agent_id != agent => {
                format!(
                    "SPIRE holds agent {agent} as that of node {name}, which is bound to agent {}",
                    own.agent_id
                )
            }
            (None, Some(_)) => return,
            (None, None) => {
                let Proof { ak_sha256, ek_sha256, .. } = proof.clone();
                let (node_uid, agent_id) = (node.uid.clone(), agent.to_owned());
                self.pin(name, NodeBinding { node_uid, agent_id, ak_sha256, ek_sha256, since: now.clone() });
                return;
            }
        };
        self.against.insert(name.to_owned(), text);
    }
}

#[cfg(test)]
mod tests;
