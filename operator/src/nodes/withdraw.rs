//! Taking back what is on nodes, when their resource is deleted or no longer selects them.

use std::collections::BTreeSet;

use keylime_attestor_api::KeylimeAttestor;

use super::facts::NodeFacts;
use super::follow::NotFollowed;
use super::{Nodes, write};
use crate::cluster::Error;
use crate::model::target::Owner;

impl Nodes {
    /// Takes everything of a resource off the nodes and deletes its `AttestedNode`s; no look
    /// follows. True when nothing was left to do: until then it is to be called again, since what
    /// was written last may not have been seen yet.
    ///
    /// # Errors
    /// When the apiserver does not take it.
    pub(crate) async fn withdraw(&self, resource: &KeylimeAttestor) -> Result<bool, Error> {
        let owner = Owner::of(resource);
        let one = self.one(&owner);
        let mut past = one.turn.lock().await;
        past.withdrawn.clone_from(&resource.metadata.uid);
        let (nodes, kept) = match (self.nodes.all(), self.kept.all()) {
            (Ok(nodes), Ok(kept)) => (nodes, kept),
            // What the operator may not read, it has not written.
            (Err(NotFollowed::Forbidden(_)), _) | (_, Err(NotFollowed::Forbidden(_))) => return Ok(true),
            _ => return Ok(false),
        };
        let ours = kept.iter().filter(|(_, kept)| kept.owner.as_ref() == Some(&owner)).map(|(name, _)| name);
        // What was on a Node may be seen only after its AttestedNode is gone.
        let left = nodes.values().filter(|node| write::is_marked(node)).map(|node| &node.name);
        let of_nobody = left.filter(|name| kept.get(*name).is_none_or(|kept| kept.owner.is_none()));
        let names: BTreeSet<String> = ours.chain(of_nobody).chain(past.written.keys()).cloned().collect();
        for name in &names {
            self.take_off(nodes.get(name).map(AsRef::as_ref), name).await?;
            past.written.remove(name);
        }
        Ok(names.is_empty())
    }

    /// Has the workloads of nodes hang on their former agents again where these are back; those of
    /// the others keep the parent that still runs. To be called again and again while SPIRE is
    /// being taken back; no look follows.
    ///
    /// # Errors
    /// When the apiserver does not take it.
    pub(crate) async fn give_workloads_back(&self, resource: &KeylimeAttestor) -> Result<(), Error> {
        let owner = Owner::of(resource);
        let one = self.one(&owner);
        let mut past = one.turn.lock().await;
        past.withdrawn.clone_from(&resource.metadata.uid);
        let pods = self.pods(&self.given(&owner).unwrap_or_default());
        // What is not seen yet is seen the next time.
        let (Ok(nodes), Ok(kept), Ok(pods)) = (self.nodes.all(), self.kept.all(), pods) else {
            return Ok(());
        };
        for (name, node) in &nodes {
            let is_ours = kept.get(name).is_some_and(|kept| kept.owner.as_ref() == Some(&owner));
            if is_ours && pods.get(name).is_some_and(|pod| pod.is_back()) {
                write::unparent(&self.cluster, node).await?;
            }
        }
        Ok(())
    }

    /// Takes what is ours off a Node, and deletes its `AttestedNode`: last, since it tells what is
    /// ours.
    pub(super) async fn take_off(&self, node: Option<&NodeFacts>, name: &str) -> Result<(), Error> {
        if let Some(node) = node {
            write::unmark(&self.cluster, node).await?;
        }
        write::delete(&self.cluster, name).await
    }
}
