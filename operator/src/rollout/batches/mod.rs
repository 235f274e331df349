//! A rollout in batches: the nodes that get their new SPIRE agent next, by the cluster's state.
//! Pure.
//!
//! A batch is first written into the status and then carried out, so that the next reconcile, also
//! after a crash, knows its nodes.

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::api::core::v1::Pod;
use keylime_attestor_api::Share;
use keylime_attestor_api::names::annotation;
use kube::ResourceExt as _;

use crate::model::node::{Node, Standing};
use crate::model::pod::{carries_overlay, is_ready};

/// Most nodes in a batch: they are listed in the status.
const MAX_BATCH: usize = 500;

/// The inputs of a decision.
pub(crate) struct Facts<'a> {
    /// The nodes of the resource, by name.
    pub(crate) nodes: &'a BTreeMap<String, Node>,
    /// True where Keylime answers. Otherwise no agent is moved: one that restarts is refused.
    pub(crate) keylime_answers: bool,
    /// The nodes for which there is no plugin.
    pub(crate) unsupported: &'a BTreeSet<String>,
    /// The DaemonSet's pods.
    pub(crate) pods: &'a [Pod],
    /// The hash of the overlay that moved pods carry.
    pub(crate) hash: &'a str,
    /// The size of a batch.
    pub(crate) share: Share,
    /// True where a node counts as moved only when SPIRE is known to have attested it; otherwise a
    /// pod that is ready is enough.
    pub(crate) needs_identity: bool,
    /// The batch under way, by the status.
    pub(crate) batch: &'a [String],
}

/// The decision: the batch of now, and the nodes beside it.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Assessment {
    /// The batch under way; empty when no node can be moved.
    pub(crate) batch: Vec<String>,
    /// True for a batch that begins now. Its pods are replaced at the next reconcile.
    pub(crate) begins: bool,
    /// Nodes of the batch that are not done.
    pub(crate) waiting: Vec<String>,
    /// Pods of the batch that are to be replaced.
    pub(crate) replace: Vec<Pod>,
    /// Nodes whose agent is the new one.
    pub(crate) moved: usize,
    /// Nodes with the old agent that Keylime knows and does not pass now.
    pub(crate) not_passed: Vec<String>,
    /// Nodes with the old agent that Keylime has no agent for.
    pub(crate) not_enrolled: Vec<String>,
}

impl Assessment {
    /// True when no batch is under way, and no node that Keylime knows is left.
    pub(crate) fn is_done(&self) -> bool {
        self.batch.is_empty() && self.not_passed.is_empty()
    }
}

/// Decides which pods are replaced now, and whether the next batch begins.
pub(crate) fn decide(facts: &Facts<'_>) -> Assessment {
    let agents = agents(facts.pods, facts.hash);
    let mut assessment = Assessment { moved: moved(&agents), ..Assessment::default() };
    for (name, _) in agents.iter().filter(|(_, agent)| matches!(agent, Agent::Old(_))) {
        match standing(facts, name) {
            Standing::Passed => {}
            Standing::NotPassed => assessment.not_passed.push((*name).to_owned()),
            Standing::NotEnrolled => assessment.not_enrolled.push((*name).to_owned()),
        }
    }
    for name in facts.batch {
        match (agents.get(name.as_str()), standing(facts, name)) {
            (Some(Agent::Old(pod)), Standing::Passed) => {
                assessment.replace.push((*pod).clone());
                assessment.waiting.push(name.clone());
            }
            // Not replaced yet, and no longer to be: Keylime does not pass the node now.
            (Some(Agent::Old(_)), _) => continue,
            (Some(Agent::New { ready }), _) if *ready && has_identity(facts, name) => {}
            (Some(_), _) => assessment.waiting.push(name.clone()),
            (None, _) if facts.nodes.contains_key(name) => assessment.waiting.push(name.clone()),
            // A node that is gone.
            (None, _) => continue,
        }
        assessment.batch.push(name.clone());
    }
    if assessment.waiting.is_empty() {
        assessment.batch = following(facts, &agents);
        assessment.waiting.clone_from(&assessment.batch);
        assessment.begins = !assessment.batch.is_empty();
    }
    assessment
}

/// The pods to replace of those that still carry an overlay that was withdrawn: the ones that are
/// not ready at once, the others in batches, and only while no other pod is being replaced.
pub(crate) fn rolled_back(pods: &[Pod], share: Share) -> Vec<&Pod> {
    let goes = |pod: &&Pod| pod.metadata.deletion_timestamp.is_some();
    let stays: Vec<&Pod> = pods.iter().filter(|pod| carries_overlay(pod) && !goes(pod)).collect();
    let (ready, broken): (Vec<&Pod>, Vec<&Pod>) = stays.into_iter().partition(|pod| is_ready(pod));
    let others_are_ready =
        pods.iter().filter(|pod| !carries_overlay(pod)).all(is_ready) && !pods.iter().any(|pod| goes(&pod));
    if !broken.is_empty() || !others_are_ready {
        return broken;
    }
    ready.into_iter().take(share.of(pods.len()).min(MAX_BATCH)).collect()
}

/// The SPIRE agent of a node.
enum Agent<'a> {
    Old(&'a Pod),
    New {
        ready: bool,
    },
    /// The pod ends, and another follows.
    Ending,
}

/// The agents by node. Of a pod that ends and the one that follows it, the latter counts.
fn agents<'a>(pods: &'a [Pod], hash: &str) -> BTreeMap<&'a str, Agent<'a>> {
    let mut agents = BTreeMap::new();
    for pod in pods {
        let Some(node) = pod.spec.as_ref().and_then(|spec| spec.node_name.as_deref()) else { continue };
        if pod.metadata.deletion_timestamp.is_some() {
            agents.entry(node).or_insert(Agent::Ending);
            continue;
        }
        let is_new = pod.annotations().get(annotation::CONTENT_HASH).is_some_and(|carried| carried == hash);
        let agent = if is_new { Agent::New { ready: is_ready(pod) } } else { Agent::Old(pod) };
        agents.insert(node, agent);
    }
    agents
}

fn moved(agents: &BTreeMap<&str, Agent<'_>>) -> usize {
    agents.values().filter(|agent| matches!(agent, Agent::New { .. })).count()
}

/// A node's standing. One that was not polled yet, or while Keylime gives no answers, or that there
/// is no plugin for, counts as not passed: it is left alone, and waited for.
fn standing(facts: &Facts<'_>, name: &str) -> Standing {
    match facts.nodes.get(name).map(|node| node.standing) {
        Some(Standing::Passed) if !facts.keylime_answers || facts.unsupported.contains(name) => {
            Standing::NotPassed
        }
        Some(standing) => standing,
        None => Standing::NotPassed,
    }
}

fn has_identity(facts: &Facts<'_>, name: &str) -> bool {
    !facts.needs_identity || facts.nodes.get(name).is_some_and(|node| node.issued)
}

/// The next batch, in the order of the names.
fn following(facts: &Facts<'_>, agents: &BTreeMap<&str, Agent<'_>>) -> Vec<String> {
    let most = facts.share.of(agents.len()).min(MAX_BATCH);
    let old = agents.iter().filter(|(_, agent)| matches!(agent, Agent::Old(_)));
    let may_move = old.filter(|(name, _)| standing(facts, name) == Standing::Passed);
    may_move.map(|(name, _)| (*name).to_owned()).take(most).collect()
}

#[cfg(test)]
mod tests;
