//! The status of a resource: computed purely from what was found and done, and written when it changed.

mod conditions;
mod parented;
mod rolled_out;
mod workloads;
pub(crate) mod write;

use std::collections::BTreeMap;

use k8s_openapi::jiff::Timestamp;
use keylime_attestor_api::{KeylimeAttestor, KeylimeAttestorStatus, RolloutStatus};

use crate::gather::Gathered;
use crate::gather::reach::Reach;
use crate::target::Plan;
use crate::validate::Problem;
use crate::workload::WorkloadKey;

/// All that a status says something about.
pub(crate) struct Facts<'a> {
    pub(crate) resource: &'a KeylimeAttestor,
    pub(crate) previous: &'a KeylimeAttestorStatus,
    /// Absent when the apiserver refused to be asked.
    pub(crate) gathered: Option<&'a Gathered>,
    /// Absent when there are problems or the resource is being deleted.
    pub(crate) plan: Option<&'a Plan>,
    /// What stands in the way, the first of them first.
    pub(crate) problems: &'a [Problem],
    /// The rollouts as they are now, of workloads that are looked at.
    pub(crate) rollouts: &'a BTreeMap<WorkloadKey, RolloutStatus>,
    pub(crate) waits_for_server: bool,
    /// What a pod complains about, when it was looked at now.
    pub(crate) complaint: Option<&'a str>,
    /// A withdrawal makes no progress.
    pub(crate) stuck: bool,
    /// Absent when Keylime was not asked because the resource is being deleted.
    pub(crate) reach: Option<&'a Reach>,
    /// In whole seconds, as the API has them.
    pub(crate) now: Timestamp,
}

/// The status that follows.
pub(crate) fn status(facts: &Facts<'_>) -> KeylimeAttestorStatus {
    let (server, agents) = workloads::workloads(facts);
    KeylimeAttestorStatus {
        observed_generation: facts.resource.metadata.generation,
        conditions: conditions::conditions(facts),
        nodes: workloads::nodes(facts),
        enforcement: facts.previous.enforcement.clone(),
        server,
        controller_manager: parented::controller_manager(facts),
        agents,
    }
}

impl Facts<'_> {
    pub(crate) fn is_deleted(&self) -> bool {
        self.resource.metadata.deletion_timestamp.is_some()
    }
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
