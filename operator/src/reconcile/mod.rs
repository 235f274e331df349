//! One look at one resource: gather, validate, build, apply, status. Whatever moment it is cut off
//! at, the next one goes on from what the cluster has.

pub(crate) mod backoff;
mod failure;
mod fighting;
pub(crate) mod watches;

use std::sync::Arc;
use std::time::{Duration, Instant};

use k8s_openapi::jiff::Timestamp;
use keylime_attestor_api::conditions::{configuration_applied as reason, degraded};
use keylime_attestor_api::{KeylimeAttestor, Mode, RolloutState, names};
use kube::ResourceExt as _;
use kube::core::DeserializeGuard;
use kube::core::error_boundary::InvalidObject;
use kube::runtime::controller::Action;
use kube::runtime::finalizer::{self, finalizer};
use kube::runtime::reflector::Store;
use tracing::{info, warn};

use crate::apply::{Applied, apply};
use crate::cluster::{self, Cluster, Error as ApiError, Guarded};
use crate::events::{self, Events};
use crate::gather::{Gathered, gather, pods};
use crate::metrics::Metrics;
use crate::model::problem::Problem;
use crate::model::step::Step;
use crate::model::target::{Owner, Plan, Role};
use crate::model::workload::WorkloadKey;
use crate::nodes::{Given, Nodes, View};
use crate::plugins::Checksums;
use crate::reconcile::backoff::Memory;
use crate::rollout::next::{Next, next};
use crate::rollout::withdrawal::{Withdrawal, hand_back, withdrawal};
use crate::status::{Facts, status, write};
use crate::validate::validate;

/// When to look again at what is in order, or at what only somebody else can put in order and
/// nothing tells of.
const CALM: Duration = Duration::from_secs(60);
const PROBLEM: Duration = Duration::from_secs(15);
/// When to look again at a withdrawal, should no change of a workload come first.
const WITHDRAWING: Duration = Duration::from_secs(5);

/// What all reconciles share.
pub(crate) struct Context {
    pub(crate) cluster: Cluster,
    pub(crate) events: Arc<Events>,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) checksums: Checksums,
    /// Where the plugins are installed from, if it is known.
    pub(crate) image: Option<String>,
    /// All resources, of every namespace that is looked after.
    pub(crate) resources: Vec<Store<Guarded>>,
    pub(crate) memory: Memory,
    pub(crate) nodes: Arc<Nodes>,
}

/// Why a reconcile did not come to its end.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error(transparent)]
    Api(#[from] ApiError),
    #[error("failed to read the KeylimeAttestor: {0}")]
    Invalid(Box<InvalidObject>),
    #[error("failed to set or remove the finalizer: {0}")]
    Finalizer(String),
    /// Not an error: the resource has to stay until everything is back.
    #[error("SPIRE does not have everything back yet")]
    Withdrawing,
}

/// Brings one resource nearer to what it asks for.
pub(crate) async fn reconcile(object: Arc<Guarded>, context: Arc<Context>) -> Result<Action, Error> {
    let start = Instant::now();
    let result = look(&object, &context).await;
    let outcome = match &result {
        Ok(_) => "done",
        Err(Error::Withdrawing) => "waiting",
        Err(_) => "failed",
    };
    context.metrics.reconciled(outcome, start.elapsed());
    result
}

/// When to try again. What waits is no failure.
pub(crate) fn error_policy(object: Arc<Guarded>, error: &Error, context: Arc<Context>) -> Action {
    let (namespace, name) = (object.namespace().unwrap_or_default(), object.name_any());
    match error {
        Error::Withdrawing => Action::requeue(WITHDRAWING),
        // Until somebody changes it.
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

async fn look(object: &Guarded, context: &Context) -> Result<Action, Error> {
    let Some(resource) = fresh(object, context).await? else { return Ok(Action::await_change()) };
    let owner = Owner::of(&resource);
    let api = context.cluster.namespaced::<KeylimeAttestor>(&owner.namespace);
    let result = finalizer(&api, names::FINALIZER, Arc::new(resource), |event| async {
        match event {
            finalizer::Event::Apply(resource) => settle(context, &resource).await,
            finalizer::Event::Cleanup(resource) => take_back(context, &resource).await,
        }
    })
    .await;
    match result {
        Ok(action) => {
            context.memory.of(&owner, |memory| memory.succeeded());
            Ok(action)
        }
        Err(finalizer::Error::ApplyFailed(error) | finalizer::Error::CleanupFailed(error)) => Err(error),
        // It is gone, finalizer and all.
        Err(finalizer::Error::AddFinalizer(kube::Error::Api(status)))
        | Err(finalizer::Error::RemoveFinalizer(kube::Error::Api(status)))
            if status.code == 404 =>
        {
            Ok(Action::await_change())
        }
        Err(error) => Err(Error::Finalizer(error.to_string())),
    }
}

/// The resource as it is now: the watch may be behind our own last status.
async fn fresh(object: &Guarded, context: &Context) -> Result<Option<KeylimeAttestor>, Error> {
    let unreadable = |invalid: InvalidObject| Error::Invalid(Box::new(invalid));
    object.0.as_ref().map_err(|invalid| unreadable(invalid.clone()))?;
    let (namespace, name) = (object.namespace().unwrap_or_default(), object.name_any());
    let found = context.cluster.namespaced::<Guarded>(&namespace).get_opt(&name).await;
    let found = found.map_err(ApiError::api("get", format!("the KeylimeAttestor {namespace}/{name}")))?;
    match found {
        Some(DeserializeGuard(resource)) => Ok(Some(resource.map_err(unreadable)?)),
        None => {
            let owner = Owner { namespace, name };
            context.memory.forget(&owner);
            context.metrics.forget(&owner);
            Ok(None)
        }
    }
}

/// What one look came to.
#[derive(Default)]
struct Outcome {
    gathered: Option<Gathered>,
    plan: Option<Plan>,
    problems: Vec<Problem>,
    next: Next,
    done: Vec<Step>,
    complaint: Option<String>,
    stuck: bool,
    /// What was last seen of Keylime and of the nodes.
    view: Option<Arc<View>>,
    /// Nobody can ask Keylime.
    speechless: bool,
}

/// Makes it so, or says what stands in the way.
async fn settle(context: &Context, resource: &KeylimeAttestor) -> Result<Action, Error> {
    let now = seconds(Timestamp::now());
    let mut outcome = Outcome::default();
    match gather(&context.cluster, resource, &others(context), context.image.clone()).await {
        Ok(mut gathered) => {
            gathered.agents = context.nodes.agents(&Owner::of(resource), &gathered);
            proceed(context, resource, &gathered, now, &mut outcome).await?;
            give(context, &Owner::of(resource), &gathered);
            outcome.speechless = gathered.credentials.is_none();
            outcome.gathered = Some(gathered);
        }
        Err(error) if error.is_refusal() => {
            outcome.speechless = true;
            outcome.problems.push(refused(&error));
        }
        Err(error) => return Err(error.into()),
    }
    outcome.view = context.nodes.view(&Owner::of(resource));
    report(context, resource, &outcome, now).await?;
    let look_again = outcome.next.again.map_or(CALM, |again| again.min(CALM));
    let look_again = if outcome.problems.is_empty() { look_again } else { look_again.min(PROBLEM) };
    Ok(Action::requeue(look_again.max(Duration::from_secs(1))))
}

/// Validates, and carries out what is due.
async fn proceed(
    context: &Context,
    resource: &KeylimeAttestor,
    gathered: &Gathered,
    now: Timestamp,
    outcome: &mut Outcome,
) -> Result<(), Error> {
    let plan = match validate(resource, gathered, &context.checksums) {
        Ok(plan) => plan,
        Err(problems) => {
            outcome.problems = problems;
            return Ok(());
        }
    };
    let previous = resource.status.clone().unwrap_or_default();
    let rollout = resource.spec.rollout.clone().unwrap_or_default();
    // Who no longer wants his workloads touched gets them back in the order of a deletion.
    let back = (plan.mode == Mode::ConfigOnly)
        .then(|| hand_back(&plan.owner, gathered, &previous, rollout.canary, now))
        .flatten();
    outcome.next = back.unwrap_or_else(|| next(&plan, gathered, &previous, &rollout, now));
    outcome.complaint =
        failure::note(&context.cluster, &plan, gathered, &previous, &mut outcome.next.rollouts).await;
    let owner = Owner::of(resource);
    let contest = fighting::enter(&context.memory, &owner, gathered, &mut outcome.next, Instant::now());
    let Applied { done, problem } = apply(&context.cluster, std::mem::take(&mut outcome.next.steps)).await?;
    fighting::leave(&context.memory, &owner, &done, Instant::now());
    if problem.is_some() {
        // What was not applied has not begun.
        let applied = |key: &WorkloadKey| {
            done.iter().any(|step| matches!(step, Step::Overlay { workload, .. } if workload == key))
        };
        outcome.next.rollouts.retain(|key, rollout| rollout.updated > 0 || applied(key));
    }
    outcome.problems.extend(problem);
    outcome.problems.extend(contest);
    outcome.done = done;
    outcome.plan = Some(plan);
    Ok(())
}

/// Takes everything back. Ok only when all of it is: the finalizer goes then.
async fn take_back(context: &Context, resource: &KeylimeAttestor) -> Result<Action, Error> {
    let now = seconds(Timestamp::now());
    let owner = Owner::of(resource);
    let mut outcome = Outcome::default();
    match gather(&context.cluster, resource, &[], None).await {
        Ok(gathered) => {
            let previous = resource.status.clone().unwrap_or_default();
            let canary = resource.spec.rollout.as_ref().and_then(|rollout| rollout.canary);
            match withdrawal(&owner, &gathered, &previous, canary, now) {
                // What is on the nodes stays until SPIRE is back: its entries may hang on it.
                Withdrawal::Done if !context.nodes.withdraw(resource).await? => {}
                Withdrawal::Done => {
                    info!(namespace = owner.namespace, name = owner.name, "everything is taken back");
                    context.memory.forget(&owner);
                    context.metrics.forget(&owner);
                    return Ok(Action::await_change());
                }
                Withdrawal::Going(next) => {
                    let Applied { done, problem } = apply(&context.cluster, next.steps.clone()).await?;
                    (outcome.done, outcome.next) = (done, next);
                    stuck(context, resource, &gathered, problem, now, &mut outcome).await;
                }
            }
            outcome.gathered = Some(gathered);
        }
        Err(error) if error.is_refusal() => {
            outcome.stuck = true;
            outcome.complaint = Some(error.to_string());
        }
        Err(error) => return Err(error.into()),
    }
    report(context, resource, &outcome, now).await?;
    if let Some(gathered) = outcome.gathered.filter(|_| resource.spec.spire.mode != Mode::ConfigOnly) {
        give(context, &owner, &gathered);
        context.nodes.give_workloads_back(resource).await?;
    }
    Err(Error::Withdrawing)
}

/// Whether a withdrawal goes on, and what stands in its way.
async fn stuck(
    context: &Context,
    resource: &KeylimeAttestor,
    gathered: &Gathered,
    problem: Option<Problem>,
    now: Timestamp,
    outcome: &mut Outcome,
) {
    if let Some(problem) = problem {
        outcome.stuck = true;
        outcome.complaint = Some(problem.message);
        return;
    }
    let deadline = resource.spec.rollout.clone().unwrap_or_default().progress_deadline.get();
    let late = outcome.next.rollouts.iter().find(|(_, rollout)| {
        crate::rollout::progress::left(rollout, deadline, now).is_zero()
            && rollout.state == RolloutState::Withdrawing
    });
    let Some((key, rollout)) = late else { return };
    outcome.stuck = true;
    let previous = resource.status.iter().flat_map(|status| &status.conditions);
    let known = previous.into_iter().any(|condition| condition.reason == degraded::WITHDRAWAL_STUCK.name);
    let workload = gathered.found.get(key).and_then(|found| found.workload.as_ref());
    if let Some(workload) = workload.filter(|_| !known) {
        let since = rollout.last_progress_time.0;
        let complaint = pods::complaint(&context.cluster, workload, &[], since).await;
        outcome.complaint = complaint.map(|complaint| complaint.message);
    }
}

/// Writes the status, and tells of what changed.
async fn report(
    context: &Context,
    resource: &KeylimeAttestor,
    outcome: &Outcome,
    now: Timestamp,
) -> Result<(), Error> {
    let previous = resource.status.clone().unwrap_or_default();
    let status = status(&Facts {
        resource,
        previous: &previous,
        gathered: outcome.gathered.as_ref(),
        plan: outcome.plan.as_ref(),
        problems: &outcome.problems,
        rollouts: &outcome.next.rollouts,
        waits_for_server: outcome.next.waits_for_server,
        waits_for_keylime: &outcome.next.waits_for_keylime,
        complaint: outcome.complaint.as_deref(),
        stuck: outcome.stuck,
        view: outcome.view.as_deref(),
        speechless: outcome.speechless,
        now,
    });
    context.metrics.reported(&Owner::of(resource), &status);
    let written = write::write(&context.cluster, resource, &status).await?;
    let mut events = events::of_steps(&outcome.done);
    if written {
        events.extend(events::of_transitions(&previous, &status));
    }
    for event in &events {
        info!(
            namespace = resource.namespace(),
            name = resource.name_any(),
            reason = event.reason,
            note = event.note,
            "a KeylimeAttestor went on"
        );
    }
    context.events.publish(resource, events).await;
    Ok(())
}

/// Gives the looks at the nodes what they go by. Credentials that are the same stay, with their
/// connections.
fn give(context: &Context, owner: &Owner, gathered: &Gathered) {
    let pods = |role: Role| {
        let found = gathered.found.values().filter(move |found| found.role == role);
        found.filter_map(|found| {
            let workload = found.workload.as_ref()?;
            Some((workload.key.namespace.clone(), cluster::selector(&workload.selector).ok()?))
        })
    };
    let before = context.nodes.given(owner).and_then(|given| given.credentials);
    let credentials = gathered.credentials.clone();
    let same = before.filter(|before| credentials.as_ref().is_some_and(|new| new.version == before.version));
    context.nodes.give(
        owner,
        Given {
            credentials: same.or(credentials),
            server: pods(Role::Server).next(),
            agents: pods(Role::Agent).collect(),
        },
    );
}

fn refused(error: &ApiError) -> Problem {
    let advice = "for a missing right, add the namespace to the chart's values";
    Problem::new(reason::REFUSED, format!("{error}: {advice}"))
}

fn others(context: &Context) -> Vec<KeylimeAttestor> {
    let all = context.resources.iter().flat_map(Store::state);
    all.filter_map(|resource| resource.0.as_ref().ok().cloned()).collect()
}

/// The API keeps whole seconds; more would look like a change each time.
fn seconds(now: Timestamp) -> Timestamp {
    Timestamp::from_second(now.as_second()).unwrap_or(now)
}
