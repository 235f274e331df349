//! The binding of an agent to its node of Kubernetes, by the token of the SPIRE agent's own pod.

mod address;
mod agent;
mod nonce;
mod pairs;
mod server;
