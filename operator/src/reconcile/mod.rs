//! The resource's loop. [`settle`] reconciles a `KeylimeAttestor` in five steps, each of which
//! takes the results of those before it; the first four are [`attempt`].
//!
//! 1. [`gather`]: the objects of the cluster.
//! 2. [`validate`]: the desired state, from the spec and these objects, or the problems in its way.
//! 3. [`due`]: the steps towards the desired state that may be taken now.
//! 4. [`apply`]: carries them out.
//! 5. [`report`]: the status, written where it changed, and the Events.
//!
//! The second and third are pure. Before the fourth a rollout that just failed is diagnosed,
//! corrections that somebody keeps reverting are held back, and the objects that are about to be
//! made are written into the status. A resource that is being deleted goes the same way in
//! [`withdraw`]. A reconcile that is cut off is continued by the next one, from the state of the
//! cluster.

pub(crate) mod backoff;
pub(crate) mod elsewhere;
mod failure;
mod fighting;
mod report;
pub(crate) mod watches;
mod withdraw;

use std::sync::Arc;
use std::time::{Duration, Instant};

use k8s_openapi::jiff::Timestamp;
use keylime_attestor_api::conditions::{ConditionType, configuration_applied as reason};
use keylime_attestor_api::{KeylimeAttestor, Mode, OwnedObject, RolloutState, names};
use kube::ResourceExt as _;
use kube::core::DeserializeGuard;
use kube::core::error_boundary::InvalidObject;
use kube::runtime::controller::Action;
use kube::runtime::finalizer::{self, finalizer};
use kube::runtime::reflector::Store;
use tracing::warn;

use crate::apply::apply;
use crate::cluster::{Cluster, Error as ApiError, Guarded};
use crate::events::Events;
use crate::gather::{Gathered, gather};
use crate::metrics::Metrics;
use crate::model::owned;
use crate::model::problem::Problem;
use crate::model::target::{Desired, Owner};
use crate::nodes::aliases::{Former, Wanted};
use crate::nodes::bindings::unbound;
use crate::nodes::{Nodes, exclusive::needs};
use crate::plugins::Checksums;
use crate::reconcile::backoff::Memory;
use crate::reconcile::report::{report, set_inputs};
use crate::reconcile::withdraw::withdraw;
use crate::rollout::plan::{Plan, plan};
use crate::rollout::withdrawal::{AGENTS_FIRST, withdraw_from_spire};
use crate::status::attempt::Attempt;
use crate::status::write;
use crate::validate::validate;

/// The pause before the next reconcile of a resource in order, and of one with a problem, whose
/// solution by others no watch may show.
const CALM: Duration = Duration::from_secs(60);
const PROBLEM: Duration = Duration::from_secs(15);
/// The pause in a withdrawal, should no change of a workload come first.
const WITHDRAWING: Duration = Duration::from_secs(5);
/// The shortest pause, whatever is due.
const SHORTEST: Duration = Duration::from_secs(1);

/// The shared parts of all reconciles.
pub(crate) struct Context {
    pub(crate) cluster: Cluster,
    pub(crate) events: Arc<Events>,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) checksums: Checksums,
    /// The image that the plugins are installed from, if it is known.
    pub(crate) image: Option<String>,
    /// All resources, of every namespace that is managed.
    pub(crate) resources: Vec<Store<Guarded>>,
    pub(crate) memory: Memory,
    pub(crate) nodes: Arc<Nodes>,
}

/// The reason why a reconcile did not come to its end.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error(transparent)]
    Api(#[from] ApiError),
    #[error("failed to read the KeylimeAttestor: {0}")]
    Invalid(Box<InvalidObject>),
    #[error("failed to set or remove the finalizer: {0}")]
    Finalizer(String),
    /// Not a failure: the first lists of the watches have not arrived.
    #[error("what is in the cluster is not known yet")]
    NotYet,
    /// Not a failure: the resource has to stay until SPIRE is restored.
    #[error("SPIRE does not have everything back yet")]
    Withdrawing,
}

/// Reconciles one resource.
pub(crate) async fn reconcile(object: Arc<Guarded>, context: Arc<Context>) -> Result<Action, Error> {
    let start = Instant::now();
    let result = settle_or_withdraw(&object, &context).await;
    let outcome = match &result {
        Ok(_) => "done",
        Err(Error::Withdrawing | Error::NotYet) => "waiting",
        Err(_) => "failed",
    };
    context.metrics.reconciled(outcome, start.elapsed());
    result
}

/// The action after an error. A withdrawal that waits is no failure, and has no backoff.
pub(crate) fn error_policy(object: Arc<Guarded>, error: &Error, context: Arc<Context>) -> Action {
    let (namespace, name) = (object.namespace().unwrap_or_default(), object.name_any());
    match error {
        Error::Withdrawing => Action::requeue(WITHDRAWING),
        Error::NotYet => Action::requeue(SHORTEST),
        // Only a change of the resource can help, and wakes it.
        Error::Invalid(_) => {
            warn!(namespace, name, %error, "a resource cannot be read");
            Action::await_change()
        }
        Error::Api(_) | Error::Finalizer(_) => {
            warn!(namespace, name, %error, "a reconcile failed and is tried again");
            let owner = Owner { namespace, name };
            Action::requeue(context.memory.of(&owner, |memory| memory.failed()))
        }
    }
}

async fn settle_or_withdraw(object: &Guarded, context: &Context) -> Result<Action, Error> {
    let Some(resource) = fresh(object, context).await? else { return Ok(Action::await_change()) };
    let owner = Owner::of(&resource);
    if resource.spec.suspend && resource.metadata.deletion_timestamp.is_none() {
        // Not even a finalizer is set.
        return settle(context, &resource).await;
    }
    let api = context.cluster.namespaced::<KeylimeAttestor>(&owner.namespace);
    let result = finalizer(&api, names::FINALIZER, Arc::new(resource), |event| async {
        match event {
            finalizer::Event::Apply(resource) => settle(context, &resource).await,
            finalizer::Event::Cleanup(resource) => withdraw(context, &resource).await,
        }
    })
    .await;
    match result {
        Ok(action) => {
            context.memory.of(&owner, |memory| memory.succeeded());
            Ok(action)
        }
        Err(finalizer::Error::ApplyFailed(error) | finalizer::Error::CleanupFailed(error)) => Err(error),
        // The resource is gone, with its finalizer.
        Err(finalizer::Error::AddFinalizer(kube::Error::Api(status)))
        | Err(finalizer::Error::RemoveFinalizer(kube::Error::Api(status)))
            if status.code == 404 =>
        {
            Ok(Action::await_change())
        }
        Err(error) => Err(Error::Finalizer(error.to_string())),
    }
}

/// The resource of now, from the apiserver: the watch may be behind our own last status.
async fn fresh(object: &Guarded, context: &Context) -> Result<Option<KeylimeAttestor>, Error> {
    let unreadable = |invalid: InvalidObject| Error::Invalid(Box::new(invalid));
    object.0.as_ref().map_err(|invalid| unreadable(invalid.clone()))?;
    let (namespace, name) = (object.namespace().unwrap_or_default(), object.name_any());
    let found = context.cluster.namespaced::<Guarded>(&namespace).get_opt(&name).await;
    let found = found.map_err(ApiError::api("get", format!("the KeylimeAttestor {namespace}/{name}")))?;
    match found {
        Some(DeserializeGuard(resource)) => Ok(Some(resource.map_err(unreadable)?)),
        None => {
            forget(context, &Owner { namespace, name });
            Ok(None)
        }
    }
}

fn forget(context: &Context, owner: &Owner) {
    context.memory.forget(owner);
    context.metrics.forget(owner);
}

/// Applies the desired state as far as it may go, and reports the result.
async fn settle(context: &Context, resource: &KeylimeAttestor) -> Result<Action, Error> {
    let now = seconds(Timestamp::now());
    let attempt = attempt(context, resource, now).await?;
    report(context, resource, &attempt, now).await?;
    Ok(Action::requeue(requeue(&attempt)))
}

/// The first four steps, up to the status.
async fn attempt(context: &Context, resource: &KeylimeAttestor, now: Timestamp) -> Result<Attempt, Error> {
    let owner = Owner::of(resource);
    if resource.spec.suspend {
        // Its status comes after the last write of a poll.
        context.nodes.pause(&owner).await;
        return Ok(Attempt::Refused(Problem::new(reason::SUSPENDED, reason::SUSPENDED.meaning)));
    }
    if let Some(problem) = elsewhere::problem(&context.cluster, resource) {
        return Ok(Attempt::Refused(problem));
    }
    let gathered = gather(&context.cluster, resource, &others(context), context.image.clone()).await;
    let gathered = match gathered {
        Ok(gathered) => Gathered {
            agents: context.nodes.agents(&owner, &gathered),
            needs: Some(needs(context.nodes.view(&owner).as_deref())),
            unbound: context.nodes.view(&owner).as_deref().and_then(unbound),
            agents_run_for: agents_run_for(resource, now),
            aliasing: context.nodes.aliasing().ok_or(Error::NotYet)?,
            ..gathered
        },
        Err(error) if error.is_refusal() => return Ok(Attempt::Refused(refused(&error))),
        Err(error) => return Err(error.into()),
    };
    let desired = validate(resource, &gathered, &context.checksums);
    set_inputs(context, &owner, &gathered, desired.is_ok());
    let desired = match desired {
        Ok(desired) => desired,
        Err(problems) => return Ok(Attempt::Invalid { gathered, problems }),
    };
    let plan = due(resource, &desired, &gathered, now);
    let (plan, diagnosis) = failure::diagnosed(&context.cluster, resource, &desired, &gathered, plan).await;
    let (plan, mut problems) = fighting::held_back(&context.memory, &owner, &gathered, plan, Instant::now());
    let carrying = owned::with(&carrying(&desired, &gathered), &plan.steps);
    if let Err(error) = aliases(context, &owner, &desired, &plan).await {
        let Error::Api(error) = error else { return Err(error) };
        // Without them the workloads of its Nodes would have a parent that nobody is.
        return match error.is_refusal() {
            true => Ok(Attempt::Invalid { gathered, problems: vec![refused(&error)] }),
            false => Err(error.into()),
        };
    }
    // Before the apply: an object that is made and not recorded would never be withdrawn.
    write::ahead(&context.cluster, resource, &carrying, desired.is_exclusive()).await?;
    let applied = apply(&context.cluster, plan, carrying).await?;
    fighting::corrected(&context.memory, &owner, &applied.done, Instant::now());
    problems.splice(..0, applied.problem.clone());
    Ok(Attempt::Applied { gathered, desired: Box::new(desired), applied, problems, diagnosis })
}

/// Has the Nodes have the aliases that spire-controller-manager is to give their workloads as
/// parents, before it does. Where it goes by something else, they go when it runs with that.
async fn aliases(context: &Context, owner: &Owner, desired: &Desired, plan: &Plan) -> Result<(), Error> {
    let state = |key| plan.rollouts.get(key).map(|rollout| rollout.state);
    if let Some(aliases) = desired.server.manager.as_ref().and_then(|manager| manager.aliases.as_ref().ok()) {
        let given_back =
            desired.agents.iter().any(|agent| state(&agent.key) == Some(RolloutState::RolledBack));
        let former = match (desired.is_exclusive(), given_back) {
            (true, _) => Former::None,
            (false, true) => Former::All,
            (false, false) => Former::UntilAttested,
        };
        return Ok(context.nodes.alias(owner, Wanted { aliases: aliases.clone(), former }).await?);
    }
    let server = desired.server.workload.as_ref();
    let replaced = server.is_none_or(|server| server.pods.complete);
    if replaced && state(&desired.server.key).is_none_or(|state| state == RolloutState::Complete) {
        context.nodes.unalias(owner).await?;
    } else {
        context.nodes.alias_former_agents(owner).await?;
    }
    Ok(())
}

/// The objects that carry something of the resource: those that its status names, and its workloads
/// with an overlay that the status does not name, such as that of a resource deleted by force.
fn carrying(desired: &Desired, gathered: &Gathered) -> Vec<OwnedObject> {
    let workloads = desired.targets().filter_map(|target| target.workload.as_ref());
    let managed = workloads.filter(|workload| workload.managed).map(owned::workload);
    let mut carrying = gathered.carrying.clone();
    carrying.extend(managed);
    carrying.sort();
    carrying.dedup();
    carrying
}

/// The steps that are due.
fn due(resource: &KeylimeAttestor, desired: &Desired, gathered: &Gathered, now: Timestamp) -> Plan {
    let previous = resource.status.clone().unwrap_or_default();
    let rollout = resource.spec.rollout.clone().unwrap_or_default();
    // After a change to ConfigOnly the workloads are restored in the order of a deletion.
    let back = (desired.mode == Mode::ConfigOnly)
        .then(|| withdraw_from_spire(gathered, &previous, rollout.batch_size, AGENTS_FIRST, now))
        .flatten();
    back.unwrap_or_else(|| plan(desired, gathered, &previous, &rollout, now))
}

fn agents_run_for(resource: &KeylimeAttestor, now: Timestamp) -> Option<Duration> {
    let status = resource.status.as_ref()?;
    let type_ = ConditionType::AgentsRolledOut.as_str();
    let rolled_out = status.conditions.iter().find(|one| one.type_ == type_ && one.status == "True")?;
    now.duration_since(rolled_out.last_transition_time.0).try_into().ok()
}

/// The pause before the next reconcile, should no change of the cluster come first.
fn requeue(attempt: &Attempt) -> Duration {
    let due = attempt.applied().and_then(|applied| applied.requeue).unwrap_or(CALM);
    let longest = if attempt.problems().is_empty() { CALM } else { PROBLEM };
    due.clamp(SHORTEST, longest)
}

fn refused(error: &ApiError) -> Problem {
    let advice = "for a missing right, add the namespace to the chart's values";
    Problem::new(reason::REFUSED, format!("{error}: {advice}"))
}

fn others(context: &Context) -> Vec<KeylimeAttestor> {
    let all = context.resources.iter().flat_map(Store::state);
    all.filter_map(|resource| resource.0.as_ref().ok().cloned()).collect()
}

/// The time in whole seconds, as the API keeps it; a fraction would look like a change each time.
fn seconds(now: Timestamp) -> Timestamp {
    Timestamp::from_second(now.as_second()).unwrap_or(now)
}
