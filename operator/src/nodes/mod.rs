//! The nodes of a `KeylimeAttestor`: their state in Kubernetes, at Keylime and at SPIRE, polled at
//! `spec.nodes.interval`.
//!
//! A poll reads (Nodes, pods and `AttestedNode`s are watched; verifiers and SPIRE's server pods are
//! asked), matches and assesses purely, and writes the changes. Its result is a [`View`], which the
//! reconcile loop puts into the status.

mod agents;
pub(crate) mod aliases;
mod ask;
mod assess;
pub(crate) mod bindings;
mod build;
mod cache;
mod enforcement_events;
pub(crate) mod exclusive;
mod facts;
mod matching;
mod node_events;
mod poll;
mod schedule;
mod spire;
pub(crate) mod summary;
mod withdraw;
mod write;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use evidence::AgentId;
use k8s_openapi::api::core::v1::{Node, Pod};
use k8s_openapi::jiff::Timestamp;
use keylime_attestor_api::{AttestedNode, AttestedNodeStatus, KeylimeAttestor, NodeReason};
use kube::Api;
use kube::api::{ApiResource, DynamicObject};
use kube::runtime::reflector::Store;
use kube::runtime::watcher;
use tokio::sync::watch;

use crate::cluster::{Cluster, Guarded};
use crate::events::Events;
use crate::keylime_client::KeylimeClient;
use crate::keylime_client::reach::Reach;
use crate::metrics::Metrics;
use crate::metrics::nodes::{NodeSeen, Poll};
use crate::model::target::Owner;
use cache::Cache;
use facts::{AttestedNodeFacts, NodeFacts, PodFacts};

pub(crate) use schedule::run;

/// The result of the last poll of a resource's nodes.
#[derive(Clone, Debug)]
pub(crate) struct View {
    /// The time at which the poll began, in whole seconds.
    pub(crate) at: Timestamp,
    /// The nodes that the resource selects, by name, without those that belong to another resource.
    pub(crate) nodes: BTreeMap<String, NodeView>,
    /// The agents of Keylime that fit no node of the cluster.
    pub(crate) unmatched: Vec<AgentId>,
    /// Another resource that owns nodes which this one selects as well, and their number.
    pub(crate) elsewhere: Option<(Owner, usize)>,
    /// The reachability of Keylime's servers.
    pub(crate) reach: Reach,
    /// The enforcement loops that the plugins in SPIRE's server pods report.
    pub(crate) loops: Vec<LoopView>,
    /// By pod, also of those that gave no report now: the start of its plugin, and the number of
    /// its last action with an event.
    pub(crate) told: BTreeMap<String, (u64, u64)>,
    /// The agents of other attestors that SPIRE holds and that are none of an attested node;
    /// [`None`] where no pod of SPIRE's server reported them.
    pub(crate) others: Option<Vec<String>>,
    /// The reasons why other pods gave no report.
    pub(crate) unreported: Vec<String>,
    /// An interval of the verifiers' quotes that `maxAttestationAge` does not allow for: nodes that
    /// pass are then refused between two quotes.
    pub(crate) interval_beyond: Option<Duration>,
    /// The reason why the nodes could not be polled, or a write failed.
    pub(crate) trouble: Option<String>,
}

impl View {
    /// The numbers of the poll, for the metrics.
    fn counted(&self, resource: &KeylimeAttestor, duration: Duration) -> Poll<'_> {
        let now = self.at.as_second();
        let nodes = self.nodes.iter().map(|(name, node)| NodeSeen {
            name,
            reason: node.reason,
            age: node
                .last_success
                .map(|success| Duration::from_secs(u64::try_from(now - success).unwrap_or_default())),
        });
        Poll {
            duration,
            failed: self.trouble.is_some(),
            held: self.loops.iter().any(|one| one.held.is_some()),
            agents_without_node: self.unmatched.len(),
            by_node: resource.spec.nodes.metrics_by_node,
            nodes: nodes.collect(),
        }
    }
}

/// A node of a view.
#[derive(Clone, Debug)]
pub(crate) struct NodeView {
    /// The reason for its state, which follows from the reason.
    pub(crate) reason: NodeReason,
    /// The time of its last success at Keylime, as of this poll, in Unix seconds; its
    /// `AttestedNode` is not written for that alone.
    pub(crate) last_success: Option<i64>,
    /// The status of its `AttestedNode`.
    pub(crate) status: Arc<AttestedNodeStatus>,
}

/// The enforcement loop of the plugin in a pod of SPIRE's server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct LoopView {
    pub(crate) pod: String,
    pub(crate) action: report::Mode,
    pub(crate) held: Option<String>,
    pub(crate) error: Option<String>,
}

/// The context of all polls.
pub(crate) struct Context {
    pub(crate) cluster: Cluster,
    pub(crate) events: Arc<Events>,
    pub(crate) metrics: Arc<Metrics>,
    /// All resources, of all namespaces that are managed.
    pub(crate) resources: Vec<Store<Guarded>>,
    pub(crate) nodes: Arc<Nodes>,
}

/// The inputs of a poll, from the reconcile loop.
#[derive(Clone, Default)]
pub(crate) struct Inputs {
    /// [`None`] where no client could be made: then Keylime is not asked.
    pub(crate) keylime_client: Option<Arc<KeylimeClient>>,
    /// True where nothing stands in the way of the desired state. Until then nothing is put on
    /// Nodes or taken off.
    pub(crate) is_valid: bool,
    /// The pods of SPIRE's server.
    pub(crate) server: Option<PodsKey>,
    /// The pods of SPIRE's agents.
    pub(crate) agents: BTreeSet<PodsKey>,
}

/// Namespace and label selector.
type PodsKey = (String, String);

/// The caches of all polls, and the state of each resource.
pub(crate) struct Nodes {
    cluster: Cluster,
    nodes: Cache<NodeFacts>,
    attested_nodes: Cache<AttestedNodeFacts>,
    entries: Cache<aliases::EntryFacts>,
    pods: Mutex<HashMap<PodsKey, Arc<Cache<PodFacts>>>>,
    all: Mutex<HashMap<Owner, Arc<Tracked>>>,
    changed: watch::Sender<u64>,
}

/// The state of a resource's nodes.
#[derive(Default)]
struct Tracked {
    /// Held by a poll or a withdrawal: one at a time, so that no poll writes what was just
    /// withdrawn.
    turn: tokio::sync::Mutex<History>,
    latest: Mutex<Latest>,
}

#[derive(Default)]
struct Latest {
    inputs: Option<Inputs>,
    view: Option<Arc<View>>,
    aliases: Option<aliases::Wanted>,
    said: Option<summary::Said>,
}

/// The history from one poll to the next.
#[derive(Default)]
struct History {
    /// The statuses as they were written, by node, each with the Node's UID.
    written: BTreeMap<String, (String, Arc<AttestedNodeStatus>)>,
    /// The verifiers that give no answer, by host and port, each with the time since when.
    silent: BTreeMap<String, Timestamp>,
    /// By pod of SPIRE's server: the start of its plugin, and the number of its last action with an
    /// event.
    told: BTreeMap<String, (u64, u64)>,
    /// The UID of the resource that was withdrawn: one of the same name that follows it is polled.
    withdrawn: Option<String>,
}

impl Nodes {
    /// Starts the caches that all polls need.
    pub(crate) fn start(cluster: Cluster) -> Self {
        let nodes = Cache::start(
            Api::<Node>::all(cluster.client.clone()),
            watcher::Config::default(),
            NodeFacts::read,
        );
        let resource = ApiResource::erase::<AttestedNode>(&());
        let attested_nodes = Api::<DynamicObject>::all_with(cluster.client.clone(), &resource);
        let attested_nodes =
            Cache::start(attested_nodes, watcher::Config::default(), AttestedNodeFacts::read);
        let entries = aliases::watch(&cluster);
        let (changed, _) = watch::channel(0);
        let (pods, all) = (Mutex::default(), Mutex::default());
        Self { cluster, nodes, attested_nodes, entries, pods, all, changed }
    }

    /// Sets the inputs of the next polls.
    pub(crate) fn set_inputs(&self, owner: &Owner, inputs: Inputs) {
        lock(&self.tracked(owner).latest).inputs = Some(inputs);
    }

    /// Has no poll begin until inputs are set again, and waits for the end of one under way.
    pub(crate) async fn pause(&self, owner: &Owner) {
        let tracked = self.tracked(owner);
        {
            let mut latest = lock(&tracked.latest);
            (latest.inputs, latest.view) = (None, None);
        }
        drop(tracked.turn.lock().await);
        // The one that ended has published once more.
        lock(&tracked.latest).view = None;
    }

    /// The last inputs.
    pub(crate) fn inputs(&self, owner: &Owner) -> Option<Inputs> {
        lock(&self.tracked(owner).latest).inputs.clone()
    }

    /// The result of the last poll.
    pub(crate) fn view(&self, owner: &Owner) -> Option<Arc<View>> {
        lock(&self.tracked(owner).latest).view.clone()
    }

    /// The number of changes to a status: another one whenever a status has to be written.
    pub(crate) fn changes(&self) -> watch::Receiver<u64> {
        self.changed.subscribe()
    }

    /// Publishes the result of a poll, and wakes the reconcile loop when the status changes by it.
    fn publish(&self, owner: &Owner, resource: &KeylimeAttestor, view: View) {
        let said = Some(summary::said(resource, &view));
        let tracked = self.tracked(owner);
        let mut latest = lock(&tracked.latest);
        latest.view = Some(Arc::new(view));
        if latest.said != said {
            latest.said = said;
            self.changed.send_modify(|changes| *changes = changes.wrapping_add(1));
        }
    }

    fn tracked(&self, owner: &Owner) -> Arc<Tracked> {
        Arc::clone(lock(&self.all).entry(owner.clone()).or_default())
    }

    /// Forgets the resources that are gone, and ends the watches that none of the others needs.
    fn retain(&self, owners: &BTreeSet<Owner>) {
        let mut needed = BTreeSet::new();
        lock(&self.all).retain(|owner, tracked| {
            needed.extend(lock(&tracked.latest).inputs.iter().flat_map(|inputs| inputs.agents.clone()));
            owners.contains(owner)
        });
        lock(&self.pods).retain(|key, _| needed.contains(key));
    }

    /// A number that changes with every change of the pods of SPIRE's agents.
    fn pod_changes(&self, inputs: &Inputs) -> u64 {
        let pods = lock(&self.pods);
        let caches = inputs.agents.iter().filter_map(|key| pods.get(key));
        caches.map(|cache| cache.changes()).fold(0, u64::wrapping_add)
    }

    /// The pods of SPIRE's agents, by node: of two on one node the one that stays, or else the
    /// newer one.
    fn pods(&self, inputs: &Inputs) -> Result<BTreeMap<String, Arc<PodFacts>>, cache::NotCached> {
        let mut by_node: BTreeMap<String, Arc<PodFacts>> = BTreeMap::new();
        for key in &inputs.agents {
            for pod in self.cached_pods(key).all()?.into_values().filter(|pod| !pod.node.is_empty()) {
                let rank = |pod: &PodFacts| (!pod.leaving, pod.created);
                let better = by_node.get(&pod.node).is_none_or(|other| rank(other) < rank(&pod));
                if better {
                    by_node.insert(pod.node.clone(), pod);
                }
            }
        }
        Ok(by_node)
    }

    /// The pods of a workload, watched from the first call on.
    fn cached_pods(&self, key: &PodsKey) -> Arc<Cache<PodFacts>> {
        Arc::clone(lock(&self.pods).entry(key.clone()).or_insert_with(|| {
            let api = self.cluster.namespaced::<Pod>(&key.0);
            Arc::new(Cache::start(api, watcher::Config::default().labels(&key.1), PodFacts::read))
        }))
    }
}

/// The lock, also after a panic under it, which leaves nothing half done that would matter.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
