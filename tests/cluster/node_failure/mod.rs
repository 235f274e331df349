//! The effects of a node's failure, on a real Kubernetes with a real SPIRE and a real Keylime:
//! it is seen within seconds, the node's SPIRE agent loses its identity, and both come back by
//! themselves; and a migration that goes node by node, with workloads that keep their identities.

#![expect(clippy::indexing_slicing, reason = "what the tests share is test code too")]

mod failing_node;
mod migration;
mod seen;

use std::time::Instant;

use anyhow::Result;
use lab::cluster::{Cluster, Helm, Options, World};

#[test]
fn nodes_move_one_by_one_and_one_that_fails_loses_its_identity() -> Result<()> {
    let clock = Instant::now();
    let cluster = Cluster::start(&Options::of(World::BY_HAND.managing_entries()))?;
    cluster.install_spire(Helm::V4, &[])?;
    cluster.install_operator(Helm::V4)?;
    migration::there_and_back(&cluster, clock)?;
    // Agents that live on with the SVIDs that they have, when they are started anew.
    cluster.install_spire(Helm::V4, &["agent.keysOnDisk=true"])?;
    failing_node::is_seen_and_evicted_until_it_passes_again(&cluster, clock)?;
    cluster.stop()
}
