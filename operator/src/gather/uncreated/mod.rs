//! Pods that the apiserver refuses to a workload's controller, by a quota, an admission policy or a
//! webhook. The reason is in a Deployment's condition, and for the other kinds only in Events.

use std::collections::BTreeMap;

use k8s_openapi::api::apps::v1::DeploymentCondition;
use k8s_openapi::jiff::Timestamp;
use keylime_attestor_api::{KeylimeAttestorStatus, RolloutState, RolloutStatus};
use serde::Deserialize as _;
use serde_json::Value;

use super::Gathered;
use crate::cluster::{Cluster, Told};
use crate::model::reported::rollout_of;
use crate::model::workload::{Kind, Workload, WorkloadKey};

/// The seconds for which a pod may be missing: one is, for a moment, whenever it is replaced.
const MOMENT: i64 = 2;

const REASON: &str = "FailedCreate";

/// The workloads with a rollout under way whose pods cannot be created, each with the reason.
pub(super) async fn of_rolling(
    cluster: &Cluster,
    gathered: &Gathered,
    status: &KeylimeAttestorStatus,
    now: Timestamp,
) -> BTreeMap<WorkloadKey, String> {
    let mut uncreated = BTreeMap::new();
    for workload in gathered.found.values().filter_map(|found| found.workload.as_ref()) {
        let Some(rollout) = rollout_of(status, &workload.key).filter(|rollout| waits(rollout, workload, now))
        else {
            continue;
        };
        if let Some(why) = why(cluster, workload, rollout.last_progress_time.0).await {
            uncreated.insert(workload.key.clone(), why);
        }
    }
    uncreated
}

/// The reason why the last pod of a workload could not be created, if that was after `since`.
pub(super) async fn why(cluster: &Cluster, workload: &Workload, since: Timestamp) -> Option<String> {
    if workload.key.kind == Kind::Deployment {
        return replica_failure(workload);
    }
    let last = cluster.last_event(&workload.key.namespace, &workload.uid, Told::Reason(REASON)).await?;
    (last.at >= since).then_some(last.note)
}

fn waits(rollout: &RolloutStatus, workload: &Workload, now: Timestamp) -> bool {
    rollout.state == RolloutState::Progressing
        && workload.pods.missing > 0
        && now.duration_since(rollout.last_progress_time.0).as_secs() >= MOMENT
}

/// The message of a Deployment's condition ReplicaFailure, which goes when a pod can be created.
fn replica_failure(workload: &Workload) -> Option<String> {
    let conditions = workload.live.pointer("/status/conditions").and_then(Value::as_array)?;
    let conditions =
        conditions.iter().filter_map(|condition| DeploymentCondition::deserialize(condition).ok());
    let mut failures =
        conditions.filter(|condition| condition.type_ == "ReplicaFailure" && condition.status == "True");
    failures.next().and_then(|condition| condition.message)
}

#[cfg(test)]
mod tests;
