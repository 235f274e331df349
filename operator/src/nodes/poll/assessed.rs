//! The nodes of a resource, matched and assessed.

use std::collections::BTreeMap;
use std::sync::Arc;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use keylime::Doubt;
use keylime_attestor_api::{AttestedNodeStatus, Mode, NodeState};
use kube::ResourceExt as _;

use super::Poll;
use crate::model::target::Owner;
use crate::nodes::assess::{Assessment, Rules, Seen, assess};
use crate::nodes::bindings::{Bindings, Proofs, bindings};
use crate::nodes::facts::{NodeFacts, PodFacts};
use crate::nodes::matching::{Agents, Claims, Conflict, Match, Matches, Previous, match_all};
use crate::nodes::spire::SpireAgents;
use crate::nodes::{History, View};

/// A node of this resource, with its assessment.
pub(super) struct Assessed {
    pub(super) node: Arc<NodeFacts>,
    pub(super) previous: Option<Arc<AttestedNodeStatus>>,
    pub(super) pod: Option<Arc<PodFacts>>,
    pub(super) assessment: Assessment,
    pub(super) conflict: Option<Conflict>,
}

/// The nodes that are attested.
pub(super) fn attested(assessed: &[Assessed]) -> impl Iterator<Item = &NodeFacts> {
    let attested =
        assessed.iter().filter(|assessed| assessed.assessment.reason.state() == NodeState::Attested);
    attested.map(|assessed| &*assessed.node)
}

impl Poll<'_> {
    /// Assesses the nodes that the resource selects and that no other resource owns.
    pub(super) fn assess(
        &self,
        history: &History,
        spire: Option<&SpireAgents>,
        view: &mut View,
    ) -> Vec<Assessed> {
        let before = self.before(history);
        let claims = self.claims();
        let none = Proofs::new();
        let proofs = spire.map_or(&none, |spire| &spire.proofs);
        let bindings = bindings(&self.cluster.nodes, &before, &claims, proofs, &Time(self.at));
        let Matches { nodes: matches, mut conflicts, unmatched } = self.matches(&before, &claims, &bindings);
        view.unmatched = unmatched;
        let doubts: BTreeMap<String, &Doubt> = self
            .states
            .doubts
            .iter()
            .filter_map(|doubt| Some((doubt.agent()?.as_str().to_owned(), doubt)))
            .collect();
        let selector = self.resource.spec.nodes.selector.as_ref().map(ToString::to_string);
        let rules = self.rules(history, spire, selector.as_deref());
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
            let record = agent.and_then(|agent| self.states.agents.get(agent));
            let beyond = record.and_then(|record| record.node.interval_beyond(rules.max_age));
            view.interval_beyond = view.interval_beyond.max(beyond);
            let pod = self.cluster.pods.get(name).cloned();
            let conflict = conflicts.remove(name);
            let assessment = assess(
                &rules,
                &Seen {
                    node,
                    matched,
                    record,
                    doubt: agent.and_then(|agent| doubts.get(agent.as_str()).copied()),
                    pod: pod.as_deref(),
                    previous: previous.as_deref(),
                    conflict: conflict.as_ref(),
                    binding: bindings.pinned.get(name),
                },
            );
            assessed.push(Assessed { node: Arc::clone(node), previous, pod, assessment, conflict });
        }
        assessed
    }

    /// What is the same for all nodes.
    fn rules<'a>(
        &self,
        history: &'a History,
        spire: Option<&'a SpireAgents>,
        selector: Option<&'a str>,
    ) -> Rules<'a> {
        let spec = &self.resource.spec;
        let max_age = spec.attestation.max_attestation_age.get();
        let some_nodes = spec.spire.agents.iter().filter_map(|agent| agent.keylime_agent.as_ref());
        let asks_quoters = some_nodes.chain([&spec.keylime.agent]).any(|agent| agent.socket.is_some());
        Rules {
            max_age: (!max_age.is_zero()).then_some(max_age),
            grace: spec.nodes.grace.get(),
            now: self.at,
            silent: &history.silent,
            spire,
            observed: spec.enforcement.is_some(),
            managed: spec.spire.mode != Mode::ConfigOnly,
            asks_quoters,
            selector,
        }
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

    fn matches(
        &self,
        before: &BTreeMap<String, Arc<AttestedNodeStatus>>,
        claims: &Claims,
        bindings: &Bindings,
    ) -> Matches {
        let mut previous = Previous::new();
        for (name, status) in before {
            let Some((agent, by)) = status.agent_id.as_ref().zip(status.matched_by) else { continue };
            let Ok(agent) = agent.parse() else { continue };
            previous.insert(name.clone(), (agent, by));
        }
        let agents: Agents =
            self.states.agents.iter().map(|(agent, state)| (agent.clone(), state.contact.clone())).collect();
        match_all(&self.cluster.nodes, &agents, claims, bindings, &previous)
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
}
