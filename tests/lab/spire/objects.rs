//! SPIRE's objects on Kubernetes as their owners write them, for an apiserver without kubelets.

#![expect(clippy::indexing_slicing, reason = "of JSON made here, whose missing members are null")]

use anyhow::{Context as _, Result};
use serde_json::{Value, json};

const SERVER_JSON: &str = include_str!("../../../plugins/hcl/testdata/chart-server.conf");
const AGENT_JSON: &str = include_str!("../../../plugins/hcl/testdata/chart-agent.conf");
const SERVER_HCL: &str = include_str!("../../../plugins/hcl/testdata/manual-server.conf");
const AGENT_HCL: &str = include_str!("../../../plugins/hcl/testdata/manual-agent.conf");

/// Name of the controller manager's container and ConfigMap.
pub const MANAGER: &str = "spire-controller-manager";
/// Key of its configuration.
pub const MANAGER_KEY: &str = "controller-manager-config.yaml";

/// As SPIFFE's charts render them.
pub fn json(namespace: &str) -> Value {
    objects(namespace, SERVER_JSON, AGENT_JSON)
}

/// With configurations as people write them.
pub fn hcl(namespace: &str) -> Value {
    objects(namespace, SERVER_HCL, AGENT_HCL)
}

/// As SPIFFE's charts render them, but with both configurations in the ConfigMap `spire`.
pub fn in_one_config_map(namespace: &str) -> Value {
    let mut map = config_map(namespace, "spire", "server.conf", SERVER_JSON);
    map["data"]["agent.conf"] = json!(AGENT_JSON);
    let mut items = vec![map];
    for mut workload in workloads(namespace) {
        workload["spec"]["template"]["spec"]["volumes"][0]["configMap"]["name"] = json!("spire");
        items.push(workload);
    }
    list(&items)
}

fn objects(namespace: &str, server: &str, agent: &str) -> Value {
    let mut items = vec![
        config_map(namespace, "spire-server", "server.conf", server),
        config_map(namespace, "spire-agent", "agent.conf", agent),
    ];
    items.extend(workloads(namespace));
    list(&items)
}

fn list(items: &[Value]) -> Value {
    json!({"apiVersion": "v1", "kind": "List", "items": items})
}

fn workloads(namespace: &str) -> [Value; 2] {
    let server_args = json!(["-expandEnv", "-config", "/run/spire/config/server.conf"]);
    let agent_args = json!(["-config", "/opt/spire/conf/agent/agent.conf"]);
    [
        workload(namespace, "StatefulSet", "spire-server", &server_args, "/run/spire/config"),
        workload(namespace, "DaemonSet", "spire-agent", &agent_args, "/opt/spire/conf/agent"),
    ]
}

/// With spire-controller-manager in the server's pod, as SPIFFE's charts have it, and its container
/// changed as asked for.
///
/// # Errors
/// When the objects have no server, or the changes are no object.
pub fn with_manager(mut objects: Value, text: &str, changes: Value) -> Result<Value> {
    let mut container = json!({"name": MANAGER, "image": "ghcr.io/spiffe/spire-controller-manager:0.6.3",
        "args": [format!("--config={MANAGER_KEY}"), "--expand-env"],
        "volumeMounts": [{"name": "manager", "mountPath": format!("/{MANAGER_KEY}"), "subPath": MANAGER_KEY}]});
    let changes = changes.as_object().context("no object")?.clone();
    container.as_object_mut().context("no object")?.extend(changes);
    let items = objects["items"].as_array_mut().context("no items")?;
    let server = items.iter_mut().find(|item| item["kind"] == "StatefulSet").context("no server")?;
    let namespace = server["metadata"]["namespace"].as_str().unwrap_or_default().to_owned();
    let pod = server.pointer_mut("/spec/template/spec").context("no pod")?;
    pod["containers"].as_array_mut().context("no containers")?.push(container);
    let volume = json!({"name": "manager", "configMap": {"name": MANAGER}});
    pod["volumes"].as_array_mut().context("no volumes")?.push(volume);
    items.push(config_map(&namespace, MANAGER, MANAGER_KEY, text));
    Ok(objects)
}

/// A ConfigMap with one entry.
pub fn config_map(namespace: &str, name: &str, key: &str, text: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "namespace": namespace}, "data": {key: text}})
}

/// A workload of one container, which reads its configuration from the ConfigMap of its name.
pub fn workload(namespace: &str, kind: &str, name: &str, args: &Value, config: &str) -> Value {
    let mut spec = json!({
        "selector": {"matchLabels": {"app": name}},
        "template": {
            "metadata": {"labels": {"app": name}, "annotations": {"checksum/config": "x"}},
            "spec": {
                "containers": [{
                    "name": name,
                    "image": "ghcr.io/spiffe/spire:1.13.3",
                    "args": args,
                    "volumeMounts": [{"name": "spire-config", "mountPath": config, "readOnly": true}],
                }],
                "volumes": [{"name": "spire-config", "configMap": {"name": name}}],
            },
        },
    });
    if kind == "StatefulSet" {
        spec["serviceName"] = json!(name);
        spec["replicas"] = json!(3);
    }
    json!({"apiVersion": "apps/v1", "kind": kind, "metadata": {"name": name, "namespace": namespace}, "spec": spec})
}

/// A pod of a workload with our overlay, as its controller would have made it.
pub fn pod(namespace: &str, name: &str, app: &str, hash: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": name, "namespace": namespace, "labels": {"app": app},
            "annotations": {"spire.keylime.dev/content-hash": hash}},
        "spec": {"terminationGracePeriodSeconds": 0, "automountServiceAccountToken": false,
            "containers": [{"name": app, "image": "ghcr.io/spiffe/spire:1.13.3"}]}})
}
