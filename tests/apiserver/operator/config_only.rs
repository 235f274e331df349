//! A switch to mode ConfigOnly of a SPIRE that runs with the plugins, and what is said of its
//! nodes.

use anyhow::{Context as _, Result, ensure};
use lab::fake_keylime::Node;
use serde_json::json;

use super::nodes::annotation;
use super::pods;
use super::site::Site;
use super::spire;

#[tokio::test(flavor = "multi_thread")]
async fn the_agents_go_back_first_then_the_server_and_the_marks_go_along() -> Result<()> {
    let mut site = Site::start("config-only-live").await?;
    site.apply(&spire::json(&site.namespace))?;
    let before = site.spire()?;
    site.attest(json!({}))?;
    let operator = site.operator()?;
    site.make_ready()?;
    let node = "config-only-live";
    site.make_node(node, node, "")?;
    site.keylime.add(Node { id: node.to_owned(), ..Node::recorded() });
    let hash = site.hash("daemonset/spire-agent")?;
    pods::start_agent(&site, node, node, hash.as_deref())?;
    pods::ready(&site, node)?;
    site.wait("the node to be attested", |site| Ok(is(site, node, "Attested")? && is_parent(site, node)?))?;

    site.kubectl(&[
        "patch",
        "kla",
        "spire",
        "--type=json",
        "--patch",
        r#"[{"op": "replace", "path": "/spec/spire/mode", "value": "ConfigOnly"}]"#,
    ])?;
    site.wait("the agents' overlay to go", |site| Ok(site.hash("daemonset/spire-agent")?.is_none()))?;
    site.wait_for("AgentsRolledOut", "Withdrawing")?;
    ensure!(site.condition("Ready")?.0 == "RollingOut");
    ensure!(site.hash("statefulset/spire-server")?.is_some(), "no agent could attest any longer");
    site.kubectl(&["delete", "pod", node])?;
    pods::start_agent(&site, node, node, None)?;
    pods::ready(&site, node)?;
    site.roll_out("daemonset/spire-agent")?;
    site.wait("the server's overlay to go", |site| Ok(site.hash("statefulset/spire-server")?.is_none()))?;
    site.roll_out("statefulset/spire-server")?;

    site.wait_for("Ready", "ConfigurationsWritten")?;
    site.wait("the node to be unknown, without a parent", |site| {
        Ok(is(site, node, "IdentityUnknown")? && !is_parent(site, node)?)
    })?;
    let nodes = site.get("kla/spire")?.pointer("/status/nodes/attested").cloned();
    ensure!(nodes == Some(json!(0)), "{nodes:?}");
    ensure!(annotation(&site, node, "spiffe-id")?.is_none());
    site.delete()?;
    site.let_go()?;
    site.is_as(&before)?;
    operator.stop()
}

/// Tells if a node has this reason.
fn is(site: &Site, node: &str, reason: &str) -> Result<bool> {
    if !site.exists(&format!("attestednode/{node}"))? {
        return Ok(false);
    }
    let attested = site.get(&format!("attestednode/{node}"))?;
    Ok(attested.pointer("/status/reason").context("no reason")? == reason)
}

/// Tells if the parent of its workloads is its agent at Keylime.
fn is_parent(site: &Site, node: &str) -> Result<bool> {
    let label = "/metadata/labels/node-restriction.kubernetes.io~1keylime-agent-id";
    Ok(site.get(&format!("node/{node}"))?.pointer(label).is_some())
}
