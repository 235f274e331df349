//! The withdrawal of a resource that is being deleted: SPIRE's workloads and ConfigMaps are
//! restored, then our own objects and our part on the nodes go, and the finalizer last.

use k8s_openapi::jiff::Timestamp;
use keylime_attestor_api::conditions::degraded;
use keylime_attestor_api::{Attestors, KeylimeAttestor, KeylimeAttestorStatus, Mode, RolloutState};
use kube::runtime::controller::Action;
use tracing::info;

use crate::apply::{Applied, apply};
use crate::gather::{Gathered, gather, pods};
use crate::model::target::Owner;
use crate::model::workload::Kind;
use crate::reconcile::report::{report, set_inputs};
use crate::reconcile::{Context, Error, forget, seconds};
use crate::rollout::plan::{Readmission, readmission};
use crate::rollout::progress;
use crate::rollout::withdrawal::{AGENTS_FIRST, SERVER_FIRST, Withdrawal, withdrawal};
use crate::status::attempt::{Attempt, Hindrance};
use crate::validate::validate;

/// Withdraws a resource. `Ok` only when nothing of it is left, since the finalizer goes then.
pub(super) async fn withdraw(context: &Context, resource: &KeylimeAttestor) -> Result<Action, Error> {
    let now = seconds(Timestamp::now());
    let owner = Owner::of(resource);
    let gathered = match gather(&context.cluster, resource, &[], context.image.clone()).await {
        Ok(gathered) => gathered,
        Err(error) if error.is_refusal() => {
            let hindrance = Some(Hindrance { diagnosis: Some(error.to_string()) });
            let attempt = Attempt::Withdrawing { gathered: None, applied: Applied::default(), hindrance };
            report(context, resource, &attempt, now).await?;
            return Err(Error::Withdrawing);
        }
        Err(error) => return Err(error.into()),
    };
    let applied = match due(context, resource, &gathered, now) {
        Withdrawal::Going(plan) => {
            // Before the agents come back that are to be taken in.
            context.nodes.alias_former_agents(&owner).await?;
            apply(&context.cluster, plan, gathered.carrying.clone()).await?
        }
        // Our part on the nodes stays until SPIRE is restored: the parents of its entries may hang
        // on it.
        Withdrawal::Done if context.nodes.withdraw(resource).await? => {
            info!(namespace = owner.namespace, name = owner.name, "everything is withdrawn");
            forget(context, &owner);
            return Ok(Action::await_change());
        }
        Withdrawal::Done => Applied::default(),
    };
    if resource.spec.spire.mode != Mode::ConfigOnly {
        set_inputs(context, &owner, &gathered, true);
    }
    let hindrance = hindrance(context, resource, &gathered, &applied, now).await;
    let attempt = Attempt::Withdrawing { gathered: Some(gathered), applied, hindrance };
    report(context, resource, &attempt, now).await?;
    if resource.spec.spire.mode != Mode::ConfigOnly {
        context.nodes.restore_parents(resource).await?;
    }
    Err(Error::Withdrawing)
}

fn due(context: &Context, resource: &KeylimeAttestor, gathered: &Gathered, now: Timestamp) -> Withdrawal {
    let previous = resource.status.clone().unwrap_or_default();
    let batch_size = resource.spec.rollout.as_ref().and_then(|rollout| rollout.batch_size);
    let has_agents = gathered.ours.iter().any(|workload| workload.key.kind == Kind::DaemonSet);
    // Not by what the resource asks for: the server's pods may have another configuration yet.
    let order = match has_agents && previous.readmission_due {
        false => AGENTS_FIRST,
        true => match readmitted(context, resource, gathered, &previous, now) {
            Readmission::Going(plan) => return Withdrawal::Going(plan),
            Readmission::Done => AGENTS_FIRST,
            Readmission::Failed => SERVER_FIRST,
        },
    };
    withdrawal(gathered, &previous, batch_size, order, now)
}

/// How far SPIRE's server has its other attestors beside Keylime's.
fn readmitted(
    context: &Context,
    resource: &KeylimeAttestor,
    gathered: &Gathered,
    previous: &KeylimeAttestorStatus,
    now: Timestamp,
) -> Readmission {
    let server = previous.server.as_ref().and_then(|server| server.rollout.as_ref());
    if server.is_some_and(|rollout| rollout.state == RolloutState::Withdrawing) {
        // It has failed before.
        return Readmission::Failed;
    }
    let mut coexistent = resource.clone();
    coexistent.spec.spire.attestors = Attestors::Coexist;
    let rollout = resource.spec.rollout.clone().unwrap_or_default();
    match validate(&coexistent, gathered, &context.checksums) {
        Ok(desired) => readmission(&desired, gathered, previous, &rollout, now),
        Err(_) => Readmission::Failed,
    }
}

/// The hindrance of a withdrawal: a step that was refused, or pods that are not replaced in time.
async fn hindrance(
    context: &Context,
    resource: &KeylimeAttestor,
    gathered: &Gathered,
    applied: &Applied,
    now: Timestamp,
) -> Option<Hindrance> {
    if let Some(problem) = &applied.problem {
        return Some(Hindrance { diagnosis: Some(problem.message.clone()) });
    }
    let deadline = resource.spec.rollout.clone().unwrap_or_default().progress_deadline.get();
    let (key, rollout) = applied.rollouts.iter().find(|(_, rollout)| {
        rollout.state == RolloutState::Withdrawing && progress::left(rollout, deadline, now).is_zero()
    })?;
    let previous = resource.status.iter().flat_map(|status| &status.conditions);
    let known = previous.into_iter().any(|condition| condition.reason == degraded::WITHDRAWAL_STUCK.name);
    let workload = gathered.found.get(key).and_then(|found| found.workload.as_ref());
    // The first diagnosis is kept: a later one of the same pod may differ in words, and each would
    // be a change of the status.
    let Some(workload) = workload.filter(|_| !known) else { return Some(Hindrance { diagnosis: None }) };
    let since = rollout.last_progress_time.0;
    let diagnosis = pods::diagnose(&context.cluster, workload, &[], since).await;
    Some(Hindrance { diagnosis: diagnosis.map(|diagnosis| diagnosis.message) })
}
