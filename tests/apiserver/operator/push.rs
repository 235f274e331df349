//! Nodes whose Keylime agents open no port, beside nodes whose agents listen.

use anyhow::{Context as _, Result, ensure};
use lab::wait;
use serde_json::{Value, json};

use super::site::{Site, TIMEOUT};
use super::spire;

/// The second DaemonSet.
const PUSH: &str = "spire-agent-push";

/// SPIRE with a second DaemonSet of agents, with a configuration of its own.
fn objects(namespace: &str) -> Result<Value> {
    let mut objects = spire::json(namespace);
    let items = objects["items"].as_array_mut().context("no list")?;
    let agents: Vec<Value> =
        items.iter().filter(|item| item["metadata"]["name"] == "spire-agent").cloned().collect();
    ensure!(agents.len() == 2, "expected a ConfigMap and a DaemonSet, got {agents:#?}");
    for agent in agents {
        let mut copy: Value = serde_json::from_str(&agent.to_string().replace("spire-agent", PUSH))?;
        // The program is called as before, and so is its container.
        if let Some(container) = copy.pointer_mut("/spec/template/spec/containers/0/name") {
            *container = json!("spire-agent");
        }
        items.push(copy);
    }
    Ok(objects)
}

fn agents(keylime_agent: &Value) -> Value {
    json!({"spire": {"agents": [{"name": "spire-agent"}, {"name": PUSH, "keylimeAgent": keylime_agent}]}})
}

#[tokio::test(flavor = "multi_thread")]
async fn agents_of_one_kind_of_nodes_get_the_quoters_folder_and_no_others() -> Result<()> {
    let mut site = Site::start("push").await?;
    site.apply(&objects(&site.namespace)?)?;
    let before = site.spire()?;
    let operator = site.operator()?;

    // Each kind of agents has its own Secret to be there, too.
    site.attest(agents(&json!({"tls": {"secretName": "keylime-others"}})))?;
    let message = site.wait_for("ConfigurationApplied", "SecretNotFound")?;
    ensure!(message.contains("keylime-others"), "{message}");

    let socket = "/run/keylime-attestor/node.sock";
    site.kubectl(&["delete", "kla", "spire"])?;
    site.attest(agents(&json!({"socket": socket})))?;
    wait::until("both DaemonSets to be changed", TIMEOUT, || {
        for workload in ["statefulset/spire-server", "daemonset/spire-agent", "daemonset/spire-agent-push"] {
            site.roll_out(workload)?;
        }
        let (reason, message) = site.condition("AgentsRolledOut")?;
        ensure!(reason == "RolledOut", "it is {reason}: {message}");
        Ok(())
    })?;

    let conf = site.text("spire-agent-push-keylime", "agent.conf")?;
    let in_pod = "/run/keylime-attestor/quoter/node.sock";
    ensure!(conf.contains("keylime_agent_socket") && conf.contains(in_pod), "{conf}");
    ensure!(!conf.contains("keylime_agent_port") && !conf.contains("keylime_tls"), "{conf}");
    let pod = site.get("daemonset/spire-agent-push")?["spec"]["template"]["spec"].clone();
    let volume = json!({"name": "keylime-attestor-quoter", "hostPath": {"path": "/run/keylime-attestor", "type": "Directory"}});
    let mount = json!({"name": "keylime-attestor-quoter", "mountPath": "/run/keylime-attestor/quoter", "readOnly": true});
    let has = |list: &Value, element: &Value| list.as_array().is_some_and(|list| list.contains(element));
    ensure!(has(&pod["volumes"], &volume), "{pod:#}");
    ensure!(has(&pod["containers"][0]["volumeMounts"], &mount), "{pod:#}");

    let conf = site.text("spire-agent-keylime", "agent.conf")?;
    ensure!(conf.contains("keylime_agent_port") && !conf.contains("keylime_agent_socket"), "{conf}");
    let pod = site.get("daemonset/spire-agent")?["spec"]["template"]["spec"].to_string();
    ensure!(!pod.contains("keylime-attestor-quoter"), "{pod}");

    site.delete()?;
    site.wait("the resource to go", |site| {
        for workload in ["daemonset/spire-agent", "daemonset/spire-agent-push", "statefulset/spire-server"] {
            site.roll_out(workload)?;
        }
        Ok(!site.exists("kla/spire")?)
    })?;
    site.is_as(&before)?;
    operator.stop()
}
