//! Nodes whose Keylime agents open no port: the chart's quoters quote for them.

use std::time::Instant;

use anyhow::{Result, ensure};
use lab::cluster::{Cluster, Helm, NODES, Node, Options, World};
use lab::image::Image;
use lab::wait;

use super::seen::{
    TIMEOUT, attested_node, condition, expect_all_attested, expect_event, expect_state, is_listed, patch,
    resource, say,
};

/// What the resource says beyond the usual.
const MORE: &str = "  nodes: {interval: 5s, grace: 10s}
  enforcement: {action: Evict, interval: 2s}
";
/// The chart's values for the lab's nodes, and for SPIRE agents that are not root.
const VALUES: [&str; 8] = [
    "quoter.enabled=true",
    "quoter.namespace=spire-system",
    "quoter.keylimeUid=985",
    "quoter.tssGid=59",
    "quoter.spireAgentUid=1000",
    "quoter.spireAgentGid=1000",
    "quoter.device=/run/tpmrm0",
    "quoter.keylimeConfiguration=",
];

#[test]
fn nodes_that_open_no_port_are_attested_fail_fall_silent_and_come_back() -> Result<()> {
    let clock = Instant::now();
    let cluster = Cluster::start(&Options::push(World::SPIFFE))?;
    for node in NODES {
        let ports = cluster.listening(node)?;
        ensure!(ports.contains(":10250 ") && !ports.contains(":9002 "), "{} listens at {ports}", node.name);
    }
    cluster.install_spire(Helm::V4, &[])?;
    cluster.load_image(&Image::made()?.archive)?;
    cluster.keylime().create_secrets()?;
    cluster.set_operator(Helm::V4, &VALUES)?;
    let quoters = ["rollout", "status", "daemonset/keylime-attestor-quoter", "--timeout=60s"];
    cluster.at_agents(&quoters)?;
    say(clock, "a quoter is ready on each node");

    let usual = "agent: {tls: {secretName: keylime-node-client}}";
    let text = cluster.attestor("Overlay", "StatefulSet");
    ensure!(text.contains(usual), "{text}");
    let socket = "agent: {socket: /run/keylime-attestor/quoter.sock}";
    cluster.apply(&(text.replace(usual, socket) + MORE))?;
    // Nothing tells which of Keylime's agents a node has before it has attested.
    wait::until("agents that wait", TIMEOUT, || {
        let resource = resource(&cluster)?;
        let agents = condition(&resource, "AgentsRolledOut")?;
        ensure!(agents["reason"] == "WaitingForKeylime", "it is {agents}");
        Ok(())
    })?;
    patch(&cluster, r#"{"rollout": {"unattestable": "Proceed"}}"#)?;
    expect_all_attested(&cluster)?;
    for node in NODES {
        let status = attested_node(&cluster, node)?["status"].clone();
        ensure!(status["matchedBy"] == "Proof", "it is {status:#}");
        ensure!(status["agentId"] == cluster.keylime().agent_id(node)?, "it is {status:#}");
    }
    say(clock, "both nodes are attested");

    // From here on by quoters that were started anew, in folders that SPIRE's agents have already.
    cluster.at_agents(&["rollout", "restart", "daemonset/keylime-attestor-quoter"])?;
    cluster.at_agents(&quoters)?;
    let [other, node] = NODES;
    cluster.keylime().fail(node)?;
    expect_state(&cluster, node, "Failing", "KeylimeAttestationFailed")?;
    expect_evicted(&cluster, node)?;
    ensure!(is_listed(&cluster, &cluster.keylime_id(other)?)?, "the other node's agent is gone");
    say(clock, "one failed and was evicted");
    cluster.keylime().repair(node)?;
    expect_all_attested(&cluster)?;
    say(clock, "it came back");

    cluster.keylime().silence(node)?;
    expect_state(&cluster, node, "Unknown", "NotHeardOf")?;
    expect_event(&cluster, node, "NotHeardOf")?;
    ensure!(is_listed(&cluster, &cluster.keylime_id(node)?)?, "it was evicted, and did not fail");
    say(clock, "its Keylime agent fell silent, which is told and is no failure");
    cluster.keylime().speak_again(node)?;
    expect_all_attested(&cluster)?;
    say(clock, "and was heard of again");

    cluster.at_server(&["delete", "kla/spire", "--timeout=120s"])?;
    cluster.stop()
}

fn expect_evicted(cluster: &Cluster, node: Node) -> Result<()> {
    let id = cluster.keylime_id(node)?;
    wait::until("an evicted agent", TIMEOUT, || {
        ensure!(!is_listed(cluster, &id)?, "it is still listed");
        Ok(())
    })
}
