//! The operator on a real Kubernetes, from its image and its chart, with SPIRE in pods and a
//! Keylime agent on each node: what it gives to SPIRE, what it keeps through upgrades, what it asks
//! of the apiserver, and that it withdraws everything.

#![expect(clippy::indexing_slicing, reason = "what the tests share is test code too")]

mod apiserver_away;
pub(crate) mod audit;
mod failing_rollouts;
mod former_attestor;
mod hcl_by_helm_3;
pub(crate) mod identities;
mod json_by_helm_4;
pub(crate) mod quick_start;
pub(crate) mod resource;
mod snapshot;
mod templates;
