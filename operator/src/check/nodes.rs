//! Nodes that the resource selects and on which no agent of SPIRE runs, and nodes of agents that
//! there is no plugin for.

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::api::core::v1::{Node, Pod};
use keylime_attestor_api::KeylimeAttestor;
use keylime_attestor_api::conditions::agents_rolled_out;
use kube::Api;

use super::finding::{Finding, Subject};
use crate::cluster::{Cluster, Error};
use crate::gather::{Found, Gathered};
use crate::model::agents::{Agent, Agents};
use crate::model::pod::carries_overlay;
use crate::model::problem::Problem;
use crate::model::target::{Desired, Role, Target};
use crate::rollout::gate::Unsupported;

/// Most nodes that a message names.
const NAMED: usize = 10;

pub(super) async fn findings(
    cluster: &Cluster,
    resource: &KeylimeAttestor,
    gathered: &Gathered,
) -> Vec<Finding> {
    match without_agent(cluster, resource, gathered).await {
        Ok((0, _)) => vec![Finding::warning(
            Subject::Nodes,
            "the resource selects no node",
            "Correct spec.nodes.selector.",
        )],
        Ok((all, without)) if without.is_empty() => {
            vec![Finding::ok(Subject::Nodes, format!("each of the {all} selected has an agent of SPIRE"))]
        }
        Ok((all, without)) => {
            let named: Vec<&str> = without.iter().take(NAMED).map(String::as_str).collect();
            let more = if without.len() > NAMED { ", …" } else { "" };
            let message =
                format!("{} of {all} have no agent of SPIRE: {}{more}", without.len(), named.join(", "));
            let remedy = "Let the agents' DaemonSet place a pod there (tolerations, nodeSelector), or leave them out by spec.nodes.selector.";
            vec![Finding::warning(Subject::Nodes, message, remedy)]
        }
        Err(error) => vec![Finding::warning(
            Subject::Nodes,
            format!("which of them have an agent of SPIRE is not known: {error}"),
            "Check with the rights to list nodes, and pods of SPIRE's agents.",
        )],
    }
}

/// The number of selected nodes, and those of them without an agent.
async fn without_agent(
    cluster: &Cluster,
    resource: &KeylimeAttestor,
    gathered: &Gathered,
) -> Result<(usize, BTreeSet<String>), Error> {
    let selector = resource.spec.nodes.selector.as_ref().map(ToString::to_string).unwrap_or_default();
    let api = Api::<Node>::all(cluster.client.clone());
    let mut without: BTreeSet<String> = cluster.names(&api, &selector, "nodes").await?.into_iter().collect();
    let all = without.len();
    for found in gathered.found.values().filter(|found| found.role == Role::Agent) {
        let Found { workload: Some(workload), .. } = found else { continue };
        let node = |pod: Pod| pod.spec.and_then(|spec| spec.node_name);
        for node in cluster.many_pods(workload, node).await?.into_iter().flatten() {
            without.remove(&node);
        }
    }
    Ok((all, without))
}

/// The agents that would not move, as their nodes are of an architecture that there is no plugin
/// for. That nodes or pods cannot be listed is told by [`findings`].
pub(super) async fn unsupported(cluster: &Cluster, desired: &Desired) -> Vec<Finding> {
    let known = |target: &&Target| !target.plugin.checksums.architectures().is_empty();
    let mut findings = Vec::new();
    for target in desired.agents.iter().filter(known) {
        let Ok(Some(unsupported)) = unsupported_of(cluster, target).await else { continue };
        let message = format!("{}: {unsupported}", target.key);
        let problem = Problem::new(agents_rolled_out::ARCHITECTURE_UNKNOWN, message);
        findings.push(Finding::problem(Subject::Nodes, &problem));
    }
    findings
}

async fn unsupported_of(cluster: &Cluster, target: &Target) -> Result<Option<Unsupported>, Error> {
    let Some(workload) = &target.workload else { return Ok(None) };
    let nodes = cluster.architectures().await?;
    let agent = |pod: Pod| {
        let moved = carries_overlay(&pod);
        let node = pod.spec.and_then(|spec| spec.node_name)?;
        Some(Agent { moved, architecture: nodes.get(&node).cloned(), node })
    };
    let agents = cluster.many_pods(workload, agent).await?.into_iter().flatten().collect();
    let agents = Agents { pods: BTreeMap::from([(target.key.clone(), agents)]), ..Agents::default() };
    Ok(agents.unsupported(&target.key, &target.plugin.checksums))
}
