//! Agents that move in batches. The test is the DaemonSet's controller and the kubelets: it makes
//! the pods and says how they are.

use anyhow::{Context as _, Result, bail, ensure};
use lab::fake_keylime::{Node, State};
use lab::wait;
use serde_json::{Value, json};

use super::site::{Operator, Site, TIMEOUT};
use super::{pods, spire};

/// A site whose agents run on these nodes, with the node's standing at Keylime.
async fn site(namespace: &str, nodes: &[(&str, &str)], flags: &[&str]) -> Result<Site> {
    let site = Site::start(namespace).await?;
    site.apply_with(&spire::json(namespace), flags)?;
    for (node, state) in nodes {
        site.make_node(&name(&site, node), "", "")?;
        stand(&site, node, state)?;
        start(&site, node, None)?;
        ready(&site, node)?;
    }
    Ok(site)
}

/// Asks for batches of one node, and brings the server to where the agents' turn is.
fn begin(site: &mut Site, rollout: Value) -> Result<Operator> {
    site.attest(json!({"rollout": rollout}))?;
    let operator = site.operator()?;
    site.wait_for("ServerRolledOut", "Progressing")?;
    site.roll_out("statefulset/spire-server")?;
    Ok(operator)
}

/// Names are the cluster's, and other tests have nodes, too.
fn name(site: &Site, node: &str) -> String {
    format!("{}-{node}", site.namespace)
}

/// Has Keylime say this of a node.
fn stand(site: &Site, node: &str, state: &str) -> Result<()> {
    let agent = |state| Node { id: name(site, node), ..Node::recorded() }.with_states([state]);
    match state {
        "Attested" => site.keylime.add(agent(State::pass())),
        "Failing" => site.keylime.add(agent(State::fail())),
        "NotEnrolled" => site.keylime.remove(&name(site, node)),
        other => bail!("no such state: {other}"),
    }
    Ok(())
}

/// Makes the pod of a node's agent.
fn start(site: &Site, node: &str, hash: Option<&str>) -> Result<()> {
    pods::start_agent(site, &format!("agent-{node}"), &name(site, node), hash)
}

fn ready(site: &Site, node: &str) -> Result<()> {
    pods::ready(site, &format!("agent-{node}"))
}

fn uid(site: &Site, node: &str) -> Result<String> {
    let pod = site.get(&format!("pod/agent-{node}"))?;
    Ok(pod.pointer("/metadata/uid").and_then(Value::as_str).context("no uid")?.to_owned())
}

fn gone(site: &Site, node: &str) -> Result<()> {
    site.wait(&format!("the agent of {node} to be replaced"), |site| {
        Ok(!site.exists(&format!("pod/agent-{node}"))?)
    })
}

fn strategy(site: &Site) -> Result<Value> {
    let live = site.get("daemonset/spire-agent")?;
    live.pointer("/spec/updateStrategy").cloned().context("no strategy")
}

fn is_held(site: &Site) -> Result<bool> {
    Ok(strategy(site)?["type"] == "OnDelete")
}

/// The nodes of the batch that is under way.
fn batch(site: &Site) -> Result<Value> {
    let resource = site.get("kla/spire")?;
    Ok(resource.pointer("/status/agents/0/rollout/batch/nodes").cloned().unwrap_or_default())
}

#[tokio::test(flavor = "multi_thread")]
async fn each_batch_waits_for_the_one_before_it() -> Result<()> {
    for (namespace, flags) in [
        ("batches", &["--field-manager=owner"][..]),
        ("batches-ssa", &["--server-side", "--field-manager=owner"]),
    ] {
        let nodes = [("a", "Attested"), ("b", "Attested"), ("c", "Attested")];
        let mut site = site(namespace, &nodes, flags).await?;
        let (before, rolling) = (site.spire()?, strategy(&site)?);
        let mut operator = begin(&mut site, json!({"batchSize": 1}))?;
        gone(&site, "a")?;
        ensure!(is_held(&site)? && batch(&site)? == json!([name(&site, "a")]), "{}", batch(&site)?);
        let message = site.wait_for("AgentsRolledOut", "MovingInBatches")?;
        ensure!(message.contains("1 of 1 nodes are not done"), "{message}");
        let hash = site.hash("daemonset/spire-agent")?.context("no overlay")?;
        let untouched = [uid(&site, "b")?, uid(&site, "c")?];

        // An operator that ends in the middle is followed by one that goes on.
        operator.process.kill()?;
        operator = site.operator()?;
        start(&site, "a", Some(&hash))?;
        site.pods("daemonset/spire-agent", 1, 2)?;
        let reconciles = operator.reconciles()?;
        wait::until("some reconciles", TIMEOUT, || {
            ensure!(operator.reconciles()? > reconciles + 1);
            Ok(())
        })?;
        ensure!([uid(&site, "b")?, uid(&site, "c")?] == untouched, "a further batch began");
        ready(&site, "a")?;
        gone(&site, "b")?;
        ensure!(uid(&site, "c")? == untouched[1], "two nodes were in one batch");

        // The owner's next apply changes nothing of it.
        site.apply_with(&spire::json(namespace), flags)?;
        for (node, next) in [("b", Some("c")), ("c", None)] {
            start(&site, node, Some(&hash))?;
            ready(&site, node)?;
            if let Some(next) = next {
                gone(&site, next)?;
            }
        }
        site.roll_out("daemonset/spire-agent")?;
        site.wait("the update strategy to be what it was", |site| Ok(strategy(site)? == rolling))?;
        site.roll_out_until("Ready", "Ready")?;
        ensure!(site.condition("AgentsRolledOut")?.0 == "RolledOut");
        let events = site.kubectl(&["get", "events", "--output", "jsonpath={.items[*].reason}"])?;
        ensure!(events.matches("PodReplaced").count() == 3, "{events}");

        site.delete()?;
        site.let_go()?;
        ensure!(strategy(&site)? == rolling);
        if flags.len() > 1 {
            site.is_as(&before)?;
        }
        site.apply_with(&spire::json(namespace), flags)?;
        operator.stop()?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_that_fails_is_rolled_back_and_no_other_node_is_touched() -> Result<()> {
    let nodes = [("a", "Attested"), ("b", "Attested"), ("c", "Attested")];
    let mut site = site("batches-fails", &nodes, &["--server-side"]).await?;
    let rolling = strategy(&site)?;
    let untouched = [uid(&site, "b")?, uid(&site, "c")?];
    let operator = begin(&mut site, json!({"batchSize": 1, "progressDeadline": "10s"}))?;
    gone(&site, "a")?;
    let hash = site.hash("daemonset/spire-agent")?.context("no overlay")?;
    start(&site, "a", Some(&hash))?;
    site.report_failure("agent-a", "spire-agent", "the TPM is another one")?;
    site.pods("daemonset/spire-agent", 1, 2)?;

    let message = site.wait_for("Degraded", "RolledBack")?;
    ensure!(message.contains("agent-a") && message.contains("the TPM is another one"), "{message}");
    gone(&site, "a")?;
    ensure!(site.hash("daemonset/spire-agent")?.is_none(), "the overlay was not rolled back");
    ensure!(site.condition("AgentsRolledOut")?.0 == "RolledBack");
    start(&site, "a", None)?;
    ready(&site, "a")?;
    site.roll_out("daemonset/spire-agent")?;
    site.wait("the update strategy to be what it was", |site| Ok(strategy(site)? == rolling))?;
    ensure!([uid(&site, "b")?, uid(&site, "c")?] == untouched, "another node was touched");

    // Tried again when something changes that the pods read, and deleted in the middle of it.
    site.attest(json!({"rollout": {"batchSize": 1}, "keylime": {"requestTimeout": "9s"}}))?;
    site.wait_for("ServerRolledOut", "Progressing")?;
    site.roll_out("statefulset/spire-server")?;
    gone(&site, "a")?;
    site.delete()?;
    site.let_go()?;
    ensure!(strategy(&site)? == rolling && site.hash("daemonset/spire-agent")?.is_none());
    operator.stop()
}

#[tokio::test(flavor = "multi_thread")]
async fn nodes_that_keylime_does_not_know_stay_where_they_are() -> Result<()> {
    let nodes = [("a", "Attested"), ("b", "NotEnrolled"), ("c", "Failing")];
    let mut site = site("batches-left", &nodes, &["--server-side"]).await?;
    let rolling = strategy(&site)?;
    let untouched = [uid(&site, "b")?, uid(&site, "c")?];
    let operator = begin(&mut site, json!({"batchSize": "100%"}))?;
    let move_on = |node: &str| -> Result<()> {
        gone(&site, node)?;
        start(&site, node, Some(&site.hash("daemonset/spire-agent")?.context("no overlay")?))?;
        ready(&site, node)
    };
    move_on("a")?;
    site.pods("daemonset/spire-agent", 1, 3)?;
    let message = site.wait_for("AgentsRolledOut", "WaitingForKeylime")?;
    ensure!(message.contains("batches-left-b, batches-left-c"), "{message}");
    ensure!(
        [uid(&site, "b")?, uid(&site, "c")?] == untouched,
        "a node was touched that Keylime does not pass"
    );

    stand(&site, "c", "Attested")?;
    move_on("c")?;
    site.pods("daemonset/spire-agent", 2, 3)?;
    let message = site.wait_for("AgentsRolledOut", "EnrolledRolledOut")?;
    ensure!(message.contains("1 nodes are not enrolled") && message.contains("batches-left-b"), "{message}");
    site.wait_for("Ready", "Ready")?;
    ensure!(is_held(&site)? && uid(&site, "b")? == untouched[0]);

    stand(&site, "b", "Attested")?;
    move_on("b")?;
    site.roll_out("daemonset/spire-agent")?;
    site.wait("the update strategy to be what it was", |site| Ok(strategy(site)? == rolling))?;
    site.roll_out_until("AgentsRolledOut", "RolledOut")?;
    operator.stop()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_strategy_that_its_owner_sets_is_not_touched() -> Result<()> {
    let mut site = site("batches-owned", &[("a", "Attested")], &["--server-side"]).await?;
    let set = |site: &Site, type_: &str| -> Result<()> {
        let mut objects = spire::json(&site.namespace);
        let items = objects["items"].as_array_mut().context("no items")?;
        let agents = items.iter_mut().find(|item| item["kind"] == "DaemonSet").context("no agents")?;
        agents["spec"]["updateStrategy"] = json!({"type": type_});
        site.apply_with(&objects, &["--server-side"])
    };
    set(&site, "RollingUpdate")?;
    site.attest(json!({"rollout": {"batchSize": 1}}))?;
    let operator = site.operator()?;
    let message = site.wait_for("ConfigurationApplied", "FieldConflict")?;
    ensure!(message.contains("kubectl has set it to RollingUpdate: set it to OnDelete there"), "{message}");

    set(&site, "OnDelete")?;
    site.wait_for("ServerRolledOut", "Progressing")?;
    site.roll_out("statefulset/spire-server")?;
    gone(&site, "a")?;
    start(&site, "a", Some(&site.hash("daemonset/spire-agent")?.context("no overlay")?))?;
    ready(&site, "a")?;
    site.roll_out_until("AgentsRolledOut", "RolledOut")?;
    let ours = |live: &Value| -> Result<bool> {
        let fields = live.pointer("/metadata/managedFields").and_then(Value::as_array).context("no book")?;
        Ok(fields.iter().any(|entry| {
            entry["manager"] == "keylime-attestor-operator"
                && entry.pointer("/fieldsV1/f:spec/f:updateStrategy").is_some()
        }))
    };
    if ours(&site.get("daemonset/spire-agent")?)? {
        bail!("the strategy is ours, too");
    }

    // Nobody but the operator replaces the moved pod when everything is withdrawn.
    site.delete()?;
    site.wait("the overlay to go", |site| Ok(site.hash("daemonset/spire-agent")?.is_none()))?;
    gone(&site, "a")?;
    start(&site, "a", None)?;
    ready(&site, "a")?;
    site.let_go()?;
    ensure!(is_held(&site)?);
    operator.stop()
}
