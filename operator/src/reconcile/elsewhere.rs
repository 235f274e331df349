//! Resources and workloads outside of the managed namespaces: reported on the resource, and left
//! alone.

use std::time::Duration;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use k8s_openapi::jiff::Timestamp;
use keylime_attestor_api::conditions::configuration_applied::NAMESPACE_NOT_MANAGED;
use keylime_attestor_api::{KeylimeAttestor, KeylimeAttestorStatus};
use kube::api::ObjectMeta;
use kube::core::PartialObjectMeta;
use tokio::sync::watch;
use tokio::time::{MissedTickBehavior, interval};
use tracing::{debug, info};

use crate::cluster::Cluster;
use crate::model::problem::Problem;
use crate::model::target::Asked;
use crate::status::write;

/// The interval of the search for resources elsewhere, and the time for another operator, which
/// acts there, to write a status first.
const INTERVAL: Duration = Duration::from_secs(15);

/// The problem of a resource that names workloads elsewhere.
pub(crate) fn problem(cluster: &Cluster, resource: &KeylimeAttestor) -> Option<Problem> {
    let asked = Asked::all(resource);
    let outside = asked.iter().find(|asked| !cluster.manages(&asked.key.namespace))?;
    Some(Problem::new(
        NAMESPACE_NOT_MANAGED,
        format!("the {} is elsewhere: {}", outside.key, managed(cluster)),
    ))
}

/// The problem of a resource that is elsewhere itself.
pub(crate) fn own(cluster: &Cluster) -> Problem {
    Problem::new(NAMESPACE_NOT_MANAGED, format!("the KeylimeAttestor is elsewhere: {}", managed(cluster)))
}

/// Writes the status of each resource elsewhere that has none: no operator acts on it.
pub(crate) async fn tell(cluster: Cluster, mut stop: watch::Receiver<bool>) {
    let mut ticks = interval(INTERVAL);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            _ = ticks.tick() => tell_all(&cluster).await,
            _ = stop.wait_for(|stop| *stop) => return,
        }
    }
}

async fn tell_all(cluster: &Cluster) {
    let now = Timestamp::now();
    let nobodys = |found: PartialObjectMeta<KeylimeAttestor>| {
        let ObjectMeta { name, namespace, uid, generation, .. } = found.metadata.clone();
        is_nobodys(cluster, &found.metadata, now).then(|| ObjectMeta {
            name,
            namespace,
            uid,
            generation,
            ..ObjectMeta::default()
        })
    };
    let nobodys = match cluster.attestors_everywhere(nobodys).await {
        Ok(nobodys) => nobodys,
        // Not a failure: the status of a resource elsewhere is a courtesy.
        Err(error) => return debug!(%error, "resources of other namespaces were not seen"),
    };
    for resource in nobodys {
        let (namespace, name) = (resource.namespace.as_deref(), resource.name.as_deref());
        info!(namespace, name, "a KeylimeAttestor is in a namespace in which the operator does not act");
        if let Err(error) = write::apply(cluster, &resource, &status(cluster, &resource, now)).await {
            debug!(namespace, name, %error, "it was not told so");
        }
    }
}

/// True for a resource elsewhere without a status after the time that an operator has for it.
fn is_nobodys(cluster: &Cluster, resource: &ObjectMeta, now: Timestamp) -> bool {
    let age = resource.creation_timestamp.as_ref().map(|created| now.duration_since(created.0));
    let is_old = age.and_then(|age| Duration::try_from(age).ok()).is_some_and(|age| age > INTERVAL);
    let writers = resource.managed_fields.iter().flatten();
    let has_status = writers.into_iter().any(|writer| writer.subresource.as_deref() == Some("status"));
    is_old && !has_status && !cluster.manages(resource.namespace.as_deref().unwrap_or_default())
}

/// The status of a resource elsewhere: one condition.
fn status(cluster: &Cluster, resource: &ObjectMeta, now: Timestamp) -> KeylimeAttestorStatus {
    let condition = Condition {
        type_: NAMESPACE_NOT_MANAGED.condition.as_str().to_owned(),
        status: NAMESPACE_NOT_MANAGED.status.as_str().to_owned(),
        reason: NAMESPACE_NOT_MANAGED.name.to_owned(),
        message: own(cluster).message,
        observed_generation: resource.generation,
        last_transition_time: Time(now),
    };
    KeylimeAttestorStatus {
        observed_generation: resource.generation,
        conditions: vec![condition],
        ..KeylimeAttestorStatus::default()
    }
}

fn managed(cluster: &Cluster) -> String {
    let namespaces = cluster.namespaces.join(", ");
    format!(
        "the operator acts in the namespaces {namespaces} only. Move it, or have who installed the operator add \
         its namespace to the chart's `namespaces`"
    )
}
