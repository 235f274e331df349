//! The proven pairs of nodes and agents: an agent is attested from its own node alone, and a node
//! as its own agent, as long as the node is there.
//!
//! Known by the selectors of the agents that SPIRE holds, and by what this process accepted, which
//! outlives an eviction.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use evidence::binding::{ObjectRef, ProvenNode};
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
pub(crate) struct Pairs(Mutex<HashMap<AgentId, ObjectRef>>);

/// The node that an agent was bound to and that is gone.
pub(crate) type Gone = Option<ObjectRef>;

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
        let Some(binding) = &config.binding else { return Ok(None) };
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
        let mut pairs = self.pairs();
        let before =
            pairs.get(agent_id).filter(|before| before.uid != node.uid && gone.as_ref() != Some(before));
        if let Some(before) = before {
            return Err(BindingRefusal::BoundElsewhere { node: before.name.clone() });
        }
        if let Some((other, _)) = pairs.iter().find(|(other, at)| at.uid == node.uid && *other != agent_id) {
            return Err(node_of_another(node, other.as_str()));
        }
        if pairs.len() < MAX_AGENTS || pairs.contains_key(agent_id) {
            let (name, uid) = (node.name.clone(), node.uid.clone());
            pairs.insert(agent_id.clone(), ObjectRef { name, uid });
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
        let accepted = || self.pairs().get(agent_id).cloned();
        let bound = known.and_then(|agent| node_of(config, agent)).or_else(accepted);
        let elsewhere = |bound: &ObjectRef| node.is_none_or(|node| node.uid != bound.uid);
        let Some(bound) = bound.filter(elsewhere) else { return Ok(None) };
        match binding.apiserver.has_node(&bound).await? {
            true => Err(BindingRefusal::BoundElsewhere { node: bound.name }.into()),
            false => Ok(Some(bound)),
        }
    }

    /// Refuses a node that has another agent.
    async fn alone_on(
        &self,
        config: &Config,
        agent_id: &AgentId,
        node: Option<&ProvenNode>,
    ) -> Result<(), Failure> {
        let Some(node) = node else { return Ok(()) };
        let accepted = self
            .pairs()
            .iter()
            .find(|(other, at)| at.uid == node.uid && *other != agent_id)
            .map(|(other, _)| other.to_string());
        let other = match (accepted, config.spire()) {
            (Some(other), _) => Some(other),
            (None, Some(spire)) => held_on(config, spire, agent_id, node).await?,
            (None, None) => None,
        };
        other.map_or(Ok(()), |other| Err(node_of_another(node, &other).into()))
    }

    /// The pairs, also after a panic under the lock, which leaves a whole map.
    fn pairs(&self) -> MutexGuard<'_, HashMap<AgentId, ObjectRef>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
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
