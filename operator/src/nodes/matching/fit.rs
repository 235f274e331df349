//! The agents that fit what a node says of itself: by their IDs, and by the contacts at which their
//! verifiers reach them. Its kubelet writes all of that but the name.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use evidence::AgentId;
use keylime::Contact;
use keylime_attestor_api::MatchedBy;

use super::Agents;
use crate::nodes::facts::NodeFacts;

/// The agents that fit a node, each with the way it was found.
pub(super) type Fits = BTreeMap<AgentId, MatchedBy>;

/// The agents by all that a node can fit.
pub(super) struct Index<'a> {
    /// The IDs are compared without regard to case.
    ids: BTreeMap<String, Vec<&'a AgentId>>,
    addresses: BTreeMap<IpAddr, Vec<&'a AgentId>>,
    names: BTreeMap<String, Vec<&'a AgentId>>,
    /// By the first label of the contact's name; true for a name with more than one label.
    short: BTreeMap<String, Vec<(bool, &'a AgentId)>>,
}

impl<'a> Index<'a> {
    pub(super) fn of(agents: &'a Agents) -> Self {
        let mut index = Self {
            ids: BTreeMap::new(),
            addresses: BTreeMap::new(),
            names: BTreeMap::new(),
            short: BTreeMap::new(),
        };
        for (agent, contact) in agents {
            index.ids.entry(agent.as_str().to_ascii_lowercase()).or_default().push(agent);
            match contact {
                Some(Contact::Address(address)) => {
                    index.addresses.entry(address.to_canonical()).or_default().push(agent);
                }
                Some(Contact::Name(name)) => {
                    let entry = index.short.entry(short(name).to_owned()).or_default();
                    entry.push((is_full(name), agent));
                    index.names.entry(plain(name)).or_default().push(agent);
                }
                None => {}
            }
        }
        index
    }

    /// The agents whose ID is the node's system UUID, or else its name or hostname.
    pub(super) fn by_id(&self, node: &NodeFacts) -> Fits {
        let uuid = self.with_id(&node.system_uuid);
        if !uuid.is_empty() {
            return uuid.iter().map(|agent| ((*agent).clone(), MatchedBy::SystemUuid)).collect();
        }
        let agents = names(node).flat_map(|name| self.with_id(name));
        agents.map(|agent| ((*agent).clone(), MatchedBy::NodeName)).collect()
    }

    /// The agents that are reached at the node's addresses or names. Whole names go before short
    /// ones.
    pub(super) fn by_contact(&self, node: &NodeFacts) -> Fits {
        let names: Vec<String> = names(node).map(plain).collect();
        let addresses = node.addresses.iter().map(IpAddr::to_canonical);
        let mut fits: Fits = addresses
            .filter_map(|at| self.addresses.get(&at))
            .flatten()
            .map(|agent| ((*agent).clone(), MatchedBy::InternalIp))
            .collect();
        let mut named: BTreeSet<&AgentId> =
            names.iter().filter_map(|name| self.names.get(name)).flatten().copied().collect();
        if fits.is_empty() && named.is_empty() {
            named = self.by_short_name(&names);
        }
        fits.extend(named.into_iter().map(|agent| (agent.clone(), MatchedBy::NodeName)));
        fits
    }

    /// The agents that match by the first label, where one of the two names is a short one: two
    /// whole names that differ are of two machines.
    fn by_short_name(&self, names: &[String]) -> BTreeSet<&'a AgentId> {
        let has_full = names.iter().any(|name| is_full(name));
        let found = names.iter().filter_map(|name| self.short.get(short(name))).flatten();
        found.filter(|(full, _)| !(*full && has_full)).map(|(_, agent)| *agent).collect()
    }

    fn with_id(&self, text: &str) -> &[&'a AgentId] {
        self.ids.get(&text.to_ascii_lowercase()).map(Vec::as_slice).unwrap_or_default()
    }
}

fn names(node: &NodeFacts) -> impl Iterator<Item = &str> {
    std::iter::once(&node.name).chain(&node.hostnames).map(String::as_str)
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
