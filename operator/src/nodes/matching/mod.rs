//! Matches nodes with the agents of Keylime. Two claims on one node or one agent are reported and
//! never guessed. Pure.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;

use evidence::AgentId;
use keylime::Contact;
use keylime_attestor_api::MatchedBy;

use super::facts::NodeFacts;

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
    /// An agent that was on another node that is still there. The text names the agent and both
    /// nodes; the node that it was on keeps its ID.
    Moved(String, Option<(AgentId, MatchedBy)>),
}

/// The matches of the previous poll, by node.
pub(crate) type Previous = BTreeMap<String, (AgentId, MatchedBy)>;

/// The agents by ID, each with the contact at which its verifier reaches it.
pub(crate) type Agents = BTreeMap<AgentId, Option<Contact>>;

/// The result of matching.
#[derive(Debug, Default)]
pub(crate) struct Matches {
    /// All nodes of the cluster.
    pub(crate) nodes: BTreeMap<String, Match>,
    /// The agents that fit no node.
    pub(crate) unmatched: Vec<AgentId>,
}

type Nodes = BTreeMap<String, Arc<NodeFacts>>;

/// Matches all nodes of the cluster with all agents. `held` are the nodes whose verifier gives no
/// answer at the moment: they keep the agent that they had, and no other node gets it.
pub(crate) fn match_all(
    nodes: &Nodes,
    agents: &Agents,
    previous: &Previous,
    held: &BTreeSet<String>,
) -> Matches {
    let mut claims = Claims::default();
    let index = Index::of(agents);
    for (name, node) in nodes {
        if let Some(claim) = &node.claim {
            match AgentId::new(claim) {
                Ok(agent) => claims.add(name, agent, MatchedBy::Annotation),
                Err(error) => {
                    let text = format!("the annotation {} names no agent: {error}", annotation());
                    claims.spoiled.insert(name.clone(), text);
                }
            }
        } else if let Some((agent, by)) = previous.get(name).filter(|_| held.contains(name)) {
            claims.add(name, agent.clone(), *by);
        } else {
            by_id(name, node, &index, &mut claims);
        }
    }
    by_contact(nodes, agents, &mut claims);
    let unmatched = agents.keys().filter(|agent| !claims.by_agent.contains_key(*agent)).cloned().collect();
    Matches { nodes: claims.settle(nodes, previous), unmatched }
}

/// The agents by ID, compared without regard to case.
struct Index<'a> {
    ids: BTreeMap<String, Vec<&'a AgentId>>,
}

impl<'a> Index<'a> {
    fn of(agents: &'a Agents) -> Self {
        let mut ids: BTreeMap<String, Vec<&AgentId>> = BTreeMap::new();
        for agent in agents.keys() {
            ids.entry(agent.as_str().to_ascii_lowercase()).or_default().push(agent);
        }
        Self { ids }
    }

    fn named(&self, text: &str) -> &[&'a AgentId] {
        self.ids.get(&text.to_ascii_lowercase()).map(Vec::as_slice).unwrap_or_default()
    }
}

/// Adds the claims by ID. The first way that finds an agent decides: the system UUID, then the
/// names.
fn by_id(name: &str, node: &NodeFacts, index: &Index<'_>, claims: &mut Claims) {
    let uuid = index.named(&node.system_uuid);
    if !uuid.is_empty() {
        uuid.iter().for_each(|agent| claims.add(name, (*agent).clone(), MatchedBy::SystemUuid));
        return;
    }
    let names: BTreeSet<&AgentId> = std::iter::once(name)
        .chain(node.hostnames.iter().map(String::as_str))
        .flat_map(|text| index.named(text))
        .copied()
        .collect();
    names.into_iter().for_each(|agent| claims.add(name, agent.clone(), MatchedBy::NodeName));
}

/// Adds the claims by contact, of nodes and agents that no ID has matched: a contact says less than
/// an ID. Whole names go before short ones.
fn by_contact(nodes: &Nodes, agents: &Agents, claims: &mut Claims) {
    let contacts = Contacts::of(agents.iter().filter(|(agent, _)| !claims.by_agent.contains_key(*agent)));
    let free: Vec<_> = nodes.iter().filter(|(name, _)| claims.is_free(name)).collect();
    for (name, node) in free {
        let names: Vec<String> =
            std::iter::once(name).chain(&node.hostnames).map(|name| plain(name)).collect();
        let addresses = node.addresses.iter().map(IpAddr::to_canonical);
        let at: BTreeSet<&AgentId> =
            addresses.filter_map(|at| contacts.addresses.get(&at)).flatten().copied().collect();
        let mut named: BTreeSet<&AgentId> =
            names.iter().filter_map(|name| contacts.names.get(name)).flatten().copied().collect();
        if at.is_empty() && named.is_empty() {
            named = contacts.by_short_name(&names);
        }
        at.into_iter().for_each(|agent| claims.add(name, agent.clone(), MatchedBy::InternalIp));
        named.into_iter().for_each(|agent| claims.add(name, agent.clone(), MatchedBy::NodeName));
    }
}

/// The agents by the contact at which their verifiers reach them.
#[derive(Default)]
struct Contacts<'a> {
    addresses: BTreeMap<IpAddr, Vec<&'a AgentId>>,
    names: BTreeMap<String, Vec<&'a AgentId>>,
    /// By the first label of the name; true for a name with more than one label.
    short: BTreeMap<String, Vec<(bool, &'a AgentId)>>,
}

impl<'a> Contacts<'a> {
    fn of(agents: impl Iterator<Item = (&'a AgentId, &'a Option<Contact>)>) -> Self {
        let mut contacts = Self::default();
        for (agent, contact) in agents {
            match contact {
                Some(Contact::Address(address)) => {
                    contacts.addresses.entry(address.to_canonical()).or_default().push(agent);
                }
                Some(Contact::Name(name)) => {
                    let entry = contacts.short.entry(short(name).to_owned()).or_default();
                    entry.push((is_full(name), agent));
                    contacts.names.entry(plain(name)).or_default().push(agent);
                }
                None => {}
            }
        }
        contacts
    }

    /// The agents that match by the first label, where one of the two names is a short one: two
    /// whole names that differ are of two machines.
    fn by_short_name(&self, names: &[String]) -> BTreeSet<&'a AgentId> {
        let has_full = names.iter().any(|name| is_full(name));
        let found = names.iter().filter_map(|name| self.short.get(short(name))).flatten();
        found.filter(|(full, _)| !(*full && has_full)).map(|(_, agent)| *agent).collect()
    }
}

fn plain(name: &str) -> String {
    name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase()
}

fn short(name: &str) -> &str {
    name.split_once('.').map_or(name, |(first, _)| first)
}

fn is_full(name: &str) -> bool {
    name.contains('.')
}

/// The claims between nodes and agents, in both directions.
#[derive(Default)]
struct Claims {
    by_node: BTreeMap<String, BTreeMap<AgentId, MatchedBy>>,
    by_agent: BTreeMap<AgentId, BTreeSet<String>>,
    /// The nodes whose claim does not parse, with the text for the user.
    spoiled: BTreeMap<String, String>,
}

impl Claims {
    fn add(&mut self, node: &str, agent: AgentId, by: MatchedBy) {
        self.by_agent.entry(agent.clone()).or_default().insert(node.to_owned());
        self.by_node.entry(node.to_owned()).or_default().insert(agent, by);
    }

    fn is_free(&self, node: &str) -> bool {
        !self.by_node.contains_key(node) && !self.spoiled.contains_key(node)
    }

    fn settle(&self, nodes: &Nodes, previous: &Previous) -> BTreeMap<String, Match> {
        let mut matches: BTreeMap<String, Match> =
            nodes.keys().map(|name| (name.clone(), self.of(name))).collect();
        for (agent, from, to) in self.moved(&matches, nodes, previous) {
            let text = format!("agent {agent} was on node {from} and now answers for node {to}");
            let stays = previous.get(&from).cloned();
            matches.insert(from, Match::Moved(text.clone(), stays));
            matches.insert(to, Match::Moved(text, None));
        }
        matches
    }

    fn of(&self, node: &str) -> Match {
        if let Some(text) = self.spoiled.get(node) {
            return Match::Ambiguous(text.clone());
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

    /// The agents that were on another node that is still there, unless an annotation says where
    /// they belong.
    fn moved(
        &self,
        matches: &BTreeMap<String, Match>,
        nodes: &Nodes,
        previous: &Previous,
    ) -> Vec<(AgentId, String, String)> {
        let was: BTreeMap<&AgentId, &String> = previous
            .iter()
            .filter(|(name, _)| nodes.contains_key(*name))
            .map(|(name, (agent, _))| (agent, name))
            .collect();
        let moved = matches.iter().filter_map(|(to, found)| {
            let Match::Agent(agent, by) = found else { return None };
            let from = was.get(agent).filter(|from| **from != to && *by != MatchedBy::Annotation)?;
            Some((agent.clone(), (*from).clone(), to.clone()))
        });
        moved.collect()
    }
}

const fn annotation() -> &'static str {
    keylime_attestor_api::names::annotation::AGENT_ID
}

#[cfg(test)]
mod tests;
