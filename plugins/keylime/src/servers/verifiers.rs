//! The verifiers of a configuration.

use std::time::Duration;

use crate::Endpoint;
use crate::agent_list::AgentList;
use crate::error::Role;
use crate::http::Peer;
use crate::tls::{Problem, Setting};

/// A verifier, and the newest list of its agents.
#[derive(Debug)]
pub(super) struct Verifier {
    pub(super) peer: Peer,
    pub(super) list: AgentList,
}

/// The peers, the main one apart. Each verifier may be there once only: twice, it would seem that
/// two of them have an agent.
pub(super) fn verifiers(
    endpoints: Vec<Endpoint>,
    timeout: Duration,
) -> Result<(Verifier, Vec<Verifier>), Problem> {
    let mut peers: Vec<Peer> = Vec::new();
    for endpoint in endpoints {
        if peers.iter().any(|peer| peer.server().endpoint == endpoint) {
            let text = format_args!("expected each verifier once, got {endpoint} twice");
            return Err(Problem::new(Setting::Endpoint, text));
        }
        peers.push(Peer::new(Role::Verifier, endpoint, true, timeout)?);
    }
    let mut peers = peers.into_iter().map(|peer| Verifier { peer, list: AgentList::default() });
    let main =
        peers.next().ok_or_else(|| Problem::new(Setting::Endpoint, "expected a verifier, got none"))?;
    Ok((main, peers.collect()))
}
