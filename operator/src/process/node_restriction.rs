//! Whether the apiserver runs with the admission plugin NodeRestriction, without which a kubelet
//! can write the label of its Node that workloads' parents hang on.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use keylime_attestor_api::names::{event, label};
use kube::runtime::events::EventType;
use kube::runtime::reflector::Store;
use kube::{Client, Resource as _};
use tokio::sync::watch;
use tokio::time::{MissedTickBehavior, interval};
use tracing::{debug, info, warn};

use crate::cluster::{Guarded, restricts_nodes};
use crate::events::{self, Events};

/// How long an apiserver keeps an Event, unless it is told otherwise.
const INTERVAL: Duration = Duration::from_secs(60 * 60);

/// Asks now and each hour, and tells of an apiserver without the plugin in the log and by Events on
/// all resources, until it is asked to end.
pub(super) async fn tell(
    client: Client,
    events: Arc<Events>,
    resources: Vec<Store<Guarded>>,
    mut stop: watch::Receiver<bool>,
) {
    tokio::select! {
        never = tell_each_hour(&client, &events, &resources) => match never {},
        _ = stop.wait_for(|stop| *stop) => {}
    }
}

async fn tell_each_hour(client: &Client, events: &Events, resources: &[Store<Guarded>]) -> Infallible {
    let mut ticks = interval(INTERVAL);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        match restricts_nodes(client).await {
            Ok(Some(true)) => debug!("the apiserver runs with the admission plugin NodeRestriction"),
            Ok(Some(false)) => {
                warn!(
                    "the apiserver runs without the admission plugin NodeRestriction: turn it on, or a node's kubelet can write the label that its workloads' parents hang on"
                );
                publish(events, resources).await;
            }
            Ok(None) => info!("the apiserver's metrics do not tell whether it runs with NodeRestriction"),
            Err(error) => {
                info!(%error, "whether the apiserver runs with NodeRestriction is not known: its metrics were not read");
            }
        }
    }
}

/// An Event on each resource.
async fn publish(events: &Events, resources: &[Store<Guarded>]) {
    let note = format!(
        "The apiserver runs without the admission plugin NodeRestriction. Until the operator's next poll puts it right, a node's kubelet can write the \
         label {} of its Node, by which workloads get their parents, and take off the taint. Turn the plugin on: --enable-admission-plugins=NodeRestriction.",
        label::NODE_AGENT_ID
    );
    let event = events::event(EventType::Warning, event::NODE_RESTRICTION_OFF, "Watch", note);
    for store in resources {
        // Ended with the operator.
        if store.wait_until_ready().await.is_err() {
            return;
        }
        for resource in store.state() {
            if let Ok(resource) = &resource.0 {
                events.tell(&resource.object_ref(&()), &event).await;
            }
        }
    }
}
