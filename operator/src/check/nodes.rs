//! Nodes that the resource selects and on which no agent of SPIRE runs.

use std::collections::BTreeSet;

use k8s_openapi::api::core::v1::Node;
use keylime_attestor_api::KeylimeAttestor;
use kube::Api;

use super::finding::{Finding, Subject};
use crate::cluster::{Cluster, Error};
use crate::gather::{Found, Gathered};
use crate::model::target::Role;

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
        let node = |pod: k8s_openapi::api::core::v1::Pod| pod.spec.and_then(|spec| spec.node_name);
        for node in cluster.many_pods(workload, node).await?.into_iter().flatten() {
            without.remove(&node);
        }
    }
    Ok((all, without))
}
