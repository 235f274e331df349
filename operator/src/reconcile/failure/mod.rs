//! The diagnosis of rollouts that have just failed, and the cause.

use keylime_attestor_api::{FailureCause, KeylimeAttestor, RolloutState, RolloutStatus};

use crate::cluster::Cluster;
use crate::gather::Gathered;
use crate::gather::pods::{self, PodDiagnosis};
use crate::model::agents::Agents;
use crate::model::reported::rollout_of;
use crate::model::target::Desired;
use crate::model::workload::Workload;
use crate::rollout::plan::Plan;
use crate::rollout::retry;

/// The plan with the cause of each rollout that has failed now, and the diagnosis of the first.
pub(super) async fn diagnosed(
    cluster: &Cluster,
    resource: &KeylimeAttestor,
    desired: &Desired,
    gathered: &Gathered,
    mut plan: Plan,
) -> (Plan, Option<String>) {
    let mut first = None;
    for workload in desired.targets().filter_map(|target| target.workload.as_ref()) {
        let Some(rollout) = plan.rollouts.get_mut(&workload.key) else { continue };
        let before = resource.status.as_ref().and_then(|status| rollout_of(status, &workload.key));
        let known = before.is_some_and(|before| before.state == RolloutState::Failed);
        if rollout.state != RolloutState::Failed || known {
            continue;
        }
        let diagnosis = diagnose(cluster, workload, gathered, rollout).await;
        let cause = cause(&gathered.agents, diagnosis.as_ref());
        rollout.retry = Some(retry::failed(rollout.retry.as_ref(), cause, gathered.secret_versions.clone()));
        first = first.or(diagnosis.map(|diagnosis| diagnosis.message));
    }
    (plan, first)
}

async fn diagnose(
    cluster: &Cluster,
    workload: &Workload,
    gathered: &Gathered,
    rollout: &RolloutStatus,
) -> Option<PodDiagnosis> {
    if let Some(why) = gathered.uncreated.get(&workload.key) {
        return Some(pods::uncreated(why));
    }
    let nodes = rollout.batch.as_ref().map(|batch| batch.nodes.as_slice()).unwrap_or_default();
    pods::diagnose(cluster, workload, nodes, rollout.last_progress_time.0).await
}

/// The cause of a failure. One outside of the pod is certain; a failure of its program may be
/// Keylime's.
fn cause(agents: &Agents, diagnosis: Option<&PodDiagnosis>) -> FailureCause {
    let said = diagnosis.map_or(FailureCause::Pods, |diagnosis| diagnosis.cause);
    let node = diagnosis.and_then(|diagnosis| diagnosis.node.as_deref());
    if said == FailureCause::Pods && agents.keylime_is_ill(node) { FailureCause::Keylime } else { said }
}

#[cfg(test)]
mod tests;
