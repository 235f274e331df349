//! A node that Keylime fails goes back to its former attestor, which SPIRE's server still has: it
//! gets an agent by it, and no workload's identity.

use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use lab::cluster::{Cluster, Node};
use lab::wait;
use serde_json::{Value, json};

use super::resource::TIMEOUT;

const NAME: &str = "former";

/// An agent learns of an entry within five seconds, and SPIRE's server of an agent within five.
const SYNCED_THRICE: Duration = Duration::from_secs(25);

/// No SVID for a workload on a node by the agent that its former attestor admits; and one as soon
/// as that is among those that the alias of the Node takes in.
pub(crate) fn gives_no_identity(cluster: &Cluster, node: Node, workload: &str) -> Result<()> {
    start(cluster, node)?;
    let former = cluster.psat_id(node)?;
    wait::until("the agent of the former attestor", TIMEOUT, || {
        let agents = cluster.agents()?;
        ensure!(agents.iter().any(|agent| agent.id == former), "there are {agents:?}");
        Ok(())
    })?;
    let begun = Instant::now();
    while begun.elapsed() < SYNCED_THRICE {
        let got = cluster.workload_id(workload);
        ensure!(got.is_err(), "a workload on a node that failed got {got:?}");
        thread::sleep(Duration::from_secs(1));
    }
    let uid = former.rsplit('/').next().unwrap_or_default();
    cluster.apply(&format!(
        "apiVersion: spire.spiffe.io/v1alpha1
kind: ClusterStaticEntry
metadata: {{name: {NAME}}}
spec:
  spiffeID: spiffe://example.org/keylime-attestor/node/lab/{uid}
  parentID: spiffe://example.org/spire/server
  selectors: ['k8s_psat:agent_node_uid:{uid}']
"
    ))?;
    wait::until("an SVID by it", TIMEOUT, || cluster.workload_id(workload))?;
    cluster.kubectl(&["delete", "clusterstaticentry", NAME])?;
    for object in ["pod", "configmap"] {
        cluster.at_agents(&["delete", object, NAME, "--grace-period=0", "--force"])?;
    }
    cluster.spire_server(&["agent", "evict", "-spiffeID", &former])?;
    Ok(())
}

/// Starts the node's SPIRE agent as it was before us, beside the one that is there.
fn start(cluster: &Cluster, node: Node) -> Result<()> {
    let namespace = cluster.world.agents;
    let live = |object: &str| cluster.api().get(namespace, object)?.with_context(|| format!("no {object}"));
    let is_ours =
        |value: &Value| value["name"].as_str().is_some_and(|name| name.starts_with("keylime-attestor-"));
    let without_ours = |list: &mut Value| {
        if let Some(items) = list.as_array_mut() {
            items.retain(|item| !is_ours(item));
        }
    };
    let mut spec = live("daemonset/spire-agent")?["spec"]["template"]["spec"].clone();
    spec["nodeName"] = json!(node.name);
    spec["initContainers"] = Value::Null;
    without_ours(&mut spec["volumes"]);
    for volume in spec["volumes"].as_array_mut().into_iter().flatten() {
        match volume["name"].as_str() {
            Some("spire-config") => volume["configMap"]["name"] = json!(NAME),
            Some("spire-agent-persistence") => *volume = json!({"name": volume["name"], "emptyDir": {}}),
            _ => {}
        }
    }
    let container = &mut spec["containers"][0];
    container["command"] = Value::Null;
    if let Some(env) = container["env"].as_array_mut() {
        env.retain(|one| one["name"] == "MY_NODE_NAME");
    }
    container["livenessProbe"] = Value::Null;
    // The other one has this port of the node.
    container["ports"][0] = json!({"name": "healthz", "containerPort": 9983});
    without_ours(&mut container["volumeMounts"]);
    let text = live("configmap/spire-agent")?["data"]["agent.conf"].clone();
    let text = text.as_str().unwrap_or_default().replace("9982", "9983");
    let metadata = json!({"name": NAME, "namespace": namespace});
    let items = json!([
        {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": {"agent.conf": text}},
        {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec},
    ]);
    cluster.apply(&json!({"apiVersion": "v1", "kind": "List", "items": items}).to_string()).map(drop)
}
