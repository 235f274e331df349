//! The apiserver goes away for longer than the operator's Lease lasts, and comes back.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use lab::cluster::{Cluster, Component, OPERATOR};
use lab::wait;

use super::resource::{TIMEOUT, condition, derived, expect_keylime};

/// How long it is away.
const AWAY: Duration = Duration::from_secs(30);

/// The operator goes on by itself: what is wrong afterwards it puts right. Meanwhile it has ended,
/// as nobody could tell whether it still led.
pub(crate) fn is_survived(cluster: &Cluster) -> Result<()> {
    let right = derived(cluster, "spire-agent", "agent.conf")?;
    let before = restarts(cluster)?;
    cluster.hold(Component::Apiserver)?;
    let gone = Instant::now();
    wait::until("the time to pass", TIMEOUT, || {
        ensure!(gone.elapsed() >= AWAY, "it is away for {:?}", gone.elapsed());
        Ok(())
    })?;
    ensure!(cluster.kubectl(&["get", "nodes"]).is_err(), "a held apiserver answers");
    cluster.release(Component::Apiserver)?;
    wait::until("the apiserver's return", TIMEOUT, || cluster.kubectl(&["get", "--raw", "/readyz"]))?;

    let broken = r#"{"data": {"agent.conf": "broken"}}"#;
    let map = ["patch", "configmap", "spire-agent-keylime", "--namespace", cluster.world.agents];
    cluster.kubectl(&[&map[..], &["--type", "merge", "--patch", broken]].concat())?;
    wait::until("the configuration to be right", TIMEOUT, || {
        let now = derived(cluster, "spire-agent", "agent.conf")?;
        ensure!(now == right, "it is {now}");
        Ok(())
    })?;
    // The kubelet says so a little later.
    wait::until("the operator to have ended, which led by a Lease that it could not renew", TIMEOUT, || {
        let now = restarts(cluster)?;
        ensure!(now > before, "it has ended {now} times");
        Ok(())
    })?;
    assert_eq!(condition(cluster, "Ready")?["status"], "True");
    expect_keylime(cluster)
}

fn restarts(cluster: &Cluster) -> Result<u32> {
    let output = "jsonpath={.items[0].status.containerStatuses[0].restartCount}";
    let restarts = cluster.kubectl(&["get", "pods", "--namespace", OPERATOR, "--output", output])?;
    restarts.parse().with_context(|| format!("expected the restarts of the operator's pod, got {restarts:?}"))
}
