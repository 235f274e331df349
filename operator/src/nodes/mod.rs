//! The nodes of a `KeylimeAttestor`: what Kubernetes, Keylime and SPIRE say about each, polled at
//! `spec.nodes.interval`.
//!
//! A poll reads (Nodes, pods and `AttestedNode`s are followed; verifiers and SPIRE's server pods
//! are asked), matches and assesses purely, and writes what changed. What it saw is a [`View`], which
//! the reconcile loop puts into the status.

mod agents;
mod ask;
mod assess;
mod build;
mod cache;
mod enforcement_events;
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

/// What was seen at the last poll of the nodes of one resource.
#[derive(Clone, Debug)]
pub(crate) struct View {
    /// When the poll began. In whole seconds.
    pub(crate) at: Timestamp,
    /// The nodes that the resource selects, by name, but those that belong to another resource.
    pub(crate) nodes: BTreeMap<String, NodeView>,
    /// The agents of Keylime that fit no node of the cluster.
    pub(crate) unmatched: Vec<AgentId>,
    /// A resource that has nodes which this one selects as well, and how many.
    pub(crate) elsewhere: Option<(Owner, usize)>,
    /// Whether Keylime's servers answered.
    pub(crate) reach: Reach,
    /// What the plugins in SPIRE's server pods say about themselves.
    pub(crate) loops: Vec<LoopView>,
    /// By pod, also of those that said nothing now: when its plugin started, and the number of its
    /// last action that was told.
    pub(crate) told: BTreeMap<String, (u64, u64)>,
    /// Why others of them said nothing.
    pub(crate) unreported: Vec<String>,
    /// Why the nodes could not be polled, or what was seen could not be written.
    pub(crate) trouble: Option<String>,
}

impl View {
    /// What is counted of it.
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

/// One node.
#[derive(Clone, Debug)]
pub(crate) struct NodeView {
    /// Why it is in its state, which is the reason's.
    pub(crate) reason: NodeReason,
    /// When Keylime last found it good, as of this poll, in Unix seconds; its `AttestedNode` is not
    /// written for that alone.
    pub(crate) last_success: Option<i64>,
    /// What its `AttestedNode` says.
    pub(crate) status: Arc<AttestedNodeStatus>,
}

/// The plugin in one pod of SPIRE's server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct LoopView {
    pub(crate) pod: String,
    pub(crate) action: report::Mode,
    pub(crate) held: Option<String>,
    pub(crate) error: Option<String>,
}

/// What all polls share.
pub(crate) struct Context {
    pub(crate) cluster: Cluster,
    pub(crate) events: Arc<Events>,
    pub(crate) metrics: Arc<Metrics>,
    /// All resources, of every namespace that is managed.
    pub(crate) resources: Vec<Store<Guarded>>,
    pub(crate) nodes: Arc<Nodes>,
}

/// What the reconcile loop found out, for the polls to go by.
#[derive(Clone, Default)]
pub(crate) struct Inputs {
    /// None: nobody can be asked.
    pub(crate) keylime_client: Option<Arc<KeylimeClient>>,
    /// Nothing stands in the way of what the resource asks for. Until then nothing is put on Nodes
    /// or taken off.
    pub(crate) is_valid: bool,
    /// The pods of SPIRE's server.
    pub(crate) server: Option<PodsKey>,
    /// Those of SPIRE's agents.
    pub(crate) agents: BTreeSet<PodsKey>,
}

/// Namespace and label selector.
type PodsKey = (String, String);

/// What is cached for all polls, and what is known of each resource.
pub(crate) struct Nodes {
    cluster: Cluster,
    nodes: Cache<NodeFacts>,
    attested_nodes: Cache<AttestedNodeFacts>,
    pods: Mutex<HashMap<PodsKey, Arc<Cache<PodFacts>>>>,
    all: Mutex<HashMap<Owner, Arc<Tracked>>>,
    changed: watch::Sender<u64>,
}

/// What is known of the nodes of one resource.
#[derive(Default)]
struct Tracked {
    /// One poll or withdrawal at a time.
    turn: tokio::sync::Mutex<History>,
    latest: Mutex<Latest>,
}

#[derive(Default)]
struct Latest {
    inputs: Option<Inputs>,
    view: Option<Arc<View>>,
    said: Option<summary::Said>,
}

/// What counts from one poll to the next.
#[derive(Default)]
struct History {
    /// By node, with its uid, as it was written.
    written: BTreeMap<String, (String, Arc<AttestedNodeStatus>)>,
    /// The verifiers that give no answer, by host and port, each with the time since when.
    silent: BTreeMap<String, Timestamp>,
    /// By pod of SPIRE's server: when its plugin started, and the number of its last action that
    /// was told.
    told: BTreeMap<String, (u64, u64)>,
    /// The uid of the resource when it was withdrawn.
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
        let (changed, _) = watch::channel(0);
        Self { cluster, nodes, attested_nodes, pods: Mutex::default(), all: Mutex::default(), changed }
    }

    /// Gives the polls what they go by.
    pub(crate) fn set_inputs(&self, owner: &Owner, inputs: Inputs) {
        lock(&self.tracked(owner).latest).inputs = Some(inputs);
    }

    /// What was last given.
    pub(crate) fn inputs(&self, owner: &Owner) -> Option<Inputs> {
        lock(&self.tracked(owner).latest).inputs.clone()
    }

    /// What was last seen.
    pub(crate) fn view(&self, owner: &Owner) -> Option<Arc<View>> {
        lock(&self.tracked(owner).latest).view.clone()
    }

    /// Changes whenever a status has something new to say.
    pub(crate) fn changes(&self) -> watch::Receiver<u64> {
        self.changed.subscribe()
    }

    /// Makes a poll known, and tells the reconcile loop when the status has something new to say.
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

    /// Forgets the resources that are no more, and ends the watches that nobody needs any longer.
    fn retain(&self, owners: &BTreeSet<Owner>) {
        let mut needed = BTreeSet::new();
        lock(&self.all).retain(|owner, tracked| {
            needed.extend(lock(&tracked.latest).inputs.iter().flat_map(|inputs| inputs.agents.clone()));
            owners.contains(owner)
        });
        lock(&self.pods).retain(|key, _| needed.contains(key));
    }

    /// Another number whenever a pod of SPIRE's agents has changed.
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

    /// The pods of one workload, cached from now on.
    fn cached_pods(&self, key: &PodsKey) -> Arc<Cache<PodFacts>> {
        Arc::clone(lock(&self.pods).entry(key.clone()).or_insert_with(|| {
            let api = self.cluster.namespaced::<Pod>(&key.0);
            Arc::new(Cache::start(api, watcher::Config::default().labels(&key.1), PodFacts::read))
        }))
    }
}

/// A panic while the lock is held leaves nothing half done that would matter.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
