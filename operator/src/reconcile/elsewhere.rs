//! What is outside of the namespaces in which the operator acts: said on the resource, and left
//! alone.

use std::time::Duration;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use k8s_openapi::jiff::Timestamp;
use keylime_attestor_api::conditions::configuration_applied::NAMESPACE_NOT_MANAGED;
use keylime_attestor_api::{KeylimeAttestor, KeylimeAttestorStatus};
use kube::ResourceExt as _;
use kube::api::{Api, ListParams};
use tokio::sync::watch;
use tokio::time::{MissedTickBehavior, interval};
use tracing::{debug, info};

use crate::cluster::{Cluster, Guarded};
use crate::model::problem::Problem;
use crate::model::target::Asked;
use crate::status::write;

/// How often resources are looked for elsewhere, and how long another operator, which acts there,
/// has to say something first.
const INTERVAL: Duration = Duration::from_secs(15);

/// What is wrong with a resource that names workloads elsewhere.
pub(super) fn problem(cluster: &Cluster, resource: &KeylimeAttestor) -> Option<Problem> {
    let asked = Asked::all(resource);
    let outside = asked.iter().find(|asked| !cluster.manages(&asked.key.namespace))?;
    Some(Problem::new(
        NAMESPACE_NOT_MANAGED,
        format!("the {} is elsewhere: {}", outside.key, managed(cluster)),
    ))
}

/// Says on each resource elsewhere, of which nobody has said anything, that nobody does.
pub(crate) async fn tell(cluster: Cluster, mut stop: watch::Receiver<bool>) {
    let mut ticks = interval(INTERVAL);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            _ = ticks.tick() => poll(&cluster).await,
            _ = stop.wait_for(|stop| *stop) => return,
        }
    }
}

async fn poll(cluster: &Cluster) {
    let found = Api::<Guarded>::all(cluster.client.clone()).list(&ListParams::default()).await;
    let found = match found {
        Ok(found) => found,
        // Its own resources are followed elsewhere; these are a courtesy.
        Err(error) => return debug!(%error, "resources of other namespaces were not seen"),
    };
    let now = Timestamp::now();
    for resource in found.items.into_iter().filter_map(|found| found.0.ok()) {
        if is_nobodys(cluster, &resource, now) {
            let (namespace, name) = (resource.namespace().unwrap_or_default(), resource.name_any());
            info!(namespace, name, "a KeylimeAttestor is in a namespace in which the operator does not act");
            if let Err(error) = write::write(cluster, &resource, &status(cluster, &resource, now)).await {
                debug!(namespace, name, %error, "it was not told so");
            }
        }
    }
}

fn is_nobodys(cluster: &Cluster, resource: &KeylimeAttestor, now: Timestamp) -> bool {
    let age = resource.creation_timestamp().map(|created| now.duration_since(created.0));
    let is_old = age.and_then(|age| Duration::try_from(age).ok()).is_some_and(|age| age > INTERVAL);
    is_old && resource.status.is_none() && !cluster.manages(&resource.namespace().unwrap_or_default())
}

/// One condition.
fn status(cluster: &Cluster, resource: &KeylimeAttestor, now: Timestamp) -> KeylimeAttestorStatus {
    let condition = Condition {
        type_: NAMESPACE_NOT_MANAGED.condition.as_str().to_owned(),
        status: NAMESPACE_NOT_MANAGED.status.as_str().to_owned(),
        reason: NAMESPACE_NOT_MANAGED.name.to_owned(),
        message: format!("the KeylimeAttestor is elsewhere: {}", managed(cluster)),
        observed_generation: resource.metadata.generation,
        last_transition_time: Time(now),
    };
    KeylimeAttestorStatus {
        observed_generation: resource.metadata.generation,
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
