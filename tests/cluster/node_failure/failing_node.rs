//! Keylime fails a node.

use std::time::Instant;

use anyhow::{Result, ensure};
use lab::cluster::{Cluster, Component, Helm, NODES, Node, Options, World};
use lab::image::Image;
use lab::wait;

use super::intruder;
use super::seen::{
    TIMEOUT, agent_pod, attested_node, condition, expect_all_attested, expect_event, expect_listed,
    expect_metric, expect_ready, expect_state, is_listed, patch, resource, say,
};

/// What the resource says beyond the usual: short intervals, so that the test is. What is measured
/// is those and the work behind them. Tokens are demanded at once, not when all agents have one.
const MORE: &str = "  attestation: {binding: Require}
  nodes: {interval: 5s, grace: 10s}
  enforcement: {action: Evict, interval: 2s}
";

#[test]
fn a_node_that_fails_loses_its_identity_until_it_passes_again() -> Result<()> {
    let clock = Instant::now();
    let cluster = Cluster::start(&Options::of(World::BY_HAND))?;
    cluster.install_spire(Helm::V4, &["agent.keysOnDisk=true"])?;
    // As of a release for two architectures: each pod finds the checksum of its own.
    let folder = tempfile::tempdir()?;
    cluster.install_operator_from(Helm::V4, &Image::made_as_one_of_two(folder.path())?)?;
    cluster.apply(&(cluster.attestor("Overlay", "StatefulSet") + MORE))?;
    expect_ready(&cluster)?;
    say(clock, "all agents run with the plugin");
    let plugins = resource(&cluster)?["status"]["agents"][0]["pluginChecksums"].clone();
    ensure!(plugins["amd64"] != plugins["arm64"] && plugins["arm64"].is_string(), "{plugins}");
    cluster.validate_configurations()?;
    expect_all_attested(&cluster)?;
    for node in NODES {
        expect_event(&cluster, node, "Reattested")?;
    }
    say(clock, "both nodes are attested, whose agents lived on with their former SVIDs before");

    intruder::becomes_nobody_else(&cluster, clock)?;
    one_fails(&cluster, NODES)?;
    say(clock, "a node failed, was evicted, and came back");
    one_is_banned(&cluster, NODES)?;
    say(clock, "a node was banned, and an administrator let it in again");
    all_fail(&cluster)?;
    say(clock, "all nodes failed at once, and none was evicted");
    nobody_knows(&cluster)?;
    say(clock, "the verifier was away, and nobody was evicted");

    cluster.at_server(&["delete", "kla/spire", "--timeout=120s"])?;
    let left = cluster.kubectl(&["get", "attestednodes", "--output", "name"])?;
    ensure!(left.is_empty(), "the operator left {left}");
    for node in NODES {
        let left = cluster.kubectl(&["get", "node", node.name, "--output", "jsonpath={.metadata}"])?;
        ensure!(!left.contains("spire.keylime.dev/"), "the operator left {left}");
        // An agent whose keys are on its disk lives on with what it has, until somebody evicts it.
        cluster.spire_server(&["agent", "evict", "-spiffeID", &cluster.keylime_id(node)?])?;
        expect_listed(&cluster, &cluster.psat_id(node)?)?;
    }
    cluster.stop()
}

/// Seen everywhere, evicted, refused; the other node is as before. Repaired, it comes back without
/// anybody.
fn one_fails(cluster: &Cluster, [passing, failing]: [Node; 2]) -> Result<()> {
    let (kept, lost) = (cluster.keylime_id(passing)?, cluster.keylime_id(failing)?);
    for (node, id, workload) in [(passing, &kept, "on-passing"), (failing, &lost, "on-failing")] {
        let selector = format!("k8s:pod-name:{workload}");
        cluster.create_entry(id, &format!("spiffe://example.org/{workload}"), &[&selector])?;
        cluster.start_workload(workload, node)?;
        wait::until("an SVID", TIMEOUT, || cluster.workload_id(workload))?;
    }
    let untouched = agent_pod(cluster, passing)?["status"]["containerStatuses"].clone();

    cluster.keylime().fail(failing)?;
    let failed = Instant::now();
    expect_state(cluster, failing, "Failing", "KeylimeAttestationFailed")?;
    say(failed, "after the verifier said FAIL, the AttestedNode says so");
    wait::until("the resource's word on it", TIMEOUT, || {
        let resource = resource(cluster)?;
        let attested = condition(&resource, "NodesAttested")?;
        let text = attested["message"].as_str().unwrap_or_default();
        ensure!(attested["status"] == "False" && text.contains(failing.name), "it is {attested}");
        let listed = &resource["status"]["nodes"]["notAttested"][0];
        ensure!(listed["name"] == failing.name, "status.nodes is {}", resource["status"]["nodes"]);
        Ok(())
    })?;
    say(failed, "the resource says so");
    expect_event(cluster, failing, "KeylimeAttestationFailed")?;
    say(failed, "an Event says so");
    expect_metric(
        cluster,
        "keylime_attestor_node_state{namespace=\"spire-system\",name=\"spire\",state=\"Failing\",reason=\"KeylimeAttestationFailed\"} 1",
    )?;
    say(failed, "a metric says so");
    wait::until("an evicted agent", TIMEOUT, || {
        ensure!(!is_listed(cluster, &lost)?, "it is still listed");
        Ok(())
    })?;
    say(failed, "SPIRE's server has evicted its agent");
    expect_event(cluster, failing, "Evicted")?;
    wait::until("a workload without an SVID", TIMEOUT, || {
        let got = cluster.workload_id("on-failing");
        ensure!(got.is_err(), "it still gets {got:?}");
        Ok(())
    })?;
    say(failed, "a workload on the node gets no SVID any longer");
    let id = cluster.workload_id("on-passing")?;
    ensure!(id == "spiffe://example.org/on-passing", "the other node's workload got {id}");
    ensure!(is_listed(cluster, &kept)?, "the other node's agent is gone");
    let now = agent_pod(cluster, passing)?["status"]["containerStatuses"].clone();
    ensure!(now == untouched, "the other node's SPIRE agent was {untouched} and is {now}");

    cluster.keylime().repair(failing)?;
    let repaired = Instant::now();
    // Its entry went with the agent; whoever made it makes it again.
    expect_all_attested(cluster)?;
    expect_event(cluster, failing, "KeylimeAttestationRecovered")?;
    say(repaired, "after the verifier said PASS, the node is attested again");
    wait::until("an SVID", TIMEOUT, || cluster.workload_id("on-failing"))?;
    say(repaired, "a workload on the node gets its SVID again");
    Ok(())
}

/// A ban holds after Keylime passes the node again, until somebody takes it away.
fn one_is_banned(cluster: &Cluster, [_, failing]: [Node; 2]) -> Result<()> {
    patch(cluster, "{\"enforcement\": {\"action\": \"Ban\"}}")?;
    expect_all_attested(cluster)?;
    let id = cluster.keylime_id(failing)?;
    cluster.keylime().fail(failing)?;
    wait::until("a banned agent", TIMEOUT, || {
        let banned = cluster.spire_server(&["agent", "list", "-banned", "true"])?;
        ensure!(banned.contains(&id), "the banned agents are: {banned}");
        Ok(())
    })?;
    cluster.keylime().repair(failing)?;
    expect_event(cluster, failing, "Banned")?;
    expect_state(cluster, failing, "Pending", "Banned")?;
    cluster.spire_server(&["agent", "evict", "-spiffeID", &id])?;
    restart_agent(cluster, failing)?;
    expect_all_attested(cluster)?;
    patch(cluster, "{\"enforcement\": {\"action\": \"Evict\", \"grace\": \"30s\"}}")?;
    expect_all_attested(cluster)
}

/// More than half would go: a human has to decide first. They fail one after the other, within the
/// grace.
fn all_fail(cluster: &Cluster) -> Result<()> {
    for node in NODES {
        cluster.keylime().fail(node)?;
    }
    for node in NODES {
        expect_state(cluster, node, "Failing", "KeylimeAttestationFailed")?;
    }
    expect_metric(cluster, "keylime_attestor_enforcement_held{namespace=\"spire-system\",name=\"spire\"} 1")?;
    for node in NODES {
        ensure!(is_listed(cluster, &cluster.keylime_id(node)?)?, "{} was evicted", node.name);
    }
    for node in NODES {
        cluster.keylime().repair(node)?;
    }
    expect_all_attested(cluster)
}

/// A verifier that is away says nothing about nodes.
fn nobody_knows(cluster: &Cluster) -> Result<()> {
    cluster.hold(Component::Verifier)?;
    for node in NODES {
        expect_state(cluster, node, "Unknown", "KeylimeUnreachable")?;
    }
    for node in NODES {
        let healthy = condition(&attested_node(cluster, node)?, "KeylimeHealthy")?.clone();
        ensure!(healthy["status"] == "Unknown", "it is {healthy}");
        ensure!(is_listed(cluster, &cluster.keylime_id(node)?)?, "{} was evicted", node.name);
    }
    cluster.release(Component::Verifier)?;
    expect_all_attested(cluster)?;
    expect_ready(cluster)
}

/// Kubernetes would start it by itself, later and later.
fn restart_agent(cluster: &Cluster, node: Node) -> Result<()> {
    cluster.at_agents(&["delete", &cluster.agent_pod(node)?, "--wait=false"]).map(drop)
}
