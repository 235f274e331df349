//! The last status of a resource.

use keylime_attestor_api::{KeylimeAttestorStatus, RolloutStatus};

use crate::model::workload::WorkloadKey;

/// The rollout of a workload as it was last reported.
pub(crate) fn rollout_of<'s>(
    status: &'s KeylimeAttestorStatus,
    key: &WorkloadKey,
) -> Option<&'s RolloutStatus> {
    let all = status.server.iter().chain(&status.agents);
    let mut ours = all.filter(|workload| {
        workload.kind == key.kind.as_str() && workload.name == key.name && workload.namespace == key.namespace
    });
    ours.next()?.rollout.as_ref()
}
