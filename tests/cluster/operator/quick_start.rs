//! The README's quick start, word for word, where SPIRE is as SPIFFE's chart makes it: workloads on
//! all nodes go on to get their SVIDs while their agents move to Keylime, and while they move back.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use lab::cluster::{Cluster, NODES, Node, quick_start};
use lab::wait;

use super::identities::{Gaps, follow};
use super::resource::{self, TIMEOUT, say};

/// How long a workload may wait for its SVID when its node's SPIRE agent is ready: the operator
/// polls the node within seconds, spire-controller-manager makes the entries within ten, and the
/// agent learns of new ones each five seconds; the rest is for a busy machine. At the switch 10 to
/// 22 s were measured on a busy machine, on deletion 17 to 32 s.
const WITH_READY_AGENT: Duration = Duration::from_secs(40);

/// A pod on each node, which spire-controller-manager makes an entry for.
const WORKLOADS: [(&str, Node); 2] = [("first", NODES[0]), ("second", NODES[1])];

/// Starts the workloads, and waits until they have their SVIDs.
pub(crate) fn start_workloads(cluster: &Cluster) -> Result<()> {
    for (name, node) in WORKLOADS {
        cluster.start_workload(name, node)?;
    }
    expect_identities(cluster)
}

/// Applies the resource, and waits until all nodes have attested by Keylime.
pub(crate) fn apply(cluster: &Cluster, clock: Instant) -> Result<()> {
    meanwhile(cluster, clock, "the switch to Keylime", || {
        resource::apply_text(cluster, &quick_start()?)?;
        resource::expect_keylime(cluster)
    })
}

/// Deletes the resource, and waits until all nodes have attested as before.
pub(crate) fn delete(cluster: &Cluster, clock: Instant) -> Result<()> {
    meanwhile(cluster, clock, "the deletion", || {
        resource::delete(cluster)?;
        resource::expect_psat(cluster)
    })
}

/// While something happens, workloads get their SVIDs but for the time that it takes to start an
/// agent anew. One that starts later gets its SVID, too.
fn meanwhile(
    cluster: &Cluster,
    clock: Instant,
    what: &str,
    happens: impl FnOnce() -> Result<()>,
) -> Result<()> {
    // What happened before may have moved the agents: a gap that it left open is not this one's.
    expect_identities(cluster)?;
    let end = AtomicBool::new(false);
    let gaps = thread::scope(|scope| {
        let followed = WORKLOADS.map(|workload| (workload.0, follow(scope, cluster, workload, &end)));
        let happened = happens().and_then(|()| expect_identities(cluster));
        end.store(true, Ordering::Release);
        let gaps = followed.into_iter().map(|(name, followed)| followed.gaps(&id(name)));
        let gaps = gaps.collect::<Vec<_>>();
        happened?;
        gaps.into_iter().collect::<Result<Vec<_>>>()
    })?;
    for Gaps { node, longest, with_ready_agent, count, .. } in gaps {
        let (longest, ready) = (longest.as_secs_f32(), with_ready_agent.as_secs_f32());
        say(
            clock,
            &format!(
                "{what}, {node}: {count} gaps, {longest:.1} s at most, {ready:.1} s of it with a ready agent"
            ),
        );
        ensure!(with_ready_agent <= WITH_READY_AGENT, "workloads of {node} waited for {ready:.1} s");
    }
    Ok(())
}

fn expect_identities(cluster: &Cluster) -> Result<()> {
    WORKLOADS.iter().try_for_each(|(name, _)| expect_identity(cluster, name))
}

fn expect_identity(cluster: &Cluster, name: &str) -> Result<()> {
    wait::until(&format!("an SVID for {name}"), TIMEOUT, || {
        let got = cluster.workload_id(name)?;
        ensure!(got == id(name), "it is {got}");
        Ok(())
    })
}

fn id(name: &str) -> String {
    format!("spiffe://example.org/{name}")
}
