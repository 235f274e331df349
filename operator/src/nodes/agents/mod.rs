//! The agents that may change, for the reconcile loop: their nodes at Keylime, and their pods. From
//! memory alone.

use keylime_attestor_api::AttestedNodeStatus;
use keylime_attestor_api::conditions::Status;
use keylime_attestor_api::names::label;
use keylime_attestor_api::node_reason::node_condition::KEYLIME_HEALTHY;

use super::{Nodes, View};
use crate::cluster;
use crate::gather::Gathered;
use crate::keylime_client::reach::Reach;
use crate::model::agents::{Agent, Agents, Keylime};
use crate::model::target::{Owner, Role};

impl Nodes {
    /// The agents of a resource. Their pods are watched from the first call on.
    pub(crate) fn agents(&self, owner: &Owner, gathered: &Gathered) -> Agents {
        let view = self.view(owner);
        let mut agents = Agents { keylime: view.and_then(|view| keylime(&view)), ..Agents::default() };
        let found = gathered.found.values().filter(|found| found.role == Role::Agent);
        let nodes = self.nodes.all().unwrap_or_default();
        let architecture = |node: &str| nodes.get(node)?.labels.get(label::ARCHITECTURE).cloned();
        for workload in found.filter_map(|found| found.workload.as_ref()) {
            let Ok(selector) = cluster::selector(&workload.selector) else { continue };
            let Ok(pods) = self.cached_pods(&(workload.key.namespace.clone(), selector)).all() else {
                continue;
            };
            let pods = pods.into_values().filter(|pod| !pod.leaving && !pod.node.is_empty());
            let pods = pods.map(|pod| Agent {
                node: pod.node.clone(),
                moved: pod.hash.is_some(),
                architecture: architecture(&pod.node),
            });
            agents.pods.insert(workload.key.clone(), pods.collect());
        }
        agents
    }
}

/// Keylime's answers at the last poll; [`None`] when the nodes themselves could not be polled.
fn keylime(view: &View) -> Option<Keylime> {
    if view.nodes.is_empty() && view.trouble.is_some() {
        return None;
    }
    let Reach { reason, message, .. } = &view.reach;
    Some(Keylime {
        silent: (reason.status != Status::True).then(|| message.clone()),
        nodes: view.nodes.iter().map(|(name, node)| (name.clone(), refused(&node.status))).collect(),
    })
}

/// The reason why Keylime does not pass a node; [`None`] when it does.
fn refused(status: &AttestedNodeStatus) -> Option<String> {
    let healthy = status.conditions.iter().find(|condition| condition.type_ == KEYLIME_HEALTHY);
    match healthy {
        Some(healthy) if healthy.status == "True" => None,
        Some(healthy) => Some(healthy.reason.clone()),
        None => Some(status.reason.clone()),
    }
}

#[cfg(test)]
mod tests;
