//! The README's quick start, word for word, where SPIRE is as SPIFFE's chart makes it: workloads on
//! all nodes go on to get their SVIDs while their agents move to Keylime, and while they move back.

use std::time::Instant;

use anyhow::Result;
use lab::cluster::{Cluster, NODES, Node, quick_start};

use super::identities::{expect_identities, meanwhile};
use super::resource;

/// A pod on each node, which spire-controller-manager makes an entry for.
pub(crate) const WORKLOADS: [(&str, Node); 2] = [("first", NODES[0]), ("second", NODES[1])];

/// Starts the workloads, and waits until they have their SVIDs.
pub(crate) fn start_workloads(cluster: &Cluster) -> Result<()> {
    for (name, node) in WORKLOADS {
        cluster.start_workload(name, node)?;
    }
    expect_identities(cluster, &WORKLOADS)
}

/// Applies the resource, and waits until all nodes have attested by Keylime.
pub(crate) fn apply(cluster: &Cluster, clock: Instant) -> Result<()> {
    meanwhile((cluster, clock), &WORKLOADS, "the switch to Keylime", || {
        resource::apply_text(cluster, &quick_start()?)?;
        resource::expect_keylime(cluster)
    })
}

/// Deletes the resource, and waits until all nodes have attested as before.
pub(crate) fn delete(cluster: &Cluster, clock: Instant) -> Result<()> {
    meanwhile((cluster, clock), &WORKLOADS, "the deletion", || {
        resource::delete(cluster)?;
        resource::expect_psat(cluster)
    })
}
