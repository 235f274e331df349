//! The effects of a node's failure, on a real Kubernetes with a real SPIRE and a real Keylime:
//! it is seen within seconds, the node's SPIRE agent loses its identity, and both come back by
//! themselves; and a migration that goes node by node, with workloads that keep their identities.

#![expect(clippy::indexing_slicing, reason = "what the tests share is test code too")]

mod failing_node;
mod intruder;
mod migration;
mod push;
mod seen;
