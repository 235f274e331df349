//! Clients of Keylime's verifiers and registrar ([`Servers`]) and of the agent on the same node
//! ([`NodeAgent`]); and, by the same TLS and limits, of the other servers that the programs need
//! ([`PinnedClient`], [`TokenClient`]).
//!
//! The only place that knows Keylime's JSON, URLs, API versions (2.1 to 2.6) and certificates.
//! Every answer is read into the types of the crate `evidence` or becomes an [`Error`], which tells
//! a statement about the node (it is unknown) from a failure to get one: unreachable, refused,
//! malformed.
//!
//! Every request to Keylime is a GET that changes nothing at the other side. It goes over TLS 1.2
//! or 1.3 with a client certificate, trusts only the configured CA file or pinned certificate,
//! follows no redirect, uses no proxy, and is bounded in time (`request_timeout`, the negotiation
//! of the API version included) and size (64 KiB); an answer about all agents may be larger and
//! take longer.

mod agent;
mod agent_list;
mod endpoint;
mod error;
mod homes;
mod http;
mod https;
mod pinned;
mod records;
mod registrar;
mod resolve;
mod servers;
mod states;
mod tls;
mod verifier;

use std::time::Duration;

pub use agent::{AgentInfo, AgentTls, NodeAgent, NodeAgentConfig, QuoteAnswer};
pub use endpoint::{Endpoint, InvalidEndpoint};
pub use error::{Error, Malformed, Refused, Role, Server, Unreachable};
pub use https::{HttpsAnswer, HttpsError, HttpsRequest, TokenClient};
pub use pinned::{PinnedClient, PinnedServer};
pub use servers::{AgentState, Confirmation, Contact, Servers, ServersConfig, TlsFiles};
pub use states::{Doubt, Known, States};
pub use tls::{IdentityFiles, InvalidKeyHash, KeyHash, Problem, Setting};

fn check_timeout(timeout: Duration) -> Option<Problem> {
    timeout.is_zero().then(|| Problem::new(Setting::RequestTimeout, "expected more than 0"))
}
