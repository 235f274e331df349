//! The administrator's view: the resource, the `AttestedNode`s, Events, metrics, and SPIRE's own
//! list.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use lab::cluster::{Cluster, NODES, Node, OPERATOR};
use lab::wait;
use serde_json::Value;

pub(crate) const TIMEOUT: Duration = Duration::from_secs(120);

/// Changes the resource as `kubectl patch` does, and waits until it is Ready so.
pub(crate) fn patch(cluster: &Cluster, spec: &str) -> Result<()> {
    let patch = format!("{{\"spec\": {spec}}}");
    cluster.at_server(&["patch", "kla/spire", "--type=merge", "--patch", &patch])?;
    expect_ready(cluster)
}

/// Waits until the operator has seen the resource as it is now, and everything of it is in force.
pub(crate) fn expect_ready(cluster: &Cluster) -> Result<()> {
    wait::until("a Ready resource", TIMEOUT, || {
        let resource = resource(cluster)?;
        let generation = &resource["metadata"]["generation"];
        let ready = condition(&resource, "Ready")?;
        ensure!(ready["observedGeneration"] == *generation && ready["status"] == "True", "it is {ready}");
        Ok(())
    })
}

/// The resource.
pub(crate) fn resource(cluster: &Cluster) -> Result<Value> {
    object(cluster, cluster.world.server, "kla/spire")
}

/// The operator's assessment of a node.
pub(crate) fn attested_node(cluster: &Cluster, node: Node) -> Result<Value> {
    object(cluster, "", &format!("attestednode/{}", node.name))
}

fn object(cluster: &Cluster, namespace: &str, object: &str) -> Result<Value> {
    cluster.api().get(namespace, object)?.with_context(|| format!("there is no {object}"))
}

/// A condition of an object.
pub(crate) fn condition<'o>(object: &'o Value, kind: &str) -> Result<&'o Value> {
    let conditions = object["status"]["conditions"].as_array();
    let found = conditions.into_iter().flatten().find(|condition| condition["type"] == kind);
    found.with_context(|| format!("no condition {kind} in {}", object["status"]))
}

/// Waits for a node's state, with its reason.
pub(crate) fn expect_state(cluster: &Cluster, node: Node, state: &str, reason: &str) -> Result<()> {
    wait::until(&format!("{} {state} for {reason}", node.name), TIMEOUT, || {
        let status = &attested_node(cluster, node)?["status"];
        ensure!(status["state"] == state && status["reason"] == reason, "it is {status}");
        Ok(())
    })
}

/// Waits until both nodes are attested, by Keylime and in SPIRE.
pub(crate) fn expect_all_attested(cluster: &Cluster) -> Result<()> {
    for node in NODES {
        expect_state(cluster, node, "Attested", "Attested")?;
    }
    wait::until("NodesAttested", TIMEOUT, || {
        let resource = resource(cluster)?;
        let attested = condition(&resource, "NodesAttested")?;
        ensure!(attested["status"] == "True", "it is {attested}");
        Ok(())
    })
}

/// Waits for an Event about a node, on its Node or its `AttestedNode`.
pub(crate) fn expect_event(cluster: &Cluster, node: Node, reason: &str) -> Result<()> {
    wait::until(&format!("an Event {reason} about {}", node.name), TIMEOUT, || {
        let about = format!("involvedObject.name={},reason={reason}", node.name);
        let events = ["get", "events", "--all-namespaces", "--field-selector", &about, "--output", "name"];
        ensure!(!cluster.kubectl(&events)?.is_empty(), "there is none");
        Ok(())
    })
}

/// Waits until the operator's metrics have a line that begins so.
pub(crate) fn expect_metric(cluster: &Cluster, line: &str) -> Result<()> {
    wait::until(&format!("the metric {line}"), TIMEOUT, || {
        let metrics = metrics(cluster)?;
        ensure!(metrics.lines().any(|written| written.starts_with(line)), "they are {metrics}");
        Ok(())
    })
}

/// Tells if SPIRE's server has an agent with this SPIFFE ID, banned or not.
pub(crate) fn is_listed(cluster: &Cluster, id: &str) -> Result<bool> {
    Ok(cluster.agents()?.iter().any(|agent| agent.id == *id))
}

/// Waits until SPIRE's server has an agent with this SPIFFE ID.
pub(crate) fn expect_listed(cluster: &Cluster, id: &str) -> Result<()> {
    wait::until(&format!("the agent {id}"), TIMEOUT, || {
        ensure!(is_listed(cluster, id)?, "it is not listed");
        Ok(())
    })
}

/// The SPIRE agent's pod on a node.
pub(crate) fn agent_pod(cluster: &Cluster, node: Node) -> Result<Value> {
    object(cluster, cluster.world.agents, &cluster.agent_pod(node)?)
}

/// Says how far a test is, and how long it took.
#[expect(clippy::print_stderr, reason = "the measured times are for who runs the tests")]
pub(crate) fn say(clock: Instant, what: &str) {
    eprintln!("{:6.1} s: {what}", clock.elapsed().as_secs_f32());
}

fn metrics(cluster: &Cluster) -> Result<String> {
    cluster.kubectl(&[
        "get",
        "--raw",
        &format!("/api/v1/namespaces/{OPERATOR}/services/{OPERATOR}:metrics/proxy/metrics"),
    ])
}
