//! Agents whose nodes Keylime would refuse: they keep what they have.

use anyhow::{Context as _, Result, ensure};
use lab::fake_keylime::{Fault, Node, State};
use lab::wait;
use serde_json::{Value, json};

use super::site::{Operator, Site, TIMEOUT};
use super::{pods, spire};

/// A site with SPIRE agents by another attestor on these nodes.
async fn site(namespace: &str, nodes: &[&str]) -> Result<Site> {
    let site = Site::start(namespace).await?;
    site.apply_with(&spire::json(namespace), &["--server-side"])?;
    for node in nodes {
        site.make_node(&name(&site, node), "", "")?;
        pods::start_agent(&site, &format!("agent-{node}"), &name(&site, node), None)?;
        pods::ready(&site, &format!("agent-{node}"))?;
    }
    Ok(site)
}

/// Names are the cluster's, and other tests have nodes, too.
fn name(site: &Site, node: &str) -> String {
    format!("{}-{node}", site.namespace)
}

fn stand(site: &Site, node: &str, state: State) {
    site.keylime.add(Node { id: name(site, node), ..Node::recorded() }.with_states([state]));
}

/// Brings the server to where the agents' turn is.
fn begin(site: &mut Site, changes: Value) -> Result<Operator> {
    site.attest(changes)?;
    let operator = site.operator()?;
    site.wait_for("ServerRolledOut", "Progressing")?;
    site.roll_out("statefulset/spire-server")?;
    Ok(operator)
}

/// Plays the DaemonSet's controller: each pod runs with the plugin.
fn move_agents(site: &Site, nodes: &[&str]) -> Result<()> {
    site.wait("the overlay", |site| Ok(site.hash("daemonset/spire-agent")?.is_some()))?;
    let hash = site.hash("daemonset/spire-agent")?.context("no overlay")?;
    for node in nodes {
        let pod = format!("agent-{node}");
        site.kubectl(&["delete", "pod", &pod, "--force", "--grace-period=0", "--ignore-not-found"])?;
        pods::start_agent(site, &pod, &name(site, node), Some(&hash))?;
        pods::ready(site, &pod)?;
    }
    site.roll_out("daemonset/spire-agent")
}

#[tokio::test(flavor = "multi_thread")]
async fn no_agent_moves_until_keylime_passes_all_nodes() -> Result<()> {
    for (namespace, mode) in [("refused-overlay", "Overlay"), ("refused-in-place", "InPlace")] {
        let mut site = site(namespace, &["a", "b", "c"]).await?;
        stand(&site, "a", State::pass());
        stand(&site, "c", State::fail());
        let configuration = site.text("spire-agent", "agent.conf")?;
        let operator = begin(&mut site, json!({"spire": {"mode": mode}}))?;
        let (b, c) = (name(&site, "b"), name(&site, "c"));
        let both =
            ["2 of the 3 nodes".to_owned(), format!("{b} (NotEnrolled), {c} (KeylimeAttestationFailed)")];
        wait::until("all nodes to be polled", TIMEOUT, || {
            let (reason, message) = site.condition("AgentsRolledOut")?;
            ensure!(
                reason == "WaitingForKeylime" && both.iter().all(|part| message.contains(part)),
                "{reason}: {message}"
            );
            Ok(())
        })?;
        ensure!(site.condition("Ready")?.0 == "WaitingForKeylime");
        stand(&site, "c", State::pass());
        wait::until("one node less", TIMEOUT, || {
            let message = site.condition("AgentsRolledOut")?.1;
            ensure!(message.contains("1 of the 3 nodes") && !message.contains(&c), "{message}");
            Ok(())
        })?;
        ensure!(site.hash("daemonset/spire-agent")?.is_none(), "the agents were changed");
        ensure!(site.text("spire-agent", "agent.conf")? == configuration, "their configuration was edited");
        ensure!(!site.exists("configmap/spire-agent-keylime")?, "theirs was derived before");

        stand(&site, "b", State::pass());
        move_agents(&site, &["a", "b", "c"])?;
        site.wait_for("Ready", "Ready")?;
        site.delete()?;
        site.let_go()?;
        operator.stop()?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn who_says_so_moves_agents_that_keylime_refuses() -> Result<()> {
    let mut site = site("proceed", &["a"]).await?;
    let operator = begin(&mut site, json!({}))?;
    site.wait_for("AgentsRolledOut", "WaitingForKeylime")?;
    site.attest(json!({"rollout": {"unattestable": "Proceed"}}))?;
    site.wait_for("AgentsRolledOut", "Progressing")?;
    ensure!(site.hash("daemonset/spire-agent")?.is_some());
    operator.stop()
}

#[tokio::test(flavor = "multi_thread")]
async fn agents_that_have_moved_wait_for_keylime_to_answer_and_for_no_node() -> Result<()> {
    let mut site = site("moved", &["a", "b"]).await?;
    for node in ["a", "b"] {
        stand(&site, node, State::pass());
    }
    let operator = begin(&mut site, json!({"keylime": {"requestTimeout": "2s"}}))?;
    move_agents(&site, &["a", "b"])?;
    site.wait_for("Ready", "Ready")?;
    let before = site.hash("daemonset/spire-agent")?;

    // One that fails holds up no change of the others.
    stand(&site, "b", State::fail());
    site.wait_for("NodesAttested", "NodesFailing")?;
    let changed = |port: u16| json!({"keylime": {"requestTimeout": "2s", "agent": {"port": port}}});
    site.attest(changed(9003))?;
    site.wait("the new overlay", |site| Ok(site.hash("daemonset/spire-agent")? != before))?;
    move_agents(&site, &["a", "b"])?;
    site.roll_out_until("AgentsRolledOut", "RolledOut")?;

    // While Keylime gives no answers, whoever restarted would be refused.
    let before = site.hash("daemonset/spire-agent")?;
    site.keylime.verifier.fault("/", Fault::HangUp);
    site.wait_for("KeylimeReachable", "Unreachable")?;
    site.attest(changed(9004))?;
    let message = site.wait_for("AgentsRolledOut", "WaitingForKeylime")?;
    ensure!(message.contains("gives no answers"), "{message}");
    site.roll_out("statefulset/spire-server")?;
    site.wait_for("Ready", "KeylimeUnreachable")?;
    ensure!(site.hash("daemonset/spire-agent")? == before, "agents were restarted");
    site.keylime.verifier.heal();
    site.wait("the new overlay", |site| Ok(site.hash("daemonset/spire-agent")? != before))?;
    operator.stop()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_that_is_not_ready_later_is_its_nodes_affair() -> Result<()> {
    let mut site = site("unready", &["a"]).await?;
    stand(&site, "a", State::pass());
    let operator = begin(&mut site, json!({}))?;
    move_agents(&site, &["a"])?;
    site.wait_for("Ready", "Ready")?;
    stand(&site, "a", State::fail());
    site.pods("daemonset/spire-agent", 3, 2)?;
    site.wait_for("AgentsRolledOut", "PodsNotReady")?;
    site.wait_for("NodesAttested", "NodesFailing")?;
    ensure!(site.condition("Ready")?.0 == "Ready", "{:?}", site.condition("Ready")?);
    operator.stop()
}
