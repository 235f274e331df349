//! The schedule of the polls. A poll that takes long, or panics, holds up no other.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use keylime_attestor_api::KeylimeAttestor;
use kube::runtime::reflector::Store;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tracing::{debug, warn};

use super::{Context, poll};
use crate::model::target::Owner;

/// The interval at which due polls are started.
const TICK: Duration = Duration::from_millis(500);

/// The time from a poll that saw nothing to the next one.
const SOON: Duration = Duration::from_secs(2);

/// The least time between the beginnings of two polls where pods of SPIRE's agents change: a
/// workload gets its new parent only when the node whose agent has just become ready is polled, and
/// in a rollout many become so one after the other.
const PODS_CHANGE: Duration = Duration::from_secs(2);

/// The next poll of a resource's nodes.
struct Due {
    begun: Instant,
    /// The changes of the pods of SPIRE's agents, as of the beginning of the last poll.
    pods: u64,
    /// The version of the last poll's inputs: another one is polled at once.
    version: Version,
    at: Instant,
    /// True while a poll is under way.
    running: bool,
}

impl Due {
    /// True when the next poll begins now.
    fn is_over(&self, version: &Version, pods: u64, now: Instant) -> bool {
        let pods_changed = self.pods != pods && self.begun + PODS_CHANGE <= now;
        !self.running && (self.at <= now || self.version != *version || pods_changed)
    }
}

/// The UID and the generation of the resource, and the version of the Keylime client.
type Version = (Option<String>, Option<i64>, Option<String>);

/// Polls the nodes of all resources until the process ends; polls that are under way come to their
/// end.
pub(crate) async fn run(context: Arc<Context>, mut stop: watch::Receiver<bool>) {
    let mut dues: BTreeMap<Owner, Due> = BTreeMap::new();
    let mut polls = JoinSet::new();
    let mut tick = tokio::time::interval(TICK);
    loop {
        tokio::select! {
            _ = stop.wait_for(|stop| *stop) => break,
            Some(ended) = polls.join_next() => finish(&mut dues, ended),
            _ = tick.tick() => start(&context, &mut dues, &mut polls),
        }
    }
    while polls.join_next().await.is_some() {}
}

type Ended = Result<(Owner, Instant), tokio::task::JoinError>;

fn finish(dues: &mut BTreeMap<Owner, Due>, ended: Ended) {
    match ended {
        Ok((owner, next)) => {
            if let Some(due) = dues.get_mut(&owner) {
                (due.running, due.at) = (false, next);
            }
        }
        Err(error) => {
            // The error does not name the poll: all that run are taken as ended. The turn keeps two
            // polls of one resource apart.
            warn!(%error, "a poll of nodes broke off");
            dues.values_mut().for_each(|due| due.running = false);
        }
    }
}

fn start(context: &Arc<Context>, dues: &mut BTreeMap<Owner, Due>, polls: &mut JoinSet<(Owner, Instant)>) {
    let resources: Vec<Arc<KeylimeAttestor>> = present(context);
    let owners: BTreeSet<Owner> = resources.iter().map(|resource| Owner::of(resource)).collect();
    dues.retain(|owner, _| owners.contains(owner));
    context.nodes.retain(&owners);
    for resource in resources {
        let owner = Owner::of(&resource);
        // Without inputs the reconcile loop has not yet found SPIRE's workloads and Keylime.
        let Some(inputs) = context.nodes.inputs(&owner) else { continue };
        let keylime_client =
            inputs.keylime_client.as_ref().map(|keylime_client| keylime_client.version.clone());
        let version = (resource.metadata.uid.clone(), resource.metadata.generation, keylime_client);
        let (now, pods) = (Instant::now(), context.nodes.pod_changes(&inputs));
        let is_due = dues.get(&owner).is_none_or(|due| due.is_over(&version, pods, now));
        if resource.metadata.deletion_timestamp.is_some() || !is_due {
            continue;
        }
        let (at, interval) = (now, resource.spec.nodes.interval.get());
        dues.insert(owner.clone(), Due { begun: now, pods, version, at, running: true });
        let context = Arc::clone(context);
        polls.spawn(async move {
            let seen = poll::poll(&context, &resource, &inputs).await;
            debug!(namespace = owner.namespace, name = owner.name, seen, "polled the nodes");
            (owner, if seen { at + interval } else { Instant::now() + SOON.min(interval) })
        });
    }
}

fn present(context: &Context) -> Vec<Arc<KeylimeAttestor>> {
    let all = context.resources.iter().flat_map(Store::state);
    all.filter_map(|resource| resource.0.as_ref().ok().cloned().map(Arc::new)).collect()
}

#[cfg(test)]
mod tests;
