//! The metrics of nodes.

mod labels;

use std::collections::BTreeMap;
use std::sync::atomic::AtomicU64;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use keylime_attestor_api::NodeReason;
use keylime_attestor_api::names::event;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

use crate::model::target::Owner;
use labels::{
    Action, InState, NodeInState, OUTCOMES, OfNode, Resource, Transition, enforced, in_state, node_in_state,
    of, of_node, outcome, transition,
};

/// Upper bounds of a poll's duration in seconds.
const BUCKETS: [f64; 8] = [0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0];

/// The metrics of polls of the nodes.
pub(crate) struct NodeMetrics {
    states: Family<InState, Gauge>,
    by_node: Family<NodeInState, Gauge>,
    last_success: Family<Resource, Gauge<f64, AtomicU64>>,
    last_success_by_node: Family<OfNode, Gauge<f64, AtomicU64>>,
    transitions: Family<Transition, Counter>,
    polls: Family<Resource, Histogram>,
    errors: Family<Resource, Counter>,
    held: Family<Resource, Gauge>,
    unmatched: Family<Resource, Gauge>,
    actions: Family<Action, Counter>,
    /// The series that are shown by node, to be removed.
    shown: Mutex<BTreeMap<Owner, Vec<Shown>>>,
}

/// The numbers of a poll of a resource's nodes.
pub(crate) struct Poll<'v> {
    pub(crate) duration: Duration,
    /// True where nothing was seen, or a write failed.
    pub(crate) failed: bool,
    /// True where SPIRE's server leaves failing agents alone, because they are too many.
    pub(crate) held: bool,
    /// Agents of Keylime's verifiers that fit no node of the cluster.
    pub(crate) agents_without_node: usize,
    /// True where nodes are shown by name.
    pub(crate) by_node: bool,
    pub(crate) nodes: Vec<NodeSeen<'v>>,
}

/// A node of a poll.
pub(crate) struct NodeSeen<'v> {
    pub(crate) name: &'v str,
    pub(crate) reason: NodeReason,
    /// The age of its last success at Keylime.
    pub(crate) age: Option<Duration>,
}

type Shown = (NodeInState, OfNode);

impl NodeMetrics {
    /// Makes and registers the metrics, below the product's prefix.
    pub(crate) fn new(registry: &mut Registry) -> Self {
        let polls: Family<Resource, Histogram> =
            Family::new_with_constructor((|| Histogram::new(BUCKETS)) as fn() -> Histogram);
        let metrics = Self {
            states: Family::default(),
            by_node: Family::default(),
            last_success: Family::default(),
            last_success_by_node: Family::default(),
            transitions: Family::default(),
            polls,
            errors: Family::default(),
            held: Family::default(),
            unmatched: Family::default(),
            actions: Family::default(),
            shown: Mutex::default(),
        };
        metrics.register(registry);
        metrics
    }

    fn register(&self, registry: &mut Registry) {
        let states = "Nodes of each KeylimeAttestor in each state, by the reason for it";
        registry.register("node_state", states, self.states.clone());
        registry.register(
            "node_state_by_node",
            "The state of each node: 1 for the one it is in; with spec.nodes.metricsByNode",
            self.by_node.clone(),
        );
        registry.register(
            "node_last_success_seconds",
            "Age of the oldest last success at Keylime among the nodes of each KeylimeAttestor, as of the last poll",
            self.last_success.clone(),
        );
        registry.register(
            "node_last_success_by_node_seconds",
            "Age of each node's last success at Keylime, as of the last poll; with spec.nodes.metricsByNode",
            self.last_success_by_node.clone(),
        );
        registry.register(
            "node_transitions",
            "Changes of nodes' states, by what was told of them",
            self.transitions.clone(),
        );
        registry.register("poll_duration_seconds", "How long polls of all nodes take", self.polls.clone());
        registry.register(
            "poll_errors",
            "Polls that failed, and nodes that could not be written",
            self.errors.clone(),
        );
        registry.register(
            "enforcement_held",
            "Whether SPIRE's server leaves failing agents alone because too many of them fail: 1 if so",
            self.held.clone(),
        );
        registry.register(
            "agents_without_node",
            "Agents of Keylime's verifiers that fit no node of the cluster, as of the last poll",
            self.unmatched.clone(),
        );
        registry.register(
            "enforcement_actions",
            "What SPIRE's server did to agents: evict, ban, reattest; by outcome: done, failed",
            self.actions.clone(),
        );
    }

    /// Counts a poll that has ended.
    pub(crate) fn polled(&self, owner: &Owner, poll: &Poll<'_>) {
        self.polls.get_or_create(&of(owner)).observe(poll.duration.as_secs_f64());
        if poll.failed {
            self.errors.get_or_create(&of(owner)).inc();
        }
        self.held.get_or_create(&of(owner)).set(i64::from(poll.held));
        let unmatched = i64::try_from(poll.agents_without_node).unwrap_or(i64::MAX);
        self.unmatched.get_or_create(&of(owner)).set(unmatched);
        for reason in NodeReason::ALL {
            let nodes = poll.nodes.iter().filter(|node| node.reason == reason).count();
            self.states.get_or_create(&in_state(owner, reason)).set(i64::try_from(nodes).unwrap_or(i64::MAX));
        }
        match poll.nodes.iter().filter_map(|node| node.age).max() {
            Some(age) => drop(self.last_success.get_or_create(&of(owner)).set(age.as_secs_f64())),
            None => drop(self.last_success.remove(&of(owner))),
        }
        // Nodes that are gone, and states that are past, leave no series behind.
        self.forget_nodes(owner);
        if poll.by_node {
            self.show_nodes(owner, &poll.nodes);
        }
    }

    fn show_nodes(&self, owner: &Owner, nodes: &[NodeSeen<'_>]) {
        let mut shown = Vec::new();
        for NodeSeen { name, reason, age } in nodes {
            let (state, labels) = (node_in_state(owner, name, reason.state()), of_node(owner, name));
            self.by_node.get_or_create(&state).set(1);
            if let Some(age) = age {
                self.last_success_by_node.get_or_create(&labels).set(age.as_secs_f64());
            }
            shown.push((state, labels));
        }
        self.shown().insert(owner.clone(), shown);
    }

    /// Counts a poll with a write that failed.
    pub(crate) fn poll_failed(&self, owner: &Owner) {
        self.errors.get_or_create(&of(owner)).inc();
    }

    /// Counts a change of a node's state.
    pub(crate) fn transition(&self, owner: &Owner, reason: &'static str) {
        self.transitions.get_or_create(&transition(owner, reason)).inc();
    }

    /// Counts an action of SPIRE's server on an agent.
    pub(crate) fn enforced(&self, owner: &Owner, action: &report::Action) {
        self.actions.get_or_create(&enforced(owner, outcome(action))).inc();
    }

    /// Removes the series of a resource that is gone.
    pub(crate) fn forget(&self, owner: &Owner) {
        for reason in NodeReason::ALL {
            self.states.remove(&in_state(owner, reason));
        }
        for reason in NodeReason::ALL.map(NodeReason::as_str).into_iter().chain([event::RECOVERED]) {
            self.transitions.remove(&transition(owner, reason));
        }
        for action in OUTCOMES {
            self.actions.remove(&enforced(owner, action));
        }
        self.forget_nodes(owner);
        self.last_success.remove(&of(owner));
        self.held.remove(&of(owner));
        self.unmatched.remove(&of(owner));
        self.polls.remove(&of(owner));
        self.errors.remove(&of(owner));
    }

    fn forget_nodes(&self, owner: &Owner) {
        for (in_state, node) in self.shown().remove(owner).into_iter().flatten() {
            self.by_node.remove(&in_state);
            self.last_success_by_node.remove(&node);
        }
    }

    /// The series by node, also after a panic under the lock, which leaves nothing half done that
    /// would matter.
    fn shown(&self) -> MutexGuard<'_, BTreeMap<Owner, Vec<Shown>>> {
        self.shown.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests;
