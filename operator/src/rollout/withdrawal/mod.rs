//! The withdrawal: the agents, then the server, or the other way round, each with its rollout, and
//! our own objects last. Goes by what the status names as ours, not by the workloads that the
//! resource names now. Pure.

use std::collections::BTreeMap;

use k8s_openapi::jiff::Timestamp;
use keylime_attestor_api::{KeylimeAttestorStatus, RolloutState, RolloutStatus, Share};

use crate::gather::Gathered;
use crate::model::pod::carries_overlay;
use crate::model::reported::rollout_of;
use crate::model::step::Step;
use crate::model::target::Role;
use crate::model::workload::{Kind, Workload, WorkloadKey};
use crate::rollout::plan::{Plan, delete, restore, stuck, withdraw};
use crate::rollout::progress;

/// The order of most withdrawals: agents attest by Keylime while the server can still admit them
/// so.
pub(crate) const AGENTS_FIRST: [Role; 2] = [Role::Agent, Role::Server];

/// The order where the server admits nobody by the agents' former attestors.
pub(crate) const SERVER_FIRST: [Role; 2] = [Role::Server, Role::Agent];

/// The progress of a withdrawal.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Withdrawal {
    /// These steps are due, then another reconcile.
    Going(Plan),
    /// SPIRE has all that it had, and our objects are gone.
    Done,
}

/// Plans the withdrawal of a resource that is being deleted.
pub(crate) fn withdrawal(
    gathered: &Gathered,
    previous: &KeylimeAttestorStatus,
    batch_size: Option<Share>,
    order: [Role; 2],
    now: Timestamp,
) -> Withdrawal {
    if let Some(plan) = withdraw_from_spire(gathered, previous, batch_size, order, now) {
        return Withdrawal::Going(plan);
    }
    let steps: Vec<Step> = gathered.our_maps.iter().map(delete).collect();
    if steps.is_empty() { Withdrawal::Done } else { Withdrawal::Going(Plan { steps, ..Plan::default() }) }
}

/// The steps until SPIRE has back what it had, in this order; [`None`] when it has. Our own objects
/// stay.
pub(crate) fn withdraw_from_spire(
    gathered: &Gathered,
    previous: &KeylimeAttestorStatus,
    batch_size: Option<Share>,
    order: [Role; 2],
    now: Timestamp,
) -> Option<Plan> {
    let workloads = workloads(gathered);
    let [_, last] = order;
    for role in order {
        let mut plan = Plan::default();
        let edits =
            gathered.edits.iter().filter_map(|edit| restore(edit, |of, _| role == last || of == role));
        plan.steps.extend(edits);
        let mut waits = false;
        for workload in workloads.values().filter(|workload| role_of(workload) == role && !workload.deleting)
        {
            waits |= one(gathered, workload, previous, now, &mut plan);
            waits |= in_batches(gathered, workload, batch_size, &mut plan);
        }
        if waits || !plan.steps.is_empty() {
            return Some(plan);
        }
    }
    None
}

/// Plans the steps of one workload; true while its pods are being replaced.
fn one(
    gathered: &Gathered,
    workload: &Workload,
    previous: &KeylimeAttestorStatus,
    now: Timestamp,
    plan: &mut Plan,
) -> bool {
    let previous = rollout_of(previous, &workload.key);
    if gathered.ours.iter().any(|ours| ours.key == workload.key) {
        plan.steps.extend(withdraw(gathered, workload));
        let begun = progress::begun(workload, RolloutState::Withdrawing, None, now);
        plan.rollouts.insert(workload.key.clone(), begun);
        return true;
    }
    if !previous.is_some_and(was_ours) || workload.pods.complete {
        return false;
    }
    plan.steps.extend(stuck(gathered, workload, None));
    let withdrawing = previous.filter(|previous| previous.state == RolloutState::Withdrawing);
    let mut rollout = progress::begun(workload, RolloutState::Withdrawing, None, now);
    (rollout.updated, rollout.ready) = (workload.pods.updated, workload.pods.ready);
    if let Some(withdrawing) = withdrawing
        && withdrawing.ready >= rollout.ready
    {
        rollout.last_progress_time = withdrawing.last_progress_time.clone();
    }
    plan.rollouts.insert(workload.key.clone(), rollout);
    true
}

/// Replaces pods in batches where somebody else's OnDelete keeps Kubernetes from replacing them;
/// true while there are any.
fn in_batches(gathered: &Gathered, workload: &Workload, batch_size: Option<Share>, plan: &mut Plan) -> bool {
    let pods = gathered.pods.get(&workload.key).map(Vec::as_slice).unwrap_or_default();
    let held = workload.held.is_some() && pods.iter().any(carries_overlay);
    let Some(share) = batch_size.filter(|_| held && role_of(workload) == Role::Agent) else { return false };
    if !plan.steps.iter().any(|step| matches!(step, Step::Withdraw { .. })) {
        plan.roll_pods_back(pods, workload, share);
    }
    true
}

fn workloads(gathered: &Gathered) -> BTreeMap<WorkloadKey, &Workload> {
    let named = gathered.found.values().filter_map(|found| found.workload.as_ref());
    named.chain(&gathered.ours).map(|workload| (workload.key.clone(), workload)).collect()
}

fn role_of(workload: &Workload) -> Role {
    match workload.key.kind {
        Kind::DaemonSet => Role::Agent,
        Kind::Deployment | Kind::StatefulSet => Role::Server,
    }
}

/// True for a workload whose pods carried our overlay by the last status, so that they have to be
/// replaced.
fn was_ours(rollout: &RolloutStatus) -> bool {
    match rollout.state {
        RolloutState::Progressing
        | RolloutState::Complete
        | RolloutState::Failed
        | RolloutState::Withdrawing => true,
        RolloutState::Waiting | RolloutState::RolledBack => false,
    }
}

#[cfg(test)]
mod tests;
