//! spire-controller-manager beside SPIRE's server: its parentIDTemplate, and what it had before.

use anyhow::{Context as _, Result, ensure};
use lab::fake_keylime::Node;
use serde_json::{Value, json};

use super::pods;
use super::site::Site;
use super::spire::{self, MANAGER, MANAGER_KEY};

const CHART: &str = include_str!("../../../operator/testdata/controller-manager/chart.yaml");

fn ignored() -> Value {
    json!({"spire": {"controllerManager": {"mode": "Ignore"}}})
}

fn container(site: &Site) -> Result<Value> {
    let live = site.get("statefulset/spire-server")?;
    let containers = live.pointer("/spec/template/spec/containers").and_then(Value::as_array).cloned();
    let mut containers = containers.unwrap_or_default().into_iter();
    containers.find(|container| container["name"] == MANAGER).context("no controller manager")
}

#[tokio::test(flavor = "multi_thread")]
async fn it_is_overlaid_and_comes_back_as_it_was() -> Result<()> {
    for (namespace, flags) in [
        ("manager", &["--field-manager=owner"][..]),
        ("manager-ssa", &["--server-side", "--field-manager=owner"]),
    ] {
        let mut site = Site::start(namespace).await?;
        let objects = spire::with_manager(spire::json(namespace), CHART, json!({}))?;
        site.apply_with(&objects, flags)?;
        let before = site.spire()?;
        site.attest(json!({}))?;
        let operator = site.operator()?;
        site.make_ready()?;
        site.wait_for("ParentIDsConfigured", "Overlaid")?;
        let derived = site.text("spire-controller-manager-keylime", MANAGER_KEY)?;
        let changed: Vec<_> = CHART.lines().zip(derived.lines()).filter(|(was, is)| was != is).collect();
        ensure!(
            changed.len() == 1 && changed[0].1.starts_with("parentIDTemplate: '{{ if index"),
            "{changed:?}"
        );
        let command = json!([
            "/spire-controller-manager",
            "--config=/run/keylime-attestor/controller-manager/controller-manager-config.yaml",
            "--expand-env",
            "--"
        ]);
        let live = container(&site)?;
        ensure!(live["command"] == command && live["args"][1] == "--expand-env", "{live:#}");

        // The owner's next apply, and an upgrade of the configuration.
        site.apply_with(&objects, flags)?;
        let hash = site.hash("statefulset/spire-server")?;
        let upgraded = CHART.replace("example-cluster", "production");
        let map = spire::config_map(namespace, MANAGER, MANAGER_KEY, &upgraded);
        site.apply_with(&map, flags)?;
        site.wait("the pods to be replaced for it", |site| {
            Ok(site
                .text("spire-controller-manager-keylime", MANAGER_KEY)?
                .contains("clusterName: production")
                && site.hash("statefulset/spire-server")? != hash)
        })?;
        site.roll_out_until("ParentIDsConfigured", "Overlaid")?;

        site.delete()?;
        site.let_go()?;
        // What its owner has changed meanwhile has stayed.
        ensure!(site.text(MANAGER, MANAGER_KEY)? == upgraded);
        site.apply_with(&spire::config_map(namespace, MANAGER, MANAGER_KEY, CHART), flags)?;
        site.is_as(&before)?;
        operator.stop()?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_that_its_owner_sets_is_not_touched() -> Result<()> {
    let mut site = Site::start("manager-command").await?;
    let command = json!({"command": ["/manager"]});
    site.apply(&spire::with_manager(spire::json(&site.namespace), CHART, command)?)?;
    site.attest(json!({}))?;
    let operator = site.operator()?;
    site.wait_for("Ready", "NotApplied")?;
    ensure!(site.hash("statefulset/spire-server")?.is_none(), "its nodes would lose their workloads");
    site.attest(ignored())?;
    site.make_rolled_out()?;
    // Now the operator has fields of the workload, but not this one.
    site.attest(json!({"spire": {"controllerManager": {"mode": "Auto"}}}))?;
    let message = site.wait_for("ConfigurationApplied", "CommandSet")?;
    ensure!(
        message.contains("container spire-controller-manager") && message.contains("/manager"),
        "{message}"
    );
    ensure!(container(&site)?["command"] == json!(["/manager"]));
    ensure!(!site.exists("configmap/spire-controller-manager-keylime")?);
    operator.stop()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_to_write_is_told_and_is_enough() -> Result<()> {
    let mut site = Site::start("manager-told").await?;
    site.apply(&spire::with_manager(spire::json(&site.namespace), CHART, json!({}))?)?;
    site.attest(ignored())?;
    let operator = site.operator()?;
    site.make_rolled_out()?;
    let message = site.wait_for("ParentIDsConfigured", "TemplateMissing")?;
    ensure!(site.wait_for("Ready", "ParentIDsNotConfigured")? == message);
    ensure!(
        message.contains(
            "controller-manager-config.yaml of the ConfigMap manager-told/spire-controller-manager"
        )
    );
    ensure!(container(&site)?.get("command").is_none(), "a command was set");

    let (_, template) = message.split_once(" to: ").context("no template in the message")?;
    let line = CHART.lines().find(|line| line.starts_with("parentIDTemplate")).context("no template")?;
    let text = CHART.replace(line, &format!("parentIDTemplate: '{template}'"));
    site.apply(&spire::config_map(&site.namespace, MANAGER, MANAGER_KEY, &text))?;
    site.wait_for("ParentIDsConfigured", "TemplateSet")?;
    site.wait_for("Ready", "Ready")?;
    operator.stop()
}

#[tokio::test(flavor = "multi_thread")]
async fn it_is_let_go_when_it_is_to_be_left_alone() -> Result<()> {
    let mut site = Site::start("manager-let-go").await?;
    site.apply(&spire::with_manager(spire::json(&site.namespace), CHART, json!({}))?)?;
    site.attest(json!({}))?;
    let operator = site.operator()?;
    site.make_ready()?;
    ensure!(container(&site)?.get("command").is_some());
    site.attest(ignored())?;
    site.wait("its command to go", |site| Ok(container(site)?.get("command").is_none()))?;
    site.roll_out_until("ParentIDsConfigured", "TemplateMissing")?;
    site.wait("the derived configuration to go", |site| {
        Ok(!site.exists("configmap/spire-controller-manager-keylime")?)
    })?;
    operator.stop()
}

#[tokio::test(flavor = "multi_thread")]
async fn workloads_keep_their_parents_until_the_agent_of_their_node_is_back() -> Result<()> {
    let mut site = Site::start("manager-back").await?;
    site.apply(&spire::with_manager(spire::json(&site.namespace), CHART, json!({}))?)?;
    site.attest(json!({}))?;
    let operator = site.operator()?;
    site.make_ready()?;
    let hash = site.hash("daemonset/spire-agent")?.context("no overlay")?;
    for name in ["back-a", "back-b"] {
        site.make_node(name, name, "")?;
        site.keylime.add(Node { id: name.to_owned(), ..Node::recorded() });
        pods::start_agent(&site, name, name, Some(&hash))?;
        pods::ready(&site, name)?;
    }
    site.wait("the workloads to have their parents", |site| {
        Ok(parent(site, "back-a")? && parent(site, "back-b")?)
    })?;

    site.delete()?;
    site.wait("the agents to go back", |site| Ok(site.hash("daemonset/spire-agent")?.is_none()))?;
    let go_back = |name: &str| -> Result<()> {
        site.kubectl(&["delete", "pod", name])?;
        pods::start_agent(&site, name, name, None)
    };
    go_back("back-a")?;
    let reconciles = operator.reconciles()?;
    site.wait("some reconciles", |_| Ok(operator.reconciles()? > reconciles + 1))?;
    ensure!(parent(&site, "back-a")?, "its agent is not ready yet");
    pods::ready(&site, "back-a")?;
    site.wait("the parent of the node that is back to go", |site| Ok(!parent(site, "back-a")?))?;
    ensure!(parent(&site, "back-b")?, "its agent still attests by Keylime");
    // What gives the workloads of the other node their parent stays as well.
    ensure!(container(&site)?.get("command").is_some());
    ensure!(site.exists("configmap/spire-controller-manager-keylime")?);
    ensure!(site.exists("attestednode/back-a")?, "that goes with all the rest");

    go_back("back-b")?;
    pods::ready(&site, "back-b")?;
    site.wait("the parent of the other node to go", |site| Ok(!parent(site, "back-b")?))?;
    ensure!(site.hash("statefulset/spire-server")?.is_some(), "the server was not last");
    site.let_go()?;
    ensure!(!site.exists("attestednode/back-a")?);
    operator.stop()
}

/// Tells if the parent of a node's workloads is its agent at Keylime.
fn parent(site: &Site, node: &str) -> Result<bool> {
    let label = "/metadata/labels/node-restriction.kubernetes.io~1keylime-agent-id";
    Ok(site.get(&format!("node/{node}"))?.pointer(label).is_some())
}
