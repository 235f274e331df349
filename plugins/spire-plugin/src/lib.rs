//! Serves a SPIRE node attestation plugin written in Rust as an external plugin (`plugin_cmd`).

mod about;
mod attestation;
mod configured;
mod go_plugin;
mod handshake;
mod hclog;
mod host;
mod init;
mod panic;
mod plugin;
mod serve;
mod socket;
mod stop;
mod trust_domain;

pub use about::About;
pub use attestation::{agent::AgentAttestation, server::ServerAttestation};
pub use host::Host;
pub use plugin::{AgentAttributes, AgentNodeAttestor, Configure, ServerNodeAttestor};
pub use serve::{serve_agent_node_attestor, serve_server_node_attestor};
pub use tonic::{Code, Status};
pub use trust_domain::{InvalidTrustDomain, TrustDomain};
