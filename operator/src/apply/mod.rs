//! Carries out a plan's steps, one after the other, by server-side apply with one field manager.

mod dry_run;

use std::collections::BTreeMap;
use std::time::Duration;

use k8s_openapi::api::core::v1::{ConfigMap, Pod};
use keylime_attestor_api::conditions::configuration_applied as reason;
use keylime_attestor_api::names::FIELD_MANAGER;
use keylime_attestor_api::{OwnedObject, RolloutStatus};
use kube::ResourceExt as _;
use kube::api::{Api, DeleteParams, DynamicObject, Patch, PatchParams, Preconditions, ValidationDirective};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::cluster::{Cluster, Error};
use crate::model::managed_fields::{FieldOwners, released};
use crate::model::owned;
use crate::model::problem::Problem;
use crate::model::step::Step;
use crate::model::workload::{WorkloadKey, is_ours};
use crate::rollout::gate::Waits;
use crate::rollout::plan::Plan;

pub(crate) use dry_run::dry_run;

/// The result of a plan.
#[derive(Debug, Default)]
pub(crate) struct Applied {
    /// The steps that were carried out.
    pub(crate) done: Vec<Step>,
    /// The objects that carry something of the resource afterwards.
    pub(crate) carrying: Vec<OwnedObject>,
    /// The problem that stopped the next step.
    pub(crate) problem: Option<Problem>,
    /// The rollouts of now.
    pub(crate) rollouts: BTreeMap<WorkloadKey, RolloutStatus>,
    /// True where the agents wait for the server.
    pub(crate) waits_for_server: bool,
    /// The agents that wait for Keylime, with the reasons.
    pub(crate) waits: BTreeMap<WorkloadKey, Waits>,
    /// The pause before the next reconcile, should no change of the cluster come first.
    pub(crate) requeue: Option<Duration>,
}

/// Carries out the steps until one is refused; those behind it may need it. `carrying` are the
/// objects that carry something of the resource, with those that the steps make or change.
///
/// # Errors
/// An apiserver that is away, or an object that changed meanwhile: a later try helps.
pub(crate) async fn apply(
    cluster: &Cluster,
    plan: Plan,
    mut carrying: Vec<OwnedObject>,
) -> Result<Applied, Error> {
    let Plan { steps, mut rollouts, waits_for_server, waits, requeue } = plan;
    let (mut done, mut problem) = (Vec::new(), None);
    for step in steps {
        match carry_out(cluster, &step, &mut carrying).await {
            Ok(()) => done.push(step),
            Err(ApplyError::Problem(stopped)) => {
                problem = Some(stopped);
                break;
            }
            Err(ApplyError::Error(error)) if error.is_refusal() => {
                problem = Some(Problem::new(reason::REFUSED, error.to_string()));
                break;
            }
            Err(ApplyError::Error(error)) => return Err(error),
        }
    }
    if problem.is_some() {
        // A rollout whose step was not applied has not begun.
        rollouts.retain(|key, rollout| rollout.updated > 0 || done.iter().any(|step| rolls(step, key)));
    }
    Ok(Applied { done, carrying, problem, rollouts, waits_for_server, waits, requeue })
}

/// True for a step that has a workload's pods replaced.
fn rolls(step: &Step, key: &WorkloadKey) -> bool {
    matches!(step, Step::Overlay { workload, .. } | Step::Withdraw { workload, .. } if workload == key)
}

/// The way of one apply.
#[derive(Clone, Copy)]
struct Write {
    /// Over the values of others: at once, or of [`write`] where they were ours before.
    force: bool,
    /// Only tried: the apiserver answers as if, and keeps nothing.
    dry_run: bool,
}

const FORCED: Write = Write { force: true, dry_run: false };

impl Write {
    const fn of(correction: bool) -> Self {
        Self { force: correction, dry_run: false }
    }
}

enum ApplyError {
    Problem(Problem),
    Error(Error),
}

impl From<Error> for ApplyError {
    fn from(error: Error) -> Self {
        Self::Error(error)
    }
}

async fn carry_out(cluster: &Cluster, step: &Step, carrying: &mut [OwnedObject]) -> Result<(), ApplyError> {
    match step {
        Step::Configure { object, correction } => {
            let api = cluster.namespaced::<ConfigMap>(namespace(object));
            let made =
                write(&api, object, Write::of(*correction), &format!("the ConfigMap {}", name(object)))
                    .await?;
            owned::made(carrying, &made.metadata);
            Ok(())
        }
        // With force: SPIRE's own entry has another owner, whose value is replaced on purpose.
        Step::Edit { object, correction: _ } => {
            let api = cluster.namespaced::<ConfigMap>(namespace(object));
            Ok(put(&api, object, FORCED, &format!("the ConfigMap {}", name(object))).await.map(drop)?)
        }
        Step::Overlay { workload, object, correction } => {
            let api = cluster.workloads(workload.kind, &workload.namespace);
            write(&api, object, Write::of(*correction), &format!("the {workload}")).await.map(drop)
        }
        Step::Hold { workload, object } => {
            let api: Api<DynamicObject> = cluster.workloads(workload.kind, &workload.namespace);
            Ok(put(&api, object, FORCED, &format!("the {workload}")).await.map(drop)?)
        }
        Step::Withdraw { workload, object } => {
            let api: Api<DynamicObject> = cluster.workloads(workload.kind, &workload.namespace);
            gone_is_fine(put(&api, object, FORCED, &format!("the {workload}")).await.map(drop))
        }
        Step::Restore { object, release } => {
            let api = cluster.namespaced::<ConfigMap>(namespace(object));
            gone_is_fine(restore(&api, object, release.as_ref()).await)
        }
        Step::Delete { namespace, name, uid } => {
            let api = cluster.namespaced::<ConfigMap>(namespace);
            let deleted = api.delete(name, &only(uid)).await.map(drop);
            gone_is_fine(deleted.map_err(Error::api("delete", format!("the ConfigMap {namespace}/{name}"))))
        }
        Step::DeletePod { namespace, name, uid } => {
            let api = cluster.namespaced::<Pod>(namespace);
            let deleted = api.delete(name, &only(uid)).await.map(drop);
            gone_is_fine(deleted.map_err(Error::api("delete", format!("the pod {namespace}/{name}"))))
        }
    }
}

/// Applies without force, so that a conflict shows the other owners of a field. An object that was
/// ours before is corrected with force.
async fn write<K>(api: &Api<K>, object: &Value, how: Write, what: &str) -> Result<K, ApplyError>
where
    K: Clone + DeserializeOwned + std::fmt::Debug + kube::Resource,
{
    match put(api, object, Write { force: false, ..how }, what).await {
        Ok(written) => Ok(written),
        Err(error) if !error.owned_by_others().is_empty() => {
            if how.force || holds_fields(api, name(object)).await? {
                return Ok(put(api, object, Write { force: true, ..how }, what).await?);
            }
            let others = error.owned_by_others().join("; ");
            Err(ApplyError::Problem(Problem::new(
                reason::FIELD_CONFLICT,
                format!("{what} has other values in fields that are needed: {others}: remove them there"),
            )))
        }
        Err(error) => Err(error.into()),
    }
}

/// True where the apiserver counts fields of the object as ours.
async fn holds_fields<K>(api: &Api<K>, name: &str) -> Result<bool, Error>
where
    K: Clone + DeserializeOwned + std::fmt::Debug + kube::Resource,
{
    let metadata = api.get_metadata_opt(name).await.map_err(Error::api("get", name))?;
    Ok(metadata.is_some_and(|object| object.managed_fields().iter().any(is_ours)))
}

async fn put<K>(api: &Api<K>, object: &Value, how: Write, what: &str) -> Result<K, Error>
where
    K: Clone + DeserializeOwned + std::fmt::Debug,
{
    api.patch(name(object), &params(how), &Patch::Apply(object)).await.map_err(Error::api("apply", what))
}

/// Restores the texts from before, and then their managed fields: an entry that is merely no longer
/// applied would be deleted.
async fn restore(api: &Api<ConfigMap>, object: &Value, release: Option<&FieldOwners>) -> Result<(), Error> {
    let what = format!("the ConfigMap {}", name(object));
    let restored = put(api, object, FORCED, &what).await?;
    let Some(owners) = release else { return Ok(()) };
    let fields = released(restored.managed_fields(), owners);
    // The apiserver takes an empty list as no change, and one empty entry as no managed fields.
    let fields = if fields.is_empty() { json!([{}]) } else { json!(fields) };
    // With a test: a write of others in between would lose its managed fields.
    let patch = json!([
        {"op": "test", "path": "/metadata/resourceVersion", "value": restored.resource_version()},
        {"op": "replace", "path": "/metadata/managedFields", "value": fields},
    ]);
    let patch = serde_json::from_value(patch).map(Patch::Json::<()>).map_err(kube::Error::SerdeError);
    let released = match patch {
        Ok(patch) => api.patch(name(object), &PatchParams::default(), &patch).await.map(drop),
        Err(error) => Err(error),
    };
    released.map_err(Error::api("release", what))
}

/// The parameters of an apply: the operator's field manager, and an error, not a warning, for a
/// field that does not exist.
fn params(Write { force, dry_run }: Write) -> PatchParams {
    PatchParams {
        force,
        dry_run,
        field_validation: Some(ValidationDirective::Strict),
        ..PatchParams::apply(FIELD_MANAGER)
    }
}

/// The parameters of a delete of the object with this UID: another may have its name by now.
fn only(uid: &str) -> DeleteParams {
    let preconditions = Preconditions { uid: Some(uid.to_owned()), resource_version: None };
    DeleteParams { preconditions: Some(preconditions), ..DeleteParams::default() }
}

/// Success, too, for an object that is gone or is another by now: it carries nothing of ours.
fn gone_is_fine(result: Result<(), Error>) -> Result<(), ApplyError> {
    match result {
        Err(error) if error.is_not_found() => Ok(()),
        other => Ok(other?),
    }
}

fn name(object: &Value) -> &str {
    object.pointer("/metadata/name").and_then(Value::as_str).unwrap_or_default()
}

fn namespace(object: &Value) -> &str {
    object.pointer("/metadata/namespace").and_then(Value::as_str).unwrap_or_default()
}
