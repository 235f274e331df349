//! The nodes of a `KeylimeAttestor`: what Kubernetes, Keylime and SPIRE say about each, looked at
//! again and again at `spec.nodes.interval`.
//!
//! A look reads (Nodes, pods and `AttestedNode`s are followed; verifiers and SPIRE's server pods
//! are asked), matches and judges purely, and writes what changed. What it saw is a [`View`], which
//! the reconcile loop puts into the status.

mod actions;
mod agents;
mod ask;
mod build;
mod facts;
mod follow;
mod judge;
mod look;
mod matching;
mod news;
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
use crate::gather::credentials::Credentials;
use crate::gather::reach::Reach;
use crate::metrics::Metrics;
use crate::metrics::nodes::{Look, NodeSeen};
use crate::model::target::Owner;
use facts::{KeptFacts, NodeFacts, PodFacts};
use follow::Followed;

pub(crate) use schedule::run;

/// What was seen at the last look at the nodes of one resource.
#[derive(Clone, Debug)]
pub(crate) struct View {
    /// When the look began. In whole seconds.
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
    /// Why the nodes could not be looked at, or what was seen could not be written.
    pub(crate) trouble: Option<String>,
}

impl View {
    /// What is counted of it.
    fn counted(&self, resource: &KeylimeAttestor, duration: Duration) -> Look<'_> {
        let now = self.at.as_second();
        let nodes = self.nodes.iter().map(|(name, node)| NodeSeen {
            name,
            reason: node.reason,
            age: node
                .last_success
                .map(|success| Duration::from_secs(u64::try_from(now - success).unwrap_or_default())),
        });
        Look {
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
    /// When Keylime last found it good, as of this look, in Unix seconds; its `AttestedNode` is not
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

/// What all looks share.
pub(crate) struct Context {
    pub(crate) cluster: Cluster,
    pub(crate) events: Arc<Events>,
    pub(crate) metrics: Arc<Metrics>,
    /// All resources, of every namespace that is looked after.
    pub(crate) resources: Vec<Store<Guarded>>,
    pub(crate) nodes: Arc<Nodes>,
}

/// What the reconcile loop found out, for the looks to go by.
#[derive(Clone, Default)]
pub(crate) struct Given {
    /// None: nobody can be asked.
    pub(crate) credentials: Option<Arc<Credentials>>,
    /// The pods of SPIRE's server.
    pub(crate) server: Option<PodsKey>,
    /// Those of SPIRE's agents.
    pub(crate) agents: BTreeSet<PodsKey>,
}

/// Namespace and label selector.
type PodsKey = (String, String);

/// What is followed for all looks, and what is known of each resource.
pub(crate) struct Nodes {
    cluster: Cluster,
    nodes: Followed<NodeFacts>,
    kept: Followed<KeptFacts>,
    pods: Mutex<HashMap<PodsKey, Arc<Followed<PodFacts>>>>,
    all: Mutex<HashMap<Owner, Arc<One>>>,
    changed: watch::Sender<u64>,
}

/// What is known of the nodes of one resource.
#[derive(Default)]
struct One {
    /// One look or withdrawal at a time.
    turn: tokio::sync::Mutex<Past>,
    now: Mutex<Now>,
}

#[derive(Default)]
struct Now {
    given: Option<Given>,
    view: Option<Arc<View>>,
    said: Option<summary::Said>,
}

/// What counts from one look to the next.
#[derive(Default)]
struct Past {
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
    /// Starts to follow what all looks need.
    pub(crate) fn start(cluster: Cluster) -> Self {
        let nodes = Followed::start(
            Api::<Node>::all(cluster.client.clone()),
            watcher::Config::default(),
            NodeFacts::read,
        );
        let resource = ApiResource::erase::<AttestedNode>(&());
        let kept = Api::<DynamicObject>::all_with(cluster.client.clone(), &resource);
        let kept = Followed::start(kept, watcher::Config::default(), KeptFacts::read);
        let (changed, _) = watch::channel(0);
        Self { cluster, nodes, kept, pods: Mutex::default(), all: Mutex::default(), changed }
    }

    /// Gives the looks what they go by.
    pub(crate) fn give(&self, owner: &Owner, given: Given) {
        lock(&self.one(owner).now).given = Some(given);
    }

    /// What was last given.
    pub(crate) fn given(&self, owner: &Owner) -> Option<Given> {
        lock(&self.one(owner).now).given.clone()
    }

    /// What was last seen.
    pub(crate) fn view(&self, owner: &Owner) -> Option<Arc<View>> {
        lock(&self.one(owner).now).view.clone()
    }

    /// Changes whenever a status has something new to say.
    pub(crate) fn changes(&self) -> watch::Receiver<u64> {
        self.changed.subscribe()
    }

    /// Makes a look known, and tells the reconcile loop when the status has something new to say.
    fn publish(&self, owner: &Owner, resource: &KeylimeAttestor, view: View) {
        let said = Some(summary::said(resource, &view));
        let one = self.one(owner);
        let mut now = lock(&one.now);
        now.view = Some(Arc::new(view));
        if now.said != said {
            now.said = said;
            self.changed.send_modify(|changes| *changes = changes.wrapping_add(1));
        }
    }

    fn one(&self, owner: &Owner) -> Arc<One> {
        Arc::clone(lock(&self.all).entry(owner.clone()).or_default())
    }

    /// Forgets the resources that are no more, and ends the watches that nobody needs any longer.
    fn retain(&self, owners: &BTreeSet<Owner>) {
        let mut needed = BTreeSet::new();
        lock(&self.all).retain(|owner, one| {
            needed.extend(lock(&one.now).given.iter().flat_map(|given| given.agents.clone()));
            owners.contains(owner)
        });
        lock(&self.pods).retain(|key, _| needed.contains(key));
    }

    /// Another number whenever a pod of SPIRE's agents has changed.
    fn pod_changes(&self, given: &Given) -> u64 {
        let pods = lock(&self.pods);
        let followed = given.agents.iter().filter_map(|key| pods.get(key));
        followed.map(|followed| followed.changes()).fold(0, u64::wrapping_add)
    }

    /// The pods of SPIRE's agents, by node: of two on one node the one that stays, or else the
    /// newer one.
    fn pods(&self, given: &Given) -> Result<BTreeMap<String, Arc<PodFacts>>, follow::NotFollowed> {
        let mut by_node: BTreeMap<String, Arc<PodFacts>> = BTreeMap::new();
        for key in &given.agents {
            for pod in self.followed(key).all()?.into_values().filter(|pod| !pod.node.is_empty()) {
                let rank = |pod: &PodFacts| (!pod.leaving, pod.created);
                let better = by_node.get(&pod.node).is_none_or(|other| rank(other) < rank(&pod));
                if better {
                    by_node.insert(pod.node.clone(), pod);
                }
            }
        }
        Ok(by_node)
    }

    /// The pods of one workload, followed from now on.
    fn followed(&self, key: &PodsKey) -> Arc<Followed<PodFacts>> {
        Arc::clone(lock(&self.pods).entry(key.clone()).or_insert_with(|| {
            let api = self.cluster.namespaced::<Pod>(&key.0);
            Arc::new(Followed::start(api, watcher::Config::default().labels(&key.1), PodFacts::read))
        }))
    }
}

/// A panic while the lock is held leaves nothing half done that would matter.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
