//! The kubelet of a node that fails, with all that it may write: nothing of it makes the node good,
//! takes a mark off it, or touches another node.

use std::fs;

use anyhow::{Context as _, Result, ensure};
use lab::fake_keylime::State;
use serde_json::{Value, json};

use super::nodes::{at_address, claim, event_reasons, expect, passing};
use super::pods;
use super::site::{Operator, Site};
use super::spire;

const TAINT: &str = "spire.keylime.dev/not-attested";
const LABEL: &str = "/metadata/labels/node-restriction.kubernetes.io~1keylime-agent-id";

#[tokio::test(flavor = "multi_thread")]
async fn nothing_that_it_says_makes_a_failed_node_good_or_touches_another() -> Result<()> {
    let (mut site, mut operator) = failed(Site::start_alone("kubelet").await?).await?;
    let good = site.get("node/good")?;
    for (what, says) in [
        ("the system UUID of an agent without a node", with_uuid("free-1")),
        ("the host name of an agent without a node", with_addresses("10.0.9.1", "free-1")),
        ("the address of an agent without a node", with_addresses("10.0.9.3", "x")),
        ("the other node's system UUID", with_uuid("good-1")),
        ("the other node's host name", with_addresses("10.0.9.1", "good.example")),
        ("the other node's address", with_addresses("10.0.9.2", "x")),
    ] {
        says_of(&site, "bad", "bad", says)?;
        polled(&site, &operator)?;
        unmoved(&site, &good).context(what)?;
    }
    for agent in ["free-1", "good-1"] {
        let annotation = format!("spire.keylime.dev/agent-id={agent}");
        as_kubelet(&site, "bad", &["annotate", "node", "bad", "--overwrite", &annotation])?;
        polled(&site, &operator)?;
        unmoved(&site, &good).context(annotation)?;
    }
    ensure!(event_reasons(&site, "bad")?.contains(&"Node AgentChanged".to_owned()), "nobody was told");
    // What the last operator knew the next one reads, and goes by no kubelet's word either.
    operator.stop()?;
    operator = site.operator()?;
    site.wait("its metrics", |_| Ok(operator.get(&operator.metrics, "/metrics").is_ok()))?;
    polled(&site, &operator)?;
    unmoved(&site, &good).context("an operator that starts anew")?;

    // With an administrator's word it is another matter.
    claim(&site, "bad", "free-1")?;
    ensure!(expect(&site, "bad", "Attested")?["status"]["matchedBy"] == "Spec");
    operator.stop()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_passes_itself_off_as_another_is_told_and_the_other_stays() -> Result<()> {
    let (site, operator) = failed(Site::start_alone("impostor").await?).await?;
    let good = site.get("node/good")?;
    // Made by its own kubelet, and before the name of the other one in every order.
    site.make_node("a-new", "", "10.0.9.2")?;
    expect(&site, "a-new", "AgentMoved")?;
    says_of(&site, "a-new", "a-new", with_uuid("good-1"))?;
    polled(&site, &operator)?;
    let attested = expect(&site, "a-new", "AgentMoved")?;
    ensure!(attested["status"]["agentId"].is_null(), "{attested}");
    unmoved(&site, &good)?;
    operator.stop()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_kubelet_may_not_write_is_refused() -> Result<()> {
    let (site, operator) = failed(Site::start_alone("refused-kubelet").await?).await?;
    for (args, expected) in [
        (&["taint", "node", "bad", &format!("{TAINT}-")][..], "is not allowed to modify taints"),
        (
            &["label", "node", "bad", "node-restriction.kubernetes.io/keylime-agent-id-"],
            "is not allowed to modify labels",
        ),
        (&["delete", "node", "bad"], "cannot delete"),
    ] {
        let refused = as_kubelet(&site, "bad", args).map_err(|error| format!("{error:#}"));
        ensure!(refused.as_ref().is_err_and(|text| text.contains(expected)), "{args:?}: {refused:?}");
    }
    let refused = says_of(&site, "bad", "good", with_uuid("bad-1")).map_err(|error| format!("{error:#}"));
    ensure!(
        refused.as_ref().is_err_and(|text| text.contains("is not allowed to modify node")),
        "{refused:?}"
    );
    for verb in ["create", "update", "patch", "delete"] {
        for object in ["attestednodes", "attestednodes/status"] {
            // It answers "no" with an exit code that is not 0.
            let answer = as_kubelet(&site, "bad", &["auth", "can-i", verb, object]);
            ensure!(answer.is_err(), "a kubelet may {verb} {object}");
        }
    }
    operator.stop()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failed_node_keeps_its_marks_without_the_labels_of_the_selector() -> Result<()> {
    let (mut site, operator) = failed(Site::start_alone("unselected").await?).await?;
    let good = site.get("node/good")?;
    as_kubelet(&site, "bad", &["label", "node", "bad", "site-"])?;
    polled(&site, &operator)?;
    unmoved(&site, &good).context("without the label")?;
    // An operator that starts anew knows it by what is stored.
    operator.stop()?;
    let operator = site.operator()?;
    site.wait("its metrics", |_| Ok(operator.get(&operator.metrics, "/metrics").is_ok()))?;
    polled(&site, &operator)?;
    unmoved(&site, &good).context("an operator that starts anew")?;
    // Its former agent is not back because a kubelet says so.
    as_kubelet(&site, "bad", &["create", "--filename", &mirror_pod(&site)?])?;
    polled(&site, &operator)?;
    unmoved(&site, &good).context("a pod of its own")?;
    // An administrator changes what is selected.
    let selector = json!({"matchLabels": {"site": "unselected"}, "matchExpressions": [{"key": "gone", "operator": "DoesNotExist"}]});
    site.attest(json!({"nodes": {"taint": true, "selector": selector}}))?;
    site.wait("it to be left alone", |site| {
        let bad = site.get("node/bad")?;
        let marked = bad.to_string().contains(TAINT) || bad.pointer(LABEL).is_some();
        Ok(!marked && !site.exists("attestednode/bad")?)
    })?;
    expect(&site, "good", "Attested")?;
    operator.stop()
}

/// The failed node is as it was, and so is the other one.
fn unmoved(site: &Site, good: &Value) -> Result<()> {
    let attested = &site.get("attestednode/bad")?["status"];
    ensure!(attested["reason"] == "KeylimeAttestationFailed" && attested["agentId"] == "bad-1", "{attested}");
    let bad = site.get("node/bad")?;
    ensure!(bad["spec"]["taints"].to_string().contains(TAINT), "it lost its taint: {bad}");
    ensure!(bad.pointer(LABEL) == Some(&json!("bad-1")), "it lost its label: {bad}");
    let attested = &site.get("attestednode/good")?["status"];
    ensure!(attested["reason"] == "Attested" && attested["agentId"] == "good-1", "{attested}");
    ensure!(attested["conflict"].is_null(), "{attested}");
    let now = site.get("node/good")?;
    for part in ["/metadata/labels", "/metadata/annotations", "/spec"] {
        ensure!(now.pointer(part) == good.pointer(part), "the other node was written: {now}");
    }
    Ok(())
}

/// Two nodes that attested by Keylime, of which one has failed then, and two agents without a node.
async fn failed(mut site: Site) -> Result<(Site, Operator)> {
    site.apply(&spire::json(&site.namespace))?;
    let tolerant =
        json!({"spec": {"template": {"spec": {"tolerations": [{"key": TAINT, "operator": "Exists"}]}}}});
    for workload in ["daemonset/spire-agent", "statefulset/spire-server"] {
        site.patch(workload, &tolerant)?;
    }
    site.attest(json!({"nodes": {"taint": true}}))?;
    let operator = site.operator()?;
    site.make_ready()?;
    let hash = site.hash("daemonset/spire-agent")?.context("no overlay")?;
    for (node, address) in [("bad", "10.0.9.1"), ("good", "10.0.9.2")] {
        let agent = format!("{node}-1");
        site.keylime.add(at_address(&agent, address));
        site.make_node(node, &agent, address)?;
        pods::start_agent(&site, node, node, Some(&hash))?;
        pods::ready(&site, node)?;
        expect(&site, node, "Attested")?;
        let label =
            |site: &Site| Ok(site.get(&format!("node/{node}"))?.pointer(LABEL) == Some(&json!(agent)));
        site.wait("its label", label)?;
    }
    site.keylime.add(passing("free-1"));
    site.keylime.add(at_address("free-2", "10.0.9.3"));
    site.keylime.add(passing("bad-1").with_states([State::fail().with("ip", json!("10.0.9.1"))]));
    expect(&site, "bad", "KeylimeAttestationFailed")?;
    site.wait("its taint", |site| Ok(site.get("node/bad")?["spec"]["taints"].to_string().contains(TAINT)))?;
    Ok((site, operator))
}

/// A pod like one of SPIRE's agents before the plugin, which the kubelet of the failed node says it
/// runs.
fn mirror_pod(site: &Site) -> Result<String> {
    let mut pod = spire::pod(&site.namespace, "mirror-bad", "spire-agent", "");
    pod["metadata"]["annotations"] = json!({"kubernetes.io/config.mirror": "x"});
    pod["metadata"]["ownerReferences"] = json!([{"apiVersion": "v1", "kind": "Node", "name": "bad", "controller": true,
        "uid": site.get("node/bad")?["metadata"]["uid"]}]);
    pod["spec"]["nodeName"] = json!("bad");
    pod["status"] = json!({"conditions": [{"type": "Ready", "status": "True"}]});
    let file = site.dir.path().join("mirror.json");
    fs::write(&file, pod.to_string())?;
    Ok(file.display().to_string())
}

fn with_uuid(uuid: &str) -> Value {
    json!({"nodeInfo": {"systemUUID": uuid}})
}

fn with_addresses(ip: &str, host: &str) -> Value {
    json!({"addresses": [{"type": "InternalIP", "address": ip}, {"type": "Hostname", "address": host}]})
}

/// Has the kubelet of a node write the status of a Node, its own or another.
fn says_of(site: &Site, kubelet: &str, node: &str, status: Value) -> Result<()> {
    let node = json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": node}, "status": status});
    let user = format!("--as=system:node:{kubelet}");
    let status = ["--server-side", "--force-conflicts", "--field-manager=a-kubelet", "--subresource=status"];
    site.apply_with(&node, &[&status[..], &[&user, "--as-group=system:nodes"]].concat())
}

/// kubectl as the kubelet of a node.
fn as_kubelet(site: &Site, node: &str, args: &[&str]) -> Result<String> {
    let user = format!("--as=system:node:{node}");
    site.kubectl(&[args, &[&user, "--as-group=system:nodes"]].concat())
}

/// Waits for a poll that began after this, and its writes.
fn polled(site: &Site, operator: &Operator) -> Result<()> {
    let name = format!(
        "keylime_attestor_poll_duration_seconds_count{{namespace=\"{}\",name=\"spire\"}} ",
        site.namespace
    );
    let count = || -> Result<u64> {
        let metrics = operator.get(&operator.metrics, "/metrics")?;
        Ok(metrics.lines().find_map(|line| line.strip_prefix(&name)).unwrap_or("0").parse()?)
    };
    let before = count()?;
    site.wait("two polls", |_| Ok(count()? >= before + 2))
}
