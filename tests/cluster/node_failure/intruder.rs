//! A failed node tries to become another one: with its own kubelet's rights and tokens, the client
//! certificate that all nodes share, and the other node's Keylime agent in its reach.

use std::fs;
use std::time::Instant;

use anyhow::{Context as _, Result, ensure};
use lab::cluster::{Cluster, NODES, Node};
use lab::wait;
use serde_json::{Value, json};

use super::seen::{
    TIMEOUT, agent_pod, attested_node, condition, expect_all_attested, expect_event, expect_state, is_listed,
    patch, resource, say,
};

const NAME: &str = "intruder";

/// Refused while attestations prove their Node, and the other node loses nothing; let in where they
/// do not.
pub(super) fn becomes_nobody_else(cluster: &Cluster, clock: Instant) -> Result<()> {
    let [victim, failed] = NODES;
    expect_binding(cluster, "Required")?;
    for node in NODES {
        let status = attested_node(cluster, node)?["status"].clone();
        ensure!(status["binding"]["agentId"] == cluster.keylime().agent_id(node)?, "it is {status:#}");
        ensure!(status["matchedBy"] == "Proof", "it is {status:#}");
    }
    say(clock, "both nodes are bound to their agents");

    let untouched = agent_pod(cluster, victim)?["status"]["containerStatuses"].clone();
    cluster.keylime().fail(failed)?;
    expect_state(cluster, failed, "Failing", "KeylimeAttestationFailed")?;
    start(cluster, victim, failed)?;
    for node in NODES {
        expect_event(cluster, node, "BoundElsewhere")?;
    }
    ensure!(!is_ready(cluster)?, "the intruder is attested");
    expect_state(cluster, victim, "Attested", "Attested")?;
    let now = agent_pod(cluster, victim)?["status"]["containerStatuses"].clone();
    ensure!(now == untouched, "the other node's SPIRE agent was {untouched} and is {now}");
    ensure!(is_listed(cluster, &cluster.keylime_id(victim)?)?, "the other node's agent is gone");
    end(cluster)?;
    say(clock, "a failed node with another one's Keylime agent was refused");

    cluster.keylime().repair(failed)?;
    expect_all_attested(cluster)?;
    patch(cluster, r#"{"attestation": {"binding": "Off"}}"#)?;
    expect_all_attested(cluster)?;
    start(cluster, victim, failed)?;
    wait::until("an intruder that is let in", TIMEOUT, || {
        ensure!(is_ready(cluster)?, "it is not");
        Ok(())
    })?;
    end(cluster)?;
    say(clock, "without the binding it was let in");

    patch(cluster, r#"{"attestation": {"binding": null}}"#)?;
    expect_binding(cluster, "Required")?;
    expect_all_attested(cluster)
}

fn expect_binding(cluster: &Cluster, reason: &str) -> Result<()> {
    wait::until(&format!("BindingRequired to be {reason}"), TIMEOUT, || {
        let resource = resource(cluster)?;
        let binding = condition(&resource, "BindingRequired")?;
        ensure!(binding["reason"] == reason, "it is {binding}");
        Ok(())
    })
}

/// Starts what the failed node's SPIRE agent is, with the other node's Keylime agent to ask.
fn start(cluster: &Cluster, victim: Node, failed: Node) -> Result<()> {
    let namespace = cluster.world.agents;
    let live = |object: &str| cluster.api().get(namespace, object)?.with_context(|| format!("no {object}"));
    let derived = live("configmap/spire-agent-keylime")?;
    let asked = |text: &str| {
        let pinned = json!({"keylime_agent_host": victim.address,
            "keylime_tls_server_cert_file": "/run/keylime-attestor/tls/server.crt"});
        let pinned = pinned.to_string();
        text.replace(r#""keylime_agent_host": "127.0.0.1""#, pinned.trim_matches(['{', '}']))
    };
    let entries = derived["data"].as_object().into_iter().flatten();
    let data: serde_json::Map<_, _> =
        entries.map(|(key, text)| (key.clone(), json!(asked(text.as_str().unwrap_or_default())))).collect();
    ensure!(json!(data).to_string().contains(victim.address), "the configuration is {data:#?}");
    let tls = cluster.keylime().node_tls();
    let keys = json!({"tls.crt": fs::read_to_string(tls.cert)?, "tls.key": fs::read_to_string(tls.key)?,
        "server.crt": cluster.keylime().agent_certificate(victim)?});
    let mut spec = live("daemonset/spire-agent")?["spec"]["template"]["spec"].clone();
    spec["nodeName"] = json!(failed.name);
    // The node's own SPIRE agent has its ports and folders.
    for field in ["hostNetwork", "hostPID", "dnsPolicy"] {
        spec[field] = Value::Null;
    }
    for volume in spec["volumes"].as_array_mut().into_iter().flatten() {
        let name = volume["name"].clone();
        if !volume["hostPath"].is_null() {
            *volume = json!({"name": name, "emptyDir": {}});
        } else if name == "keylime-attestor-configuration" {
            volume["configMap"]["name"] = json!(NAME);
        } else if name == "keylime-attestor-tls" {
            volume["secret"]["secretName"] = json!(NAME);
        }
    }
    let metadata = json!({"name": NAME, "namespace": namespace});
    let items = json!([
        {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data},
        {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "stringData": keys},
        {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec},
    ]);
    cluster.apply(&json!({"apiVersion": "v1", "kind": "List", "items": items}).to_string()).map(drop)
}

/// SPIRE's agent is ready when it is attested.
fn is_ready(cluster: &Cluster) -> Result<bool> {
    let pod = cluster.api().get(cluster.world.agents, &format!("pod/{NAME}"))?.context("no intruder")?;
    Ok(pod["status"]["containerStatuses"][0]["ready"] == true)
}

fn end(cluster: &Cluster) -> Result<()> {
    for object in ["pod", "configmap", "secret"] {
        cluster.at_agents(&["delete", object, NAME, "--grace-period=0", "--force"])?;
    }
    Ok(())
}
