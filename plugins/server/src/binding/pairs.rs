//! The proven pairs of nodes and agents: an agent is attested from its own node alone, and a node
//! as its own agent, as long as the node is there.
//!
//! Known by the selectors of the agents that SPIRE holds, and by what this process accepted, which
//! outlives an eviction.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use evidence::binding::{ObjectRef, ProvenNode, Uid};
use evidence::{AgentId, BindingRefusal};
use keylime_attestor_proto::api::types::Selector;
use report::MAX_AGENTS;

use super::Binding;
use crate::clock::unix_time;
use crate::config::Config;
use crate::enforcement::{Spire, SpireAgent};
use crate::failure::Failure;

/// The pairs that this process accepted, at most as many as there are agents.
#[derive(Default)]
pub(crate) struct Pairs(Mutex<Accepted>);

/// Both directions, of which each attestation asks.
#[derive(Default)]
struct Accepted {
    nodes: HashMap<AgentId, ObjectRef>,
    agents: HashMap<Uid, AgentId>,
}

/// The nodes that an agent was bound to and that are gone.
pub(crate) type Gone = Vec<ObjectRef>;

impl Pairs {
    /// Compares an attestation with the pairs of before. `known` is the agent as SPIRE holds it.
    ///
    /// # Errors
    /// The pair that it is against, or the failure to learn whether its node is still there.
    pub(crate) async fn compare(
        &self,
        config: &Config,
        agent_id: &AgentId,
        node: Option<&ProvenNode>,
        known: Option<&SpireAgent>,
    ) -> Result<Gone, Failure> {
        let Some(binding) = &config.binding else { return Ok(Gone::new()) };
        let own = self.own_node(config, binding, agent_id, node, known);
        let (gone, alone) = tokio::join!(own, self.alone_on(config, agent_id, node));
        alone.and(gone)
    }

    /// Binds the agent to its node, right before it is accepted. `gone` is what [`Pairs::compare`]
    /// found of the node of before.
    ///
    /// # Errors
    /// A pair that was made meanwhile.
    pub(crate) fn bind(
        &self,
        agent_id: &AgentId,
        node: Option<&ProvenNode>,
        gone: Gone,
    ) -> Result<(), BindingRefusal> {
        let Some(node) = node else { return Ok(()) };
        let mut accepted = self.accepted();
        let before = accepted.nodes.get(agent_id);
        if let Some(before) = before.filter(|before| before.uid != node.uid && !gone.contains(before)) {
            return Err(BindingRefusal::BoundElsewhere { node: before.name.clone() });
        }
        if let Some(other) = accepted.other_on(node, agent_id) {
            return Err(node_of_another(node, other.as_str()));
        }
        if accepted.nodes.len() < MAX_AGENTS || before.is_some() {
            accepted.bind(agent_id, node);
        }
        Ok(())
    }

    /// Refuses an agent that is bound to another node, or that shows none, while its own is there.
    async fn own_node(
        &self,
        config: &Config,
        binding: &Binding,
        agent_id: &AgentId,
        node: Option<&ProvenNode>,
        known: Option<&SpireAgent>,
    ) -> Result<Gone, Failure> {
        let accepted = self.accepted().nodes.get(agent_id).cloned();
        let held = known.and_then(|agent| node_of(config, agent));
        let other = accepted.filter(|accepted| held.as_ref() != Some(accepted));
        let mut gone = Gone::new();
        for bound in held.into_iter().chain(other) {
            if node.is_some_and(|node| node.uid == bound.uid) {
                continue;
            }
            if binding.apiserver.has_node(&bound).await? {
                return Err(BindingRefusal::BoundElsewhere { node: bound.name }.into());
            }
            gone.push(bound);
        }
        Ok(gone)
    }

    /// Refuses a node that has another agent.
    async fn alone_on(
        &self,
        config: &Config,
        agent_id: &AgentId,
        node: Option<&ProvenNode>,
    ) -> Result<(), Failure> {
        let Some(node) = node else { return Ok(()) };
        let accepted = self.accepted().other_on(node, agent_id).map(ToString::to_string);
        let other = match (accepted, config.spire()) {
            (Some(other), _) => Some(other),
            (None, Some(spire)) => held_on(config, spire, agent_id, node).await?,
            (None, None) => None,
        };
        other.map_or(Ok(()), |other| Err(node_of_another(node, &other).into()))
    }

    /// The pairs, also after a panic under the lock, which leaves whole maps.
    fn accepted(&self) -> MutexGuard<'_, Accepted> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Accepted {
    fn other_on(&self, node: &ProvenNode, agent_id: &AgentId) -> Option<&AgentId> {
        self.agents.get(&node.uid).filter(|other| *other != agent_id)
    }

    fn bind(&mut self, agent_id: &AgentId, node: &ProvenNode) {
        let (name, uid) = (node.name.clone(), node.uid.clone());
        self.agents.insert(uid.clone(), agent_id.clone());
        let before = self.nodes.insert(agent_id.clone(), ObjectRef { name, uid });
        if let Some(before) = before.filter(|before| before.uid != node.uid) {
            self.agents.remove(&before.uid);
        }
    }
}

/// Another agent with this node that SPIRE holds. One whose SVID has expired does not count.
async fn held_on(
    config: &Config,
    spire: &Spire,
    agent_id: &AgentId,
    node: &ProvenNode,
) -> Result<Option<String>, Failure> {
    let kind = config.plugin_name();
    let selector = Selector { r#type: kind.to_owned(), value: format!("node_uid:{}", node.uid) };
    let agents = spire.with_selector(kind, selector).await?;
    let now = unix_time();
    let is_other = |agent: &SpireAgent| {
        agent.expires > now && agent.selectors(kind, "agent_id").any(|id| id != agent_id.as_str())
    };
    Ok(agents.into_iter().find(is_other).map(|agent| agent.spiffe_id))
}

/// The node by which an agent that SPIRE holds attested.
fn node_of(config: &Config, agent: &SpireAgent) -> Option<ObjectRef> {
    let of = |key| agent.selectors(config.plugin_name(), key).next();
    Some(ObjectRef { name: of("node_name")?.parse().ok()?, uid: of("node_uid")?.parse().ok()? })
}

fn node_of_another(node: &ProvenNode, other: &str) -> BindingRefusal {
    BindingRefusal::NodeOfAnother { node: node.name.clone(), other: other.to_owned() }
}
