//! A step that is only tried: the apiserver answers as if, with all of its admission, and keeps
//! nothing.

use k8s_openapi::api::core::v1::ConfigMap;
use keylime_attestor_api::conditions::configuration_applied as reason;
use kube::api::{Api, DynamicObject};
use serde::Serialize;
use serde_json::Value;

use super::{ApplyError, Write, name, namespace, put, write};
use crate::cluster::{Cluster, Error};
use crate::model::problem::Problem;
use crate::model::step::Step;

/// The object as it would be after a step; [`None`] for a step that deletes it.
///
/// # Errors
/// The problem that the operator would report; inside of it, that of an apiserver that gave no
/// answer.
pub(crate) async fn dry_run(cluster: &Cluster, step: &Step) -> Result<Result<Option<Value>, Problem>, Error> {
    match attempt(cluster, step).await {
        Ok(object) => Ok(Ok(object)),
        Err(ApplyError::Problem(problem)) => Ok(Err(problem)),
        Err(ApplyError::Error(error)) if error.is_refusal() => {
            Ok(Err(Problem::new(reason::REFUSED, error.to_string())))
        }
        Err(ApplyError::Error(error)) => Err(error),
    }
}

async fn attempt(cluster: &Cluster, step: &Step) -> Result<Option<Value>, ApplyError> {
    let how = |force| Write { force, dry_run: true };
    match step {
        Step::Configure { object, correction } => {
            let api: Api<ConfigMap> = cluster.namespaced(namespace(object));
            let what = format!("the ConfigMap {}", name(object));
            value(write(&api, object, how(*correction), &what).await?)
        }
        Step::Edit { object, .. } | Step::Restore { object, .. } => {
            let api: Api<ConfigMap> = cluster.namespaced(namespace(object));
            value(put(&api, object, how(true), &format!("the ConfigMap {}", name(object))).await?)
        }
        Step::Overlay { workload, object, correction } => {
            let api: Api<DynamicObject> = cluster.workloads(workload.kind, &workload.namespace);
            value(write(&api, object, how(*correction), &format!("the {workload}")).await?)
        }
        Step::Hold { workload, object } | Step::Withdraw { workload, object } => {
            let api: Api<DynamicObject> = cluster.workloads(workload.kind, &workload.namespace);
            value(put(&api, object, how(true), &format!("the {workload}")).await?)
        }
        Step::Delete { .. } | Step::DeletePod { .. } => Ok(None),
    }
}

fn value(object: impl Serialize) -> Result<Option<Value>, ApplyError> {
    let unreadable = |error| Error::api("read", "the answer")(kube::Error::SerdeError(error));
    Ok(Some(serde_json::to_value(object).map_err(unreadable)?))
}
