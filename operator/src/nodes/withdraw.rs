//! Withdrawal from nodes, when their resource is deleted or no longer selects them.

use std::collections::BTreeSet;

use keylime_attestor_api::KeylimeAttestor;

use super::cache::NotCached;
use super::facts::NodeFacts;
use super::{Nodes, write};
use crate::cluster::Error;
use crate::model::target::Owner;

impl Nodes {
    /// Takes everything of a resource off the nodes and deletes its `AttestedNode`s; no poll
    /// follows. True when nothing was left to do: until then it is to be called again, since the
    /// watch may not have delivered the last writes yet.
    ///
    /// # Errors
    /// The apiserver's refusal, or that it is away.
    pub(crate) async fn withdraw(&self, resource: &KeylimeAttestor) -> Result<bool, Error> {
        let owner = Owner::of(resource);
        let tracked = self.tracked(&owner);
        let mut history = tracked.turn.lock().await;
        history.withdrawn.clone_from(&resource.metadata.uid);
        let (nodes, attested_nodes) = match (self.nodes.all(), self.attested_nodes.all()) {
            (Ok(nodes), Ok(attested_nodes)) => (nodes, attested_nodes),
            // An operator that may not read them has not written them either.
            (Err(NotCached::Forbidden(_)), _) | (_, Err(NotCached::Forbidden(_))) => return Ok(true),
            _ => return Ok(false),
        };
        let ours = attested_nodes
            .iter()
            .filter(|(_, attested_node)| attested_node.owner.as_ref() == Some(&owner))
            .map(|(name, _)| name);
        // The watch may deliver our last write to a Node only after its AttestedNode is gone.
        let left = nodes.values().filter(|node| write::is_marked(node)).map(|node| &node.name);
        let of_nobody = left.filter(|name| {
            attested_nodes.get(*name).is_none_or(|attested_node| attested_node.owner.is_none())
        });
        let names: BTreeSet<String> = ours.chain(of_nobody).chain(history.written.keys()).cloned().collect();
        for name in &names {
            self.withdraw_node(nodes.get(name).map(AsRef::as_ref), name).await?;
            history.written.remove(name);
        }
        Ok(self.unalias(&owner).await? && names.is_empty())
    }

    /// Gives the workloads of nodes their former parents back where those agents run again;
    /// elsewhere they keep the parent that still runs. To be called again and again during the
    /// withdrawal from SPIRE; no poll follows.
    ///
    /// # Errors
    /// The apiserver's refusal, or that it is away.
    pub(crate) async fn restore_parents(&self, resource: &KeylimeAttestor) -> Result<(), Error> {
        let owner = Owner::of(resource);
        let tracked = self.tracked(&owner);
        let mut history = tracked.turn.lock().await;
        history.withdrawn.clone_from(&resource.metadata.uid);
        let pods = self.pods(&self.inputs(&owner).unwrap_or_default());
        // Not cached yet: the next call has it.
        let (Ok(nodes), Ok(attested_nodes), Ok(pods)) = (self.nodes.all(), self.attested_nodes.all(), pods)
        else {
            return Ok(());
        };
        for (name, node) in &nodes {
            let is_ours = attested_nodes
                .get(name)
                .is_some_and(|attested_node| attested_node.owner.as_ref() == Some(&owner));
            if is_ours && pods.get(name).is_some_and(|pod| pod.is_back()) {
                write::unparent(&self.cluster, node).await?;
            }
        }
        Ok(())
    }

    /// Takes our annotations, label and taint off a Node, and deletes its `AttestedNode`: last,
    /// since that is the record of whose they are.
    pub(super) async fn withdraw_node(&self, node: Option<&NodeFacts>, name: &str) -> Result<(), Error> {
        if let Some(node) = node {
            write::unmark(&self.cluster, node).await?;
        }
        write::delete(&self.cluster, name).await
    }
}
