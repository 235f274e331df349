//! A poll of a resource's nodes: asks, matches, assesses, writes the changes, and publishes events.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Instant;

use futures_util::StreamExt as _;
use k8s_openapi::jiff::Timestamp;
use keylime::{Doubt, States};
use keylime_attestor_api::{AttestedNodeStatus, KeylimeAttestor, Mode, NodeReason, NodeState};
use kube::ResourceExt as _;
use tracing::{info, warn};

use super::ask::{Reports, ask_keylime, ask_spire};
use super::assess::{Assessment, Rules, Seen, assess};
use super::cache::NotCached;
use super::facts::{AttestedNodeFacts, NodeFacts, PodFacts};
use super::matching::{Agents, Claims, Conflict, Match, Matches, Previous, match_all};
use super::node_events::NodeEvent;
use super::spire::{Reported, SpireAgents};
use super::write::{self, Wanted};
use super::{Context, History, Inputs, LoopView, NodeView, View, build, enforcement_events, node_events};
use crate::model::target::Owner;

/// The objects in the cluster, from the caches.
struct InCluster {
    nodes: BTreeMap<String, Arc<NodeFacts>>,
    attested_nodes: BTreeMap<String, Arc<AttestedNodeFacts>>,
    pods: BTreeMap<String, Arc<PodFacts>>,
}

/// Polls the nodes of a resource. False when the caches are not filled: the next poll comes soon.
pub(super) async fn poll(context: &Context, resource: &KeylimeAttestor, inputs: &Inputs) -> bool {
    let owner = Owner::of(resource);
    let tracked = context.nodes.tracked(&owner);
    let mut history = tracked.turn.lock().await;
    if history.withdrawn.is_some() && history.withdrawn == resource.metadata.uid {
        return true;
    }
    let told = resource.status.as_ref().map(|status| status.enforcement.as_slice()).unwrap_or_default();
    enforcement_events::recall(&mut history.told, told);
    let (start, now) = (Instant::now(), Timestamp::now());
    let at = Timestamp::from_second(now.as_second()).unwrap_or(now);
    let ((states, reach), reports) = tokio::join!(ask_keylime(inputs), ask_spire(context, resource, inputs));
    context.metrics.asked(&reach.answers);
    let mut view = View {
        at,
        nodes: BTreeMap::new(),
        unmatched: Vec::new(),
        elsewhere: None,
        reach,
        loops: Vec::new(),
        told: BTreeMap::new(),
        unreported: reports.unreported.clone(),
        trouble: None,
    };
    let seen = match in_cluster(context, inputs) {
        Ok(cluster) => {
            let poll = Poll {
                context,
                resource,
                owner: &owner,
                cluster: &cluster,
                states: &states,
                reports: &reports,
                is_valid: inputs.is_valid,
                at,
            };
            poll.see(&mut history, &mut view).await;
            true
        }
        // Only at the start, and soon over: the view stays, and with it the status.
        Err(NotCached::NotYet) => return false,
        Err(error) => {
            view.trouble = Some(format!("The nodes and their pods are not known: {error}."));
            false
        }
    };
    view.told.clone_from(&history.told);
    context.metrics.nodes.polled(&owner, &view.counted(resource, start.elapsed()));
    context.nodes.publish(&owner, resource, view);
    seen
}

fn in_cluster(context: &Context, inputs: &Inputs) -> Result<InCluster, NotCached> {
    let nodes = &context.nodes;
    Ok(InCluster {
        nodes: nodes.nodes.all()?,
        attested_nodes: nodes.attested_nodes.all()?,
        pods: nodes.pods(inputs)?,
    })
}

/// A poll that is under way.
struct Poll<'a> {
    context: &'a Context,
    resource: &'a KeylimeAttestor,
    owner: &'a Owner,
    cluster: &'a InCluster,
    states: &'a States,
    reports: &'a Reports,
    is_valid: bool,
    at: Timestamp,
}

/// A node of this resource, with its assessment.
struct Assessed {
    node: Arc<NodeFacts>,
    previous: Option<Arc<AttestedNodeStatus>>,
    pod: Option<Arc<PodFacts>>,
    assessment: Assessment,
    conflict: Option<Conflict>,
}

impl Poll<'_> {
    async fn see(&self, history: &mut History, view: &mut View) {
        self.note_silence(history);
        let now = u64::try_from(self.at.as_second()).unwrap_or_default();
        let spire = SpireAgents::of(&self.reports.reports, now);
        let mut assessed = self.assess(history, spire.as_ref(), view);
        if let Some(spire) = &spire {
            // Before the write: the status records the pod that was asked to attest anew.
            self.have_attest_anew(&mut assessed, spire).await;
        }
        self.tell_actions(history, &assessed).await;
        self.write(history, assessed, view).await;
        if self.is_valid {
            self.tidy_up(history, view).await;
        }
        view.loops = self.reports.reports.iter().map(loop_view).collect();
    }

    /// Notes the verifiers that give no answer, each with the time since when.
    fn note_silence(&self, history: &mut History) {
        let inputs = self.context.nodes.inputs(self.owner).and_then(|inputs| inputs.keylime_client);
        let silent: BTreeSet<String> = match inputs {
            Some(_) => self.states.failures.iter().map(|error| error.server().endpoint.to_string()).collect(),
            // Without a client no verifier was asked: all that a node had count as silent.
            None => history.written.values().filter_map(|(_, status)| status.verifier.clone()).collect(),
        };
        history.silent.retain(|verifier, _| silent.contains(verifier));
        for verifier in silent {
            history.silent.entry(verifier).or_insert(self.at);
        }
    }

    /// Assesses the nodes that the resource selects and that no other resource owns.
    fn assess(&self, history: &History, spire: Option<&SpireAgents>, view: &mut View) -> Vec<Assessed> {
        let before = self.before(history);
        let Matches { nodes: matches, mut conflicts, unmatched } = self.matches(&before);
        view.unmatched = unmatched;
        let doubts: BTreeMap<String, &Doubt> = self
            .states
            .doubts
            .iter()
            .filter_map(|doubt| Some((doubt.agent()?.as_str().to_owned(), doubt)))
            .collect();
        let max_age = self.resource.spec.attestation.max_attestation_age.get();
        let selector = self.resource.spec.nodes.selector.as_ref().map(ToString::to_string);
        let rules = Rules {
            max_age: (!max_age.is_zero()).then_some(max_age),
            grace: self.resource.spec.nodes.grace.get(),
            now: self.at,
            silent: &history.silent,
            spire,
            observed: self.resource.spec.enforcement.is_some(),
            managed: self.resource.spec.spire.mode != Mode::ConfigOnly,
            selector: selector.as_deref(),
        };
        let mut assessed = Vec::new();
        for (name, node) in &self.cluster.nodes {
            let previous = before.get(name).cloned();
            if !self.selects(node) && !self.keeps(name, previous.as_deref(), selector.as_deref()) {
                continue;
            }
            if let Some(other) = self.other_owner(name) {
                let (_, nodes) = view.elsewhere.get_or_insert((other, 0));
                *nodes += 1;
                continue;
            }
            let matched = matches.get(name).unwrap_or(&Match::Nobody);
            let agent = match matched {
                Match::Agent(agent, _) => Some(agent),
                _ => None,
            };
            let pod = self.cluster.pods.get(name).cloned();
            let conflict = conflicts.remove(name);
            let assessment = assess(
                &rules,
                &Seen {
                    node,
                    matched,
                    record: agent.and_then(|agent| self.states.agents.get(agent)),
                    doubt: agent.and_then(|agent| doubts.get(agent.as_str()).copied()),
                    pod: pod.as_deref(),
                    previous: previous.as_deref(),
                    conflict: conflict.as_ref(),
                },
            );
            assessed.push(Assessed { node: Arc::clone(node), previous, pod, assessment, conflict });
        }
        assessed
    }

    /// The status written last of each node that is still the same, by this resource or by another.
    fn before(&self, history: &History) -> BTreeMap<String, Arc<AttestedNodeStatus>> {
        let mut before = BTreeMap::new();
        for (name, node) in &self.cluster.nodes {
            // Before the cache: the watch may not have delivered our last write yet.
            let written = history
                .written
                .get(name)
                .filter(|(uid, _)| *uid == node.uid)
                .map(|(_, status)| Arc::clone(status));
            let attested_node = self
                .cluster
                .attested_nodes
                .get(name)
                .filter(|attested_node| attested_node.node_uid.as_ref() == Some(&node.uid));
            let status = written.or_else(|| {
                attested_node.and_then(|attested_node| attested_node.status.clone()).map(Arc::new)
            });
            if let Some(status) = status {
                before.insert(name.clone(), status);
            }
        }
        before
    }

    fn matches(&self, before: &BTreeMap<String, Arc<AttestedNodeStatus>>) -> Matches {
        let mut previous = Previous::new();
        for (name, status) in before {
            let Some((agent, by)) = status.agent_id.as_ref().zip(status.matched_by) else { continue };
            let Ok(agent) = agent.parse() else { continue };
            previous.insert(name.clone(), (agent, by));
        }
        let agents: Agents =
            self.states.agents.iter().map(|(agent, state)| (agent.clone(), state.contact.clone())).collect();
        match_all(&self.cluster.nodes, &agents, &self.claims(), &previous)
    }

    /// The agents that administrators named. One named before the Node's `AttestedNode` was made
    /// counts, one named for an earlier Node of the name does not.
    fn claims(&self) -> Claims {
        let mut claims = Claims::new();
        for (name, attested_node) in &self.cluster.attested_nodes {
            let Some(claim) = &attested_node.claim else { continue };
            let is_of =
                |node: &Arc<NodeFacts>| attested_node.node_uid.as_ref().is_none_or(|uid| *uid == node.uid);
            if self.cluster.nodes.get(name).is_some_and(is_of) {
                claims.insert(name.clone(), claim.clone());
            }
        }
        claims
    }

    fn selects(&self, node: &NodeFacts) -> bool {
        self.resource.spec.nodes.selector.as_ref().is_none_or(|selector| selector.selects(&node.labels))
    }

    /// True for a node of this resource that its selector no longer selects, while it is marked and
    /// not good: its kubelet may have written the labels. It stays until the selector changes, or
    /// its former agent is back.
    fn keeps(&self, name: &str, previous: Option<&AttestedNodeStatus>, selector: Option<&str>) -> bool {
        let owner =
            self.cluster.attested_nodes.get(name).and_then(|attested_node| attested_node.owner.as_ref());
        let is_back = self.cluster.pods.get(name).is_some_and(|pod| pod.is_back());
        owner == Some(self.owner)
            && !is_back
            && previous.is_some_and(|previous| {
                let is_good = previous.state == NodeState::Attested;
                !is_good && !previous.marks.is_none() && previous.selector.as_deref() == selector
            })
    }

    /// The other resource that owns a node: the first one that took it. One that is gone owns none.
    fn other_owner(&self, node: &str) -> Option<Owner> {
        let owner =
            self.cluster.attested_nodes.get(node)?.owner.clone().filter(|owner| owner != self.owner)?;
        let cluster = &self.context.cluster;
        let is_there = self.context.resources.iter().flat_map(|store| store.state()).any(|resource| {
            resource.name_any() == owner.name && resource.namespace().as_ref() == Some(&owner.namespace)
        });
        // A resource in a namespace that is not managed cannot be seen from here: it counts as
        // there.
        (is_there || !cluster.manages(&owner.namespace)).then_some(owner)
    }

    /// Asks SPIRE's server to evict agents that keep their former attestor's identity, though their
    /// pods run our plugin and Keylime passes them: once a pod, and only when it was so at the last
    /// poll as well.
    async fn have_attest_anew(&self, assessed: &mut [Assessed], spire: &SpireAgents) {
        let Some(keylime_client) =
            self.context.nodes.inputs(self.owner).and_then(|inputs| inputs.keylime_client)
        else {
            return;
        };
        let reason = NodeReason::IdentityOfOtherAttestor;
        for Assessed { node, previous, pod, assessment, .. } in assessed {
            let Some(pod) = pod.as_ref().filter(|pod| pod.ready && pod.hash.is_some()) else { continue };
            let again = previous.as_ref().is_some_and(|previous| previous.reason == reason.as_str());
            let asked = assessment.status.reattested_pod.as_ref() == Some(&pod.uid);
            if assessment.reason != reason || !assessment.healthy || !again || asked {
                continue;
            }
            let Some(other) = spire.other(node) else { continue };
            match keylime_client.reporter.reattest(&other.endpoint, &other.spiffe_id).await {
                Ok(()) => assessment.status.reattested_pod = Some(pod.uid.clone()),
                Err(error) => warn!(node = node.name, %error, "an agent could not be made to attest anew"),
            }
        }
    }

    /// Publishes the plugins' actions since the last poll, as metrics, log lines and events.
    async fn tell_actions(&self, history: &mut History, assessed: &[Assessed]) {
        let Reports { reports, pods, .. } = self.reports;
        for enforcement_events::Untold { action, event } in
            enforcement_events::untold(&mut history.told, reports, pods.as_ref())
        {
            self.context.metrics.nodes.enforced(self.owner, &action);
            let agent = action.agent_id.as_ref().map(|agent| agent.as_str());
            let node = assessed.iter().find(|assessed| {
                let status = assessed.previous.as_deref().unwrap_or(&assessed.assessment.status);
                let by_agent = agent.is_some() && status.agent_id.as_deref() == agent;
                by_agent || action.spiffe_id.ends_with(&format!("/{}", assessed.node.uid))
            });
            let name = node.map(|assessed| assessed.node.name.as_str());
            info!(
                node = name,
                spiffe_id = action.spiffe_id,
                reason = event.reason,
                note = event.note,
                "SPIRE's server acted on an agent"
            );
            if let Some(Assessed { node, .. }) = node {
                node_events::publish(&self.context.events, &node.name, &node.uid, &[event]).await;
            }
        }
    }

    /// The desired state of a node with its events, and the node for the view.
    fn want(&self, assessed: Assessed) -> (Wanted, Vec<NodeEvent>, NodeView) {
        let spec = &self.resource.spec;
        let Assessed { node, previous, assessment, pod, conflict } = assessed;
        let spire = build::SpireAgent {
            pod: pod.as_deref(),
            observed: spec.enforcement.is_some(),
            managed: spec.spire.mode != Mode::ConfigOnly,
        };
        let Assessment { reason, healthy, last_success, mut status } = assessment;
        // Not those on the Node, which a kubelet may write, but for a node that was never seen.
        let before = previous.as_ref().map_or(&node.marks, |previous| &previous.marks);
        status.marks = match self.is_valid {
            true => build::marks(before, spire, reason, &status, spec.nodes.taint),
            false => before.clone(),
        };
        let marks = if self.is_valid { status.marks.clone() } else { node.marks.clone() };
        let mut events = node_events::of(previous.as_deref(), reason, healthy, &status);
        events.extend(node_events::of_conflict(previous.as_deref(), conflict));
        if node.relabelled && marks.label.is_some() {
            warn!(
                node = node.name,
                "somebody else wrote the label of a node's agent; a kubelet can where the apiserver runs without NodeRestriction"
            );
            events.push(node_events::of_label());
        }
        // An equal status is shared, not kept twice: there may be thousands.
        let status = match previous {
            Some(previous) if *previous == status => previous,
            _ => Arc::new(status),
        };
        let attested_node = self.cluster.attested_nodes.get(&node.name).cloned();
        let view = NodeView { reason, last_success, status: Arc::clone(&status) };
        (Wanted { node, attested_node, status, marks }, events, view)
    }

    /// Writes the changes. Their events follow each write, so that none tells of a state that was
    /// not written.
    async fn write(&self, history: &mut History, assessed: Vec<Assessed>, view: &mut View) {
        let mut writes = Vec::new();
        for assessed in assessed {
            let (wanted, events, seen) = self.want(assessed);
            view.nodes.insert(wanted.node.name.clone(), seen);
            writes.push((wanted, events));
        }
        let written = futures_util::stream::iter(writes).map(async |(wanted, events)| {
            let result = write::node(&self.context.cluster, self.owner, &wanted).await;
            if result.is_ok() {
                node_events::publish(&self.context.events, &wanted.node.name, &wanted.node.uid, &events)
                    .await;
            }
            (wanted, events, result)
        });
        let mut written = std::pin::pin!(written.buffer_unordered(write::CONCURRENCY));
        while let Some((Wanted { node, status, .. }, events, result)) = written.next().await {
            match result {
                Ok(()) => {
                    events
                        .iter()
                        .for_each(|event| self.context.metrics.nodes.transition(self.owner, event.reason));
                    history.written.insert(node.name.clone(), (node.uid.clone(), status));
                }
                Err(error) => self.trouble(view, &error),
            }
        }
    }

    /// Withdraws from the nodes that are no longer this resource's.
    async fn tidy_up(&self, history: &mut History, view: &mut View) {
        let stays = |name: &str| view.nodes.contains_key(name);
        let ours = self
            .cluster
            .attested_nodes
            .iter()
            .filter(|(_, attested_node)| attested_node.owner.as_ref() == Some(self.owner));
        let gone: Vec<&String> = ours.map(|(name, _)| name).filter(|name| !stays(name)).collect();
        history.written.retain(|name, _| stays(name));
        for name in gone {
            let taken =
                self.context.nodes.withdraw_node(self.cluster.nodes.get(name).map(Arc::as_ref), name).await;
            if let Err(error) = taken {
                self.trouble(view, &error);
            }
        }
    }

    fn trouble(&self, view: &mut View, error: &crate::cluster::Error) {
        warn!(namespace = self.owner.namespace, name = self.owner.name, %error, "what was seen of a node could not be written");
        self.context.metrics.nodes.poll_failed(self.owner);
        // Any other error is a conflict or passes by itself, and the next poll writes again.
        if error.is_refusal() {
            view.trouble.get_or_insert_with(|| format!("Not everything could be written: {error}."));
        }
    }
}

fn loop_view(reported: &Reported) -> LoopView {
    let enforcement = &reported.report.enforcement;
    LoopView {
        pod: reported.pod.clone(),
        action: enforcement.action,
        held: enforcement.held.clone(),
        error: enforcement.last_error.clone(),
    }
}
