//! The right of a node's kubelet to write the parents of its workloads: with the admission plugin
//! NodeRestriction nothing that counts, and where an apiserver is without it, the operator says so,
//! and puts right what a kubelet wrote of its own Node.

use anyhow::{Context as _, Result, ensure};
use lab::fake_keylime::{Node, State};
use serde_json::json;

use super::nodes::{event_reasons, expect};
use super::pods;
use super::site::{Operator, Site, TIMEOUT};
use super::spire;

const LABEL: &str = "/metadata/labels/node-restriction.kubernetes.io~1keylime-agent-id";

#[tokio::test(flavor = "multi_thread")]
async fn a_kubelet_cannot_write_the_parent_of_its_workloads() -> Result<()> {
    let (site, mut operator) = attested(Site::start("restricted").await?).await?;
    operator.process.wait_for_log("runs with the admission plugin NodeRestriction", TIMEOUT)?;
    ensure!(warnings(&site)?.is_empty());
    let refused =
        write_as_kubelet(&site, "restricted", "restricted", "other").map_err(|error| format!("{error:#}"));
    ensure!(
        refused.as_ref().is_err_and(|text| text.contains("is not allowed to modify labels")),
        "{refused:?}"
    );
    ensure!(label(&site, "restricted")? == "restricted");
    operator.stop()
}

#[tokio::test(flavor = "multi_thread")]
async fn without_node_restriction_what_a_kubelet_wrote_is_put_right() -> Result<()> {
    let (site, mut operator) = attested(Site::start_without_node_restriction("unrestricted").await?).await?;
    operator.process.wait_for_log("runs without the admission plugin NodeRestriction", TIMEOUT)?;
    site.wait("the warning", |site| Ok(warnings(site)? == "Warning KeylimeAttestor/spire"))?;
    write_as_kubelet(&site, "unrestricted", "unrestricted", "other")?;
    site.wait("the label to be right", |site| Ok(label(site, "unrestricted")? == "unrestricted"))?;
    site.wait("the event", |site| {
        Ok(event_reasons(site, "unrestricted")?.contains(&"Node LabelCorrected".to_owned()))
    })?;
    // Also of a node that has failed, and has no agent any more.
    site.keylime.add(Node { id: "unrestricted".to_owned(), ..Node::recorded() }.with_states([State::fail()]));
    expect(&site, "unrestricted", "KeylimeAttestationFailed")?;
    site.kubectl(&["delete", "pod", "unrestricted", "--force"])?;
    let label_key = "node-restriction.kubernetes.io/keylime-agent-id-";
    let user = ["--as=system:node:unrestricted", "--as-group=system:nodes"];
    site.kubectl(&[&["label", "node", "unrestricted", label_key], &user[..]].concat())?;
    site.wait("the label to be back", |site| Ok(label(site, "unrestricted")? == "unrestricted"))?;
    let others = write_as_kubelet(&site, "elsewhere", "unrestricted", "other");
    ensure!(others.is_err(), "a kubelet writes the Node of another: {others:?}");
    operator.stop()
}

/// A node of the site's name attests by Keylime, and so has its label.
async fn attested(mut site: Site) -> Result<(Site, Operator)> {
    site.apply(&spire::json(&site.namespace))?;
    site.attest(json!({}))?;
    let operator = site.operator()?;
    site.make_ready()?;
    let hash = site.hash("daemonset/spire-agent")?.context("no overlay")?;
    let node = site.namespace.clone();
    site.make_node(&node, &node, "")?;
    site.keylime.add(Node { id: node.clone(), ..Node::recorded() });
    pods::start_agent(&site, &node, &node, Some(&hash))?;
    pods::ready(&site, &node)?;
    site.wait("the label", |site| Ok(label(site, &node)? == node))?;
    Ok((site, operator))
}

/// On what there is a warning that the plugin is off.
fn warnings(site: &Site) -> Result<String> {
    let output = "jsonpath={range .items[*]}{.type} {.involvedObject.kind}/{.involvedObject.name}{end}";
    site.kubectl(&["get", "events", "--field-selector", "reason=NodeRestrictionOff", "--output", output])
}

fn label(site: &Site, node: &str) -> Result<String> {
    let node = site.get(&format!("node/{node}"))?;
    Ok(node.pointer(LABEL).and_then(serde_json::Value::as_str).unwrap_or_default().to_owned())
}

/// Has the kubelet of a node write the label of another, or its own.
fn write_as_kubelet(site: &Site, kubelet: &str, node: &str, id: &str) -> Result<String> {
    let user = format!("--as=system:node:{kubelet}");
    let label = format!("node-restriction.kubernetes.io/keylime-agent-id={id}");
    site.kubectl(&["label", "node", node, &label, "--overwrite", &user, "--as-group=system:nodes"])
}
