//! The verifier's statements about a node.

use std::net::IpAddr;

use evidence::NodeState;
use rustls::pki_types::DnsName;

use crate::Endpoint;

/// A verifier's record of an agent.
#[derive(Debug, Clone)]
pub struct AgentState {
    /// The node's state.
    pub node: NodeState,
    /// The address at which the verifier reaches the node's Keylime agent. [`None`] in push mode.
    pub contact: Option<Contact>,
    /// The verifier that has the record.
    pub verifier: Endpoint,
}

/// The address at which a verifier reaches a Keylime agent (`ip`, which may hold a name).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Contact {
    /// An address; an IPv4 address in the form of IPv6 is an IPv4 address.
    Address(IpAddr),
    /// A DNS name, in lower case, without a dot at its end.
    Name(String),
}

/// The verifier's word on an identity quote.
///
/// A `Valid` alone proves nothing about the quote: the plugin verifies the quote itself against the
/// registered AK and does not rely on a remote answer. An `Invalid` is a refusal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Confirmation {
    /// The verifier accepts the quote.
    Valid,
    /// The verifier does not accept the quote.
    Invalid,
}

impl Contact {
    pub(crate) fn read(text: &str) -> Option<Contact> {
        if let Ok(address) = text.parse::<IpAddr>() {
            return Some(Contact::Address(address.to_canonical()));
        }
        let name = text.strip_suffix('.').unwrap_or(text);
        DnsName::try_from(name).ok().map(|_| Contact::Name(name.to_ascii_lowercase()))
    }
}
