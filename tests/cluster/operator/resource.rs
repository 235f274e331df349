//! The resource, and what it brings about at SPIRE.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use lab::cluster::{Cluster, Helm, NODES, Node, OPERATOR};
use lab::wait;
use serde_json::Value;

pub(crate) const TIMEOUT: Duration = Duration::from_secs(120);

/// Applies the resource from its text, and waits until it is Ready.
pub(crate) fn apply_text(cluster: &Cluster, resource: &str) -> Result<()> {
    cluster.apply(resource)?;
    wait_until_ready(cluster)
}

/// Waits until the resource is Ready.
pub(crate) fn wait_until_ready(cluster: &Cluster) -> Result<()> {
    let ready = ["wait", "--for=condition=Ready", "kla/spire", "--timeout=120s"];
    cluster.at_server(&ready).map(drop)
}

/// Waits until nothing rolls by itself any more: a minute after its agents are ready, SPIRE's
/// server is rolled once more, to demand their tokens.
pub(crate) fn wait_until_settled(cluster: &Cluster) -> Result<()> {
    wait::until("tokens to be demanded", TIMEOUT, || {
        let (binding, ready) = (condition(cluster, "BindingRequired")?, condition(cluster, "Ready")?);
        let settled = binding["reason"] != "RollingOut" && ready["status"] == "True";
        ensure!(settled, "they are {binding} and {ready}");
        Ok(())
    })?;
    cluster.wait_for_spire()
}

/// The chart's own test passes, in a pod.
pub(crate) fn expect_helm_test(cluster: &Cluster, helm: Helm) -> Result<()> {
    let tested = cluster.helm(helm, &["test", OPERATOR, "--namespace", OPERATOR, "--timeout", "60s"])?;
    ensure!(tested.contains("Succeeded"), "{tested}");
    Ok(())
}

/// Deletes the resource, and returns when everything is withdrawn.
pub(crate) fn delete(cluster: &Cluster) -> Result<()> {
    cluster.at_server(&["delete", "kla/spire", "--timeout=120s"]).map(drop)
}

/// A member of the resource's status by its JSON pointer.
pub(crate) fn member(cluster: &Cluster, pointer: &str) -> Result<Value> {
    Ok(status(cluster)?.pointer(pointer).cloned().unwrap_or_default())
}

/// A condition of the resource; null when there is none yet.
pub(crate) fn condition(cluster: &Cluster, kind: &str) -> Result<Value> {
    let status = status(cluster)?;
    let mut conditions = status["conditions"].as_array().into_iter().flatten();
    Ok(conditions.find(|condition| condition["type"] == kind).cloned().unwrap_or_default())
}

fn status(cluster: &Cluster) -> Result<Value> {
    let resource = cluster.api().get(cluster.world.server, "kla/spire")?;
    Ok(resource.context("there is no kla/spire")?["status"].take())
}

/// Waits until the agents of all nodes have attested by Keylime, and takes the entries of other
/// attestors out, as an administrator would: whoever comes back later has attested anew.
pub(crate) fn expect_keylime(cluster: &Cluster) -> Result<()> {
    expect(cluster, "keylime", &ids(|node| cluster.keylime_id(node))?)
}

/// Waits likewise until the agents of all nodes have attested by `k8s_psat`.
pub(crate) fn expect_psat(cluster: &Cluster) -> Result<()> {
    expect(cluster, "k8s_psat", &ids(|node| cluster.psat_id(node))?)
}

/// An entry of the derived configuration, which SPIRE reads.
pub(crate) fn derived(cluster: &Cluster, of: &str, key: &str) -> Result<String> {
    config_map(cluster, &format!("{of}-keylime"), key)
}

/// An entry of a ConfigMap beside SPIRE's server or agents, as its name begins.
pub(crate) fn config_map(cluster: &Cluster, name: &str, key: &str) -> Result<String> {
    let get = ["get", "configmap", name, "--output", "json"];
    let of_agents = name.starts_with("spire-agent");
    let map = if of_agents { cluster.at_agents(&get)? } else { cluster.at_server(&get)? };
    let map: Value = serde_json::from_str(&map)?;
    Ok(map["data"][key].as_str().unwrap_or_default().to_owned())
}

/// Upgrades SPIRE, and waits until both derived configurations have this text and SPIRE runs with
/// them.
pub(crate) fn upgrade(cluster: &Cluster, helm: Helm, values: &[&str], text: &str) -> Result<()> {
    // For a moment Ready is still what it was, while the configurations are new.
    let before = condition(cluster, "Ready")?["lastTransitionTime"].take();
    cluster.install_spire(helm, values)?;
    wait::until(&format!("{text} in force"), TIMEOUT, || {
        for (of, key) in [("spire-server", "server.conf"), ("spire-agent", "agent.conf")] {
            let derived = derived(cluster, of, key)?;
            ensure!(derived.contains(text), "{of} has {derived}");
        }
        let ready = condition(cluster, "Ready")?;
        ensure!(ready["status"] == "True" && ready["lastTransitionTime"] != before, "it is {ready}");
        Ok(())
    })?;
    cluster.wait_for_spire()
}

/// Says how far a test is, and how long it took.
#[expect(clippy::print_stderr, reason = "the measured times are for who runs the tests")]
pub(crate) fn say(clock: Instant, what: &str) {
    eprintln!("{:5.1} s: {what}", clock.elapsed().as_secs_f32());
}

fn expect(cluster: &Cluster, attestor: &str, ids: &[String]) -> Result<()> {
    wait::until(&format!("agents of {attestor}"), TIMEOUT, || {
        let agents = cluster.agents()?;
        ensure!(ids.iter().all(|id| agents.iter().any(|agent| agent.id == *id)), "there are {agents:?}");
        Ok(())
    })?;
    for agent in cluster.agents()?.iter().filter(|agent| !ids.contains(&agent.id)) {
        cluster.spire_server(&["agent", "evict", "-spiffeID", &agent.id])?;
    }
    // Nobody of the others comes back.
    cluster.wait_for_agents(ids)?;
    ensure!(
        cluster.agents()?.iter().all(|agent| agent.attestation_type == attestor),
        "{:?}",
        cluster.agents()?
    );
    Ok(())
}

fn ids(id: impl Fn(Node) -> Result<String>) -> Result<Vec<String>> {
    NODES.into_iter().map(id).collect()
}
