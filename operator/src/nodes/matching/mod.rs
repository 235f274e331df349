//! Matches nodes with the agents of Keylime. Pure.
//!
//! A node has, in this order, the agent that an administrator named, the agent that an attestation
//! proved to be its, the agent that it had at the last poll, or the one agent that fits what the
//! node says of itself. The last of these its kubelet writes, and so whoever has the node: it finds
//! an agent once, for a node without one, among the agents without a node. From then on the match
//! stands, also while Keylime does not know the agent, and only an administrator or a proof changes
//! it. Whatever else would is reported, on the node that says it.

mod fit;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use evidence::AgentId;
use keylime::Contact;
use keylime_attestor_api::names::event;
use keylime_attestor_api::{MatchedBy, NodeReason};

use super::bindings::Bindings;
use super::facts::NodeFacts;
use fit::{Fits, Index};

/// The result of matching, for a node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Match {
    /// Its agent, and the way it was found.
    Agent(AgentId, MatchedBy),
    /// No agent.
    Nobody,
    /// Several agents or nodes claim each other, or the claim does not parse; with the text for the
    /// user.
    Ambiguous(String),
    /// An agent that another node has. The text names the agent and both nodes.
    Moved(String),
    /// A proof against a pair that was proven before. The text names both.
    BoundElsewhere(String),
}

/// What fits a node beside the agent that it has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Conflict {
    /// The reason of its event.
    pub(crate) reason: &'static str,
    pub(crate) text: String,
}

/// The agent IDs that administrators named, as they wrote them, by node.
pub(crate) type Claims = BTreeMap<String, String>;

/// The matches of the previous poll, by node.
pub(crate) type Previous = BTreeMap<String, (AgentId, MatchedBy)>;

/// The agents by ID, each with the contact at which its verifier reaches it.
pub(crate) type Agents = BTreeMap<AgentId, Option<Contact>>;

/// The result of matching.
#[derive(Debug, Default)]
pub(crate) struct Matches {
    /// All nodes of the cluster.
    pub(crate) nodes: BTreeMap<String, Match>,
    /// The nodes that keep their agent although another one fits them.
    pub(crate) conflicts: BTreeMap<String, Conflict>,
    /// The agents that fit no node.
    pub(crate) unmatched: Vec<AgentId>,
}

type Nodes = BTreeMap<String, Arc<NodeFacts>>;

/// Matches all nodes of the cluster with all agents.
pub(crate) fn match_all(
    nodes: &Nodes,
    agents: &Agents,
    claims: &Claims,
    bindings: &Bindings,
    previous: &Previous,
) -> Matches {
    let index = Index::of(agents);
    let mut pairs = Pairs::standing(nodes, claims, bindings, previous);
    let mut conflicts = conflicts(nodes, &pairs, &index);
    for (name, text) in &bindings.against {
        let (reason, text) = (NodeReason::BoundElsewhere.as_str(), text.clone());
        match pairs.by_node.contains_key(name) {
            true => conflicts.insert(name.clone(), Conflict { reason, text }).map(drop),
            false => pairs.without.insert(name.clone(), Match::BoundElsewhere(text)).map(drop),
        };
    }
    // A contact says less than an ID.
    pairs.find(nodes, |node| index.by_id(node));
    pairs.find(nodes, |node| index.by_contact(node));
    let unmatched = agents.keys().filter(|agent| !pairs.by_agent.contains_key(*agent)).cloned().collect();
    let nodes = nodes.keys().map(|name| (name.clone(), pairs.of(name))).collect();
    Matches { nodes, conflicts, unmatched }
}

/// The pairs of nodes and agents, in both directions.
#[derive(Default)]
struct Pairs {
    by_node: BTreeMap<String, BTreeMap<AgentId, MatchedBy>>,
    by_agent: BTreeMap<AgentId, BTreeSet<String>>,
    /// The nodes without a pair, and why: the claim does not parse, or the agent is another node's.
    without: BTreeMap<String, Match>,
}

impl Pairs {
    /// The pairs by administrators, those that are proven, and those of the previous poll that are
    /// not against them.
    fn standing(nodes: &Nodes, claims: &Claims, bindings: &Bindings, previous: &Previous) -> Self {
        let mut pairs = Self::default();
        for (name, claim) in claims.iter().filter(|(name, _)| nodes.contains_key(*name)) {
            match AgentId::new(claim) {
                Ok(agent) => pairs.add(name, agent, MatchedBy::Spec),
                Err(error) => {
                    let text = format!("spec.agentId of the AttestedNode names no agent: {error}");
                    pairs.without.insert(name.clone(), Match::Ambiguous(text));
                }
            }
        }
        let proven = bindings.pinned.iter();
        let proven = proven.filter_map(|(name, pinned)| Some((name, AgentId::new(&pinned.agent_id).ok()?)));
        pairs.add_free(proven.map(|(name, agent)| (name, agent, MatchedBy::Proof)));
        let previous = previous.iter().filter(|(name, _)| nodes.contains_key(*name));
        pairs.add_free(previous.map(|(name, (agent, by))| (name, agent.clone(), *by)));
        pairs
    }

    /// Adds pairs of nodes and agents that had none before these.
    fn add_free<'n>(&mut self, more: impl Iterator<Item = (&'n String, AgentId, MatchedBy)>) {
        let taken: BTreeSet<AgentId> = self.by_agent.keys().cloned().collect();
        let free: Vec<_> =
            more.filter(|(name, agent, _)| self.is_free(name) && !taken.contains(agent)).collect();
        free.into_iter().for_each(|(name, agent, by)| self.add(name, agent, by));
    }

    /// Finds agents for the nodes that have none, among the agents that no node has so far.
    fn find(&mut self, nodes: &Nodes, fits: impl Fn(&NodeFacts) -> Fits) {
        let taken: BTreeSet<AgentId> = self.by_agent.keys().cloned().collect();
        let free: Vec<_> = nodes.iter().filter(|(name, _)| self.is_free(name)).collect();
        for (name, node) in free {
            let (others, own): (Fits, Fits) =
                fits(node).into_iter().partition(|(agent, _)| taken.contains(agent));
            if own.is_empty() && !others.is_empty() {
                self.without.insert(name.clone(), Match::Moved(self.moved(name, &others)));
            }
            own.into_iter().for_each(|(agent, by)| self.add(name, agent, by));
        }
    }

    fn add(&mut self, node: &str, agent: AgentId, by: MatchedBy) {
        self.by_agent.entry(agent.clone()).or_default().insert(node.to_owned());
        self.by_node.entry(node.to_owned()).or_default().insert(agent, by);
    }

    fn is_free(&self, node: &str) -> bool {
        !self.by_node.contains_key(node) && !self.without.contains_key(node)
    }

    fn moved(&self, node: &str, others: &Fits) -> String {
        let said = others.keys().map(|agent| {
            let nodes: Vec<&str> =
                self.by_agent.get(agent).into_iter().flatten().map(String::as_str).collect();
            format!("agent {agent} is that of node {}", nodes.join(", "))
        });
        format!("{}, and node {node} answers for it", said.collect::<Vec<_>>().join(", "))
    }

    fn of(&self, node: &str) -> Match {
        if let Some(without) = self.without.get(node) {
            return without.clone();
        }
        let Some(agents) = self.by_node.get(node) else { return Match::Nobody };
        let mut claimed = agents.iter();
        let (Some((agent, by)), None) = (claimed.next(), claimed.next()) else {
            let agents: Vec<&str> = agents.keys().map(AgentId::as_str).collect();
            return Match::Ambiguous(format!("agents {} claim node {node}", agents.join(", ")));
        };
        match self.by_agent.get(agent) {
            Some(nodes) if nodes.len() > 1 => {
                let nodes: Vec<&str> = nodes.iter().map(String::as_str).collect();
                Match::Ambiguous(format!("nodes {} claim agent {agent}", nodes.join(", ")))
            }
            _ => Match::Agent(agent.clone(), *by),
        }
    }
}

/// The conflicts of the nodes whose match stands, unless an administrator has named their agent or
/// an attestation has proven it.
fn conflicts(nodes: &Nodes, pairs: &Pairs, index: &Index<'_>) -> BTreeMap<String, Conflict> {
    let mut conflicts = BTreeMap::new();
    for (name, node) in nodes {
        let Match::Agent(own, by) = pairs.of(name) else { continue };
        let mut fits = index.by_id(node);
        if fits.is_empty() {
            fits = index.by_contact(node);
        }
        let fits_own = fits.remove(&own).is_some();
        if matches!(by, MatchedBy::Spec | MatchedBy::Proof) || fits.is_empty() {
            continue;
        }
        let others: Vec<&str> = fits.keys().map(AgentId::as_str).collect();
        let (reason, also) = match fits_own {
            true => (NodeReason::AmbiguousAgent.as_str(), " as well"),
            false => (event::AGENT_CHANGED, ""),
        };
        let text = format!(
            "The node's agent is {own}, and stays so; what the node says of itself fits {}{also}. If that is its agent, name it in spec.agentId of the AttestedNode.",
            others.join(", ")
        );
        conflicts.insert(name.clone(), Conflict { reason, text });
    }
    conflicts
}

#[cfg(test)]
mod tests;
