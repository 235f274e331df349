//! The status of a resource: computed purely from the result of a reconcile and the view of the
//! nodes, and written when it changed.

pub(crate) mod attempt;
mod binding;
mod bypass;
mod certificate;
mod conditions;
mod finding;
mod parent_ids;
mod rolled_out;
mod workloads;
pub(crate) mod write;

use k8s_openapi::jiff::Timestamp;
use keylime_attestor_api::{KeylimeAttestor, KeylimeAttestorStatus, NodesStatus, OwnedObject, RolloutState};

use crate::nodes::{View, summary};
use crate::status::attempt::Attempt;

/// The inputs of a status.
pub(crate) struct Facts<'a> {
    pub(crate) resource: &'a KeylimeAttestor,
    pub(crate) previous: &'a KeylimeAttestorStatus,
    pub(crate) attempt: &'a Attempt,
    /// True where Keylime cannot be asked.
    pub(crate) keylime_unavailable: bool,
    /// The view of Keylime and of the nodes. [`None`] before the first poll, and while the resource
    /// is being deleted.
    pub(crate) view: Option<&'a View>,
    /// The time, in whole seconds, as the API has it.
    pub(crate) now: Timestamp,
}

/// The status of a resource.
pub(crate) fn status(facts: &Facts<'_>) -> KeylimeAttestorStatus {
    let (server, agents) = workloads::workloads(facts);
    KeylimeAttestorStatus {
        observed_generation: facts.resource.metadata.generation,
        conditions: conditions::conditions(facts),
        nodes: nodes(facts),
        enforcement: facts.view.map_or_else(|| facts.previous.enforcement.clone(), summary::loops),
        server,
        controller_manager: parent_ids::controller_manager(facts),
        agents,
        objects: objects(facts),
        binding: facts.attempt.desired().map(|desired| desired.bound.binding).or(facts.previous.binding),
        readmission_due: readmission_due(facts),
    }
}

/// What carries something of the resource; what was written down of it stays where nobody could
/// look.
fn objects(facts: &Facts<'_>) -> Vec<OwnedObject> {
    match facts.attempt {
        Attempt::Applied { applied, .. } => applied.carrying.clone(),
        attempt => attempt.gathered().map_or(&facts.previous.objects, |gathered| &gathered.carrying).clone(),
    }
}

/// Whether pods of SPIRE's server may admit nodes by our attestor alone. What the resource asks for
/// says nothing of pods that have not been replaced yet.
fn readmission_due(facts: &Facts<'_>) -> bool {
    let due = facts.previous.readmission_due;
    let Some(desired) = facts.attempt.desired() else { return due };
    let server = &desired.server;
    let state = facts.attempt.rollouts().get(&server.key).map(|rollout| rollout.state);
    let settled = matches!(state, Some(RolloutState::Complete | RolloutState::RolledBack));
    let replaced = settled && server.workload.as_ref().is_some_and(|workload| workload.pods.complete);
    desired.is_exclusive() || due && !replaced
}

/// The status of the nodes by the last view, and before the first poll the one of before.
fn nodes(facts: &Facts<'_>) -> Option<NodesStatus> {
    let previous = facts.previous.nodes.as_ref();
    facts.view.map(|view| summary::nodes(view, previous)).or_else(|| previous.cloned())
}

impl Facts<'_> {
    pub(crate) fn is_deleted(&self) -> bool {
        self.resource.metadata.deletion_timestamp.is_some()
    }
}

#[cfg(test)]
mod tests;
