//! The binding of a Keylime agent to a node of Kubernetes, by the token of the SPIRE agent's own
//! pod.

mod token;

pub use token::{InvalidServiceAccountToken, ServiceAccountToken};
