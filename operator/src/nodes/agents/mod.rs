//! What the polls of the nodes tell the reconcile loop about agents that may change: what Keylime
//! says, and which pods there are. From memory alone.

use keylime_attestor_api::AttestedNodeStatus;
use keylime_attestor_api::conditions::Status;
use keylime_attestor_api::node_reason::node_condition::KEYLIME_HEALTHY;

use super::{Nodes, View};
use crate::cluster;
use crate::gather::Gathered;
use crate::keylime_client::reach::Reach;
use crate::model::agents::{Agent, Agents, Keylime};
use crate::model::target::{Owner, Role};

impl Nodes {
    /// What is known of the agents of a resource. Their pods are followed from the first call on.
    pub(crate) fn agents(&self, owner: &Owner, gathered: &Gathered) -> Agents {
        let view = self.view(owner);
        let mut agents = Agents { keylime: view.and_then(|view| keylime(&view)), ..Agents::default() };
        let found = gathered.found.values().filter(|found| found.role == Role::Agent);
        for workload in found.filter_map(|found| found.workload.as_ref()) {
            let Ok(selector) = cluster::selector(&workload.selector) else { continue };
            let Ok(pods) = self.cached_pods(&(workload.key.namespace.clone(), selector)).all() else {
                continue;
            };
            let pods = pods.into_values().filter(|pod| !pod.leaving && !pod.node.is_empty());
            let pods = pods.map(|pod| Agent { node: pod.node.clone(), moved: pod.hash.is_some() });
            agents.pods.insert(workload.key.clone(), pods.collect());
        }
        agents
    }
}

/// Nothing when the nodes themselves could not be seen.
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

/// Why Keylime does not pass a node; nothing when it does.
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
