//! Writes the changes, a few objects at a time: `AttestedNode`s, and the annotation, label and
//! taint on Nodes.

use std::sync::Arc;

use k8s_openapi::api::core::v1::Node;
use keylime_attestor_api::names::FIELD_MANAGER;
use keylime_attestor_api::{AttestedNode, AttestedNodeStatus, NodeMarks};
use kube::Api;
use kube::api::{DeleteParams, Patch, PatchParams};

use super::build;
use super::facts::{AttestedNodeFacts, NodeFacts};
use crate::cluster::{Cluster, Error};
use crate::model::target::Owner;

/// The number of nodes that are written at the same time.
pub(super) const CONCURRENCY: usize = 8;

/// The desired state of a node, and the state that was read.
pub(super) struct Wanted {
    pub(super) node: Arc<NodeFacts>,
    pub(super) attested_node: Option<Arc<AttestedNodeFacts>>,
    pub(super) status: Arc<AttestedNodeStatus>,
    pub(super) marks: NodeMarks,
}

/// Brings a node to its desired state. An object that has it already is not written.
pub(super) async fn node(cluster: &Cluster, owner: &Owner, wanted: &Wanted) -> Result<(), Error> {
    let Wanted { node, attested_node, status, marks } = wanted;
    let api: Api<AttestedNode> = Api::all(cluster.client.clone());
    let params = PatchParams::apply(FIELD_MANAGER).force();
    let what = || format!("the AttestedNode {}", node.name);
    let mut attested_node = attested_node.as_deref();
    if build::is_outlived(attested_node, node) {
        delete(cluster, &node.name).await?;
        attested_node = None;
    }
    if !build::is_made(attested_node, owner, node) {
        let object = Patch::Apply(build::attested_node(owner, node));
        api.patch(&node.name, &params, &object).await.map_err(Error::api("apply", what()))?;
    }
    if attested_node.and_then(|attested_node| attested_node.status.as_ref()) != Some(&**status) {
        let object = Patch::Apply(build::status(&node.name, status));
        api.patch_status(&node.name, &params, &object)
            .await
            .map_err(Error::api("write", format!("the status of {}", what())))?;
    }
    mark(cluster, node, marks).await
}

/// Applies the taint, the annotation and the label to the Node itself.
async fn mark(cluster: &Cluster, node: &NodeFacts, marks: &NodeMarks) -> Result<(), Error> {
    let api: Api<Node> = Api::all(cluster.client.clone());
    let what = || format!("the Node {}", node.name);
    // First: the taint's patch is for the resourceVersion that was read, which the apply below
    // changes.
    if let Some(patch) = build::taint_patch(node, marks.tainted) {
        let patch = Patch::Merge(patch);
        let params = PatchParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PatchParams::default() };
        gone_is_fine(
            api.patch(&node.name, &params, &patch).await.map(drop).map_err(Error::api("taint", what())),
        )?;
    }
    if (&node.marks.label, &node.marks.spiffe_id) != (&marks.label, &marks.spiffe_id) {
        let params = PatchParams::apply(FIELD_MANAGER).force();
        let object = Patch::Apply(build::marked(node, marks));
        gone_is_fine(
            api.patch(&node.name, &params, &object).await.map(drop).map_err(Error::api("annotate", what())),
        )?;
    }
    Ok(())
}

/// True where an annotation, a label or a taint of ours is on a Node.
pub(super) fn is_marked(node: &NodeFacts) -> bool {
    !node.marks.is_none()
}

/// Takes our annotation, label and taint off a Node.
pub(super) async fn unmark(cluster: &Cluster, node: &NodeFacts) -> Result<(), Error> {
    mark(cluster, node, &NodeMarks::default()).await
}

/// Takes off a Node the label and the SPIFFE ID that make its agent at Keylime the parent of its
/// workloads.
pub(super) async fn unparent(cluster: &Cluster, node: &NodeFacts) -> Result<(), Error> {
    let marks = NodeMarks { tainted: node.marks.tainted, ..NodeMarks::default() };
    mark(cluster, node, &marks).await
}

/// Deletes an `AttestedNode`.
pub(super) async fn delete(cluster: &Cluster, name: &str) -> Result<(), Error> {
    let api: Api<AttestedNode> = Api::all(cluster.client.clone());
    let deleted = api.delete(name, &DeleteParams::default()).await.map(drop);
    gone_is_fine(deleted.map_err(Error::api("delete", format!("the AttestedNode {name}"))))
}

/// Success also for an object that is gone: there is nothing left to write.
pub(super) fn gone_is_fine(result: Result<(), Error>) -> Result<(), Error> {
    match result {
        Err(error) if error.is_not_found() => Ok(()),
        other => other,
    }
}
