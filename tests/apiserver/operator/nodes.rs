//! The operator's objects of nodes: an AttestedNode for each, marks on the Node, the resource's
//! own status, and nothing where nothing changes.

use anyhow::{Context as _, Result, ensure};
use lab::fake_keylime::{Fault, LastSuccess, Node, State};
use lab::wait;
use serde_json::{Value, json};

use super::site::{Operator, Site, TIMEOUT};
use super::{pods, spire};

/// A site with nodes of its own, SPIRE rolled out, and an operator that polls them.
async fn site(namespace: &str, nodes: &[Made], changes: Value) -> Result<(Site, Operator)> {
    let mut site = Site::start_alone(namespace).await?;
    for (name, uuid, address) in nodes {
        site.make_node(name, uuid, address)?;
    }
    site.apply(&spire::json(namespace))?;
    let mut spec = json!({"nodes": {"grace": "0"}});
    merge(&mut spec, &changes);
    site.attest(spec)?;
    let operator = site.operator()?;
    site.make_ready()?;
    Ok((site, operator))
}

fn merge(into: &mut Value, changes: &Value) {
    match (into, changes) {
        (Value::Object(into), Value::Object(changes)) => {
            for (key, value) in changes {
                merge(into.entry(key).or_insert(Value::Null), value);
            }
        }
        (into, value) => *into = value.clone(),
    }
}

/// Name, system UUID and address.
type Made = (&'static str, &'static str, &'static str);

pub(crate) fn passing(id: &str) -> Node {
    Node { id: id.to_owned(), ..Node::recorded() }
}

pub(crate) fn at_address(id: &str, ip: &str) -> Node {
    passing(id).with_states([State::pass().with("ip", json!(ip))])
}

/// Waits until a node has a reason; its AttestedNode.
pub(crate) fn expect(site: &Site, node: &str, reason: &str) -> Result<Value> {
    wait::until(&format!("node {node} to be {reason}"), TIMEOUT, || {
        let attested = site.get(&format!("attestednode/{node}"))?;
        ensure!(attested["status"]["reason"] == reason, "it is {}", attested["status"]);
        Ok(attested)
    })
}

pub(crate) fn annotation(site: &Site, node: &str, key: &str) -> Result<Option<String>> {
    let node = site.get(&format!("node/{node}"))?;
    let value = node.pointer(&format!("/metadata/annotations/spire.keylime.dev~1{key}"));
    Ok(value.and_then(Value::as_str).map(str::to_owned))
}

/// Names a node's agent as an administrator.
pub(crate) fn claim(site: &Site, node: &str, agent: &str) -> Result<()> {
    site.patch(&format!("attestednode/{node}"), &json!({"spec": {"agentId": agent}}))
}

fn conditions(attested: &Value) -> Vec<String> {
    let all = attested.pointer("/status/conditions").and_then(Value::as_array).into_iter().flatten();
    all.map(|condition| format!("{}={}", condition["type"], condition["status"]).replace('"', "")).collect()
}

pub(crate) fn event_reasons(site: &Site, node: &str) -> Result<Vec<String>> {
    let events: Value = serde_json::from_str(&site.server.kubectl(&[
        "get",
        "events",
        "--namespace",
        "default",
        "--output",
        "json",
    ])?)?;
    let about = events["items"]
        .as_array()
        .context("no list")?
        .iter()
        .filter(|event| event["involvedObject"]["name"] == node);
    Ok(about
        .map(|event| format!("{} {}", event["involvedObject"]["kind"], event["reason"]).replace('"', ""))
        .collect())
}

/// Writes of the operator that are about no namespace, so far.
fn writes(site: &Site) -> Result<Vec<String>> {
    let writes = site.server.audit()?.into_iter().filter(|entry| {
        let text = |path| entry.pointer(path).and_then(Value::as_str).unwrap_or_default();
        ["nodes", "attestednodes", "events"].contains(&text("/objectRef/resource"))
            && ["create", "update", "patch", "delete"].contains(&text("/verb"))
            && !text("/userAgent").starts_with("kubectl")
    });
    Ok(writes.map(|entry| format!("{} {}", entry["verb"], entry["requestURI"])).collect())
}

#[tokio::test(flavor = "multi_thread")]
async fn each_state_of_a_node_is_shown_and_told() -> Result<()> {
    let nodes = [
        ("by-uuid", "4C4C4544-0042", "10.0.0.1"),
        ("by-name", "", "10.0.0.2"),
        ("by-ip", "", "10.0.0.3"),
        ("unknown", "", "10.0.0.4"),
    ];
    let (site, operator) =
        site("states", &nodes, json!({"nodes": {"taint": false, "metricsByNode": true}})).await?;
    for (name, reason) in [("by-uuid", "NotEnrolled"), ("unknown", "NotEnrolled")] {
        expect(&site, name, reason)?;
    }
    site.wait_for("NodesAttested", "NodesNotAttested")?;
    site.keylime.add(passing("4c4c4544-0042"));
    site.keylime.add(passing("by-name.example").with_states([State::pending()]));
    site.keylime.add(at_address("some-id", "10.0.0.3"));
    let attested = expect(&site, "by-uuid", "Attested")?;
    ensure!(
        attested["status"]["matchedBy"] == "SystemUUID" && attested["status"]["agentId"] == "4c4c4544-0042",
        "{attested}"
    );
    ensure!(
        conditions(&attested) == ["Attested=True", "KeylimeHealthy=True", "IdentityIssued=Unknown"],
        "{attested}"
    );
    ensure!(
        attested["metadata"]["ownerReferences"][0]["uid"] == site.get("node/by-uuid")?["metadata"]["uid"]
    );
    ensure!(attested["metadata"]["labels"]["spire.keylime.dev/attestor-name"] == "spire");
    expect(&site, "by-name", "KeylimeAttestationPending")?;
    ensure!(expect(&site, "by-ip", "Attested")?["status"]["matchedBy"] == "InternalIP");
    let label = |site: &Site| -> Result<Value> {
        let node = site.get("node/by-ip")?;
        Ok(node["metadata"]["labels"]["node-restriction.kubernetes.io/keylime-agent-id"].clone())
    };
    ensure!(label(&site)?.is_null(), "its workloads would hang on an agent that does not run yet");
    let hash = site.hash("daemonset/spire-agent")?.context("no overlay")?;
    pods::start_agent(&site, "agent-by-ip", "by-ip", Some(&hash))?;
    pods::ready(&site, "agent-by-ip")?;
    site.wait("the label of a node that attests by Keylime", |site| Ok(label(site)? == "some-id"))?;

    site.keylime.change("some-id", |node| {
        *node = passing("some-id").with_states([State::fail().with("ip", json!("10.0.0.3"))])
    });
    site.keylime.change("4c4c4544-0042", |node| {
        *node = passing("4c4c4544-0042").with_states([State::pass().last_success(LastSuccess::Ago(4000))])
    });
    let failed = expect(&site, "by-ip", "KeylimeAttestationFailed")?;
    ensure!(label(&site)? == "some-id", "a node that fails would get its workloads back by its old attestor");
    ensure!(
        failed["status"]["state"] == "Failing"
            && failed["status"]["message"].as_str().is_some_and(|text| text.contains("reactivate")),
        "{failed}"
    );
    expect(&site, "by-uuid", "Stale")?;
    let message = site.wait_for("NodesAttested", "NodesFailing")?;
    ensure!(
        message.contains("by-ip (KeylimeAttestationFailed)") && message.contains("by-uuid (Stale)"),
        "{message}"
    );
    ensure!(site.condition("Ready")?.0 == "Ready", "a node that fails is not a broken installation");
    site.wait("the counts", |site| {
        let nodes = &site.get("kla/spire")?["status"]["nodes"];
        let counts = ["total", "attested", "failing", "pending", "unknown", "notEnrolled"]
            .map(|count| nodes[count].as_i64());
        Ok(counts == [4, 0, 2, 1, 0, 1].map(Some) && nodes["notAttested"][0]["state"] == "Failing")
    })?;
    let metrics = operator.get(&operator.metrics, "/metrics")?;
    for line in [
        r#"keylime_attestor_node_state{namespace="states",name="spire",state="Failing",reason="Stale"} 1"#,
        r#"keylime_attestor_node_state_by_node{namespace="states",name="spire",node="by-ip",state="Failing"} 1"#,
        r#"keylime_attestor_node_transitions_total{namespace="states",name="spire",reason="Stale"} 1"#,
    ] {
        ensure!(metrics.contains(line), "{line} is not in\n{metrics}");
    }
    let by_node = |node: &str| -> Result<bool> {
        let metrics = operator.get(&operator.metrics, "/metrics")?;
        Ok(metrics.contains(&format!(r#",node="{node}""#)))
    };
    ensure!(by_node("unknown")? && by_node("by-ip")?);
    site.kubectl(&["delete", "node", "unknown"])?;
    site.wait("the series of a node that is gone to go", |_| Ok(!by_node("unknown")?))?;
    ensure!(by_node("by-ip")?, "the other nodes' went, too");
    site.attest(json!({"nodes": {"grace": "0", "metricsByNode": false}}))?;
    site.wait("the series of all nodes to go", |_| Ok(!by_node("by-ip")?))?;

    site.keylime.add(at_address("some-id", "10.0.0.3"));
    expect(&site, "by-ip", "Attested")?;
    site.wait("the events", |site| {
        let told = event_reasons(site, "by-ip")?;
        let wanted = ["KeylimeAttestationFailed", "KeylimeAttestationRecovered", "NotEnrolled"];
        Ok(["Node", "AttestedNode"]
            .iter()
            .all(|kind| wanted.iter().all(|reason| told.contains(&format!("{kind} {reason}")))))
    })?;
    operator.stop()
}

#[tokio::test(flavor = "multi_thread")]
async fn claims_conflicts_and_moves_are_told_and_settled_by_people() -> Result<()> {
    let nodes = [("a", "", "10.0.1.1"), ("b", "", "10.0.1.2")];
    let (mut site, operator) = site("claims", &nodes, json!({})).await?;
    site.keylime.add(at_address("x", "10.0.1.1"));
    expect(&site, "a", "Attested")?;
    // Another agent says to be at the same address.
    site.keylime.add(at_address("y", "10.0.1.1"));
    site.wait("the event", |site| Ok(event_reasons(site, "a")?.contains(&"Node AmbiguousAgent".to_owned())))?;
    let status = &expect(&site, "a", "Attested")?["status"];
    ensure!(status["conflict"].as_str().is_some_and(|text| text.contains("fits y as well")), "{status}");
    // Neither the old node nor an operator that starts anew takes it for the other one.
    operator.stop()?;
    let operator = site.operator()?;
    let by = |node: &str, by: &str, agent: &str| {
        site.wait(&format!("{node} to have {agent} by {by}"), |site| {
            let status = &site.get(&format!("attestednode/{node}"))?["status"];
            Ok(status["matchedBy"] == by && status["agentId"] == agent)
        })
    };
    claim(&site, "a", "y")?;
    by("a", "Spec", "y")?;
    ensure!(expect(&site, "a", "Attested")?["status"]["conflict"].is_null(), "an administrator has said it");
    claim(&site, "a", "x")?;
    by("a", "Spec", "x")?;
    site.keylime.remove("y");
    // It answers at another node. The one that has it keeps it.
    site.keylime.add(at_address("x", "10.0.1.2"));
    expect(&site, "b", "AgentMoved")?;
    expect(&site, "a", "Attested")?;
    site.wait_for("NodesAttested", "NodesNotAttested")?;
    // Until the old node is gone. What was said of it does not count for the next one of its name,
    // though nothing collects garbage here.
    site.kubectl(&["delete", "node", "a"])?;
    site.make_node("a", "", "10.0.1.9")?;
    expect(&site, "b", "Attested")?;
    ensure!(expect(&site, "a", "NotEnrolled")?["spec"]["agentId"].is_null());
    site.kubectl(&["delete", "node", "a"])?;
    site.wait("what is known of the node to go", |site| Ok(!site.exists("attestednode/a")?))?;
    site.make_node("c", "X", "10.0.1.3")?;
    expect(&site, "c", "AgentMoved")?;
    expect(&site, "b", "Attested")?;
    // An administrator may name the agent before the node is there.
    site.apply(&json!({"apiVersion": "spire.keylime.dev/v1alpha1", "kind": "AttestedNode",
        "metadata": {"name": "d"}, "spec": {"agentId": "z"}}))?;
    site.keylime.add(passing("z"));
    site.make_node("d", "", "10.0.1.8")?;
    ensure!(expect(&site, "d", "Attested")?["status"]["matchedBy"] == "Spec");
    let refused = claim(&site, "d", "../z").map_err(|error| format!("{error:#}"));
    ensure!(refused.as_ref().is_err_and(|text| text.contains("spec.agentId")), "{refused:?}");
    operator.stop()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_keylime_that_is_gone_makes_nodes_unknown_and_never_failing() -> Result<()> {
    let (site, operator) =
        site("gone", &[("n", "n-1", "10.0.2.1")], json!({"keylime": {"requestTimeout": "2s"}})).await?;
    site.keylime.add(passing("n-1"));
    expect(&site, "n", "Attested")?;
    site.keylime.verifier.fault("/agents/", Fault::HangUp);
    let unknown = expect(&site, "n", "KeylimeUnreachable")?;
    ensure!(unknown["status"]["state"] == "Unknown" && unknown["status"]["agentId"] == "n-1", "{unknown}");
    ensure!(
        unknown["status"]["message"].as_str().is_some_and(|text| text.contains("it was Attested")),
        "{unknown}"
    );
    site.wait_for("NodesAttested", "NodesUnknown")?;
    site.wait_for("KeylimeReachable", "Unreachable")?;
    site.keylime.verifier.heal();
    expect(&site, "n", "Attested")?;
    site.wait_for("KeylimeReachable", "Reachable")?;
    let told = event_reasons(&site, "n")?;
    ensure!(!told.iter().any(|reason| reason.contains("Failed") || reason.contains("Stale")), "{told:?}");
    operator.stop()
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_written_about_nodes_while_nothing_changes() -> Result<()> {
    let nodes = [("n", "n-1", "10.0.3.1"), ("m", "", "10.0.3.2")];
    let (site, operator) = site("still", &nodes, json!({})).await?;
    site.keylime.add(passing("n-1"));
    expect(&site, "n", "Attested")?;
    site.wait_for("NodesAttested", "NodesNotAttested")?;
    let polls = || -> Result<u64> {
        let metrics = operator.get(&operator.metrics, "/metrics")?;
        let line = metrics.lines().find_map(|line| {
            line.strip_prefix(
                "keylime_attestor_poll_duration_seconds_count{namespace=\"still\",name=\"spire\"} ",
            )
        });
        Ok(line.context("no polls")?.parse()?)
    };
    let wait_for_polls = |number: u64| -> Result<()> {
        let before = polls()?;
        wait::until("polls", TIMEOUT, || {
            ensure!(polls()? >= before + number);
            Ok(())
        })
    };
    // What is under way comes to its end first.
    wait_for_polls(2)?;
    let (before, own) = (writes(&site)?, site.writes()?);
    wait_for_polls(3)?;
    let after = writes(&site)?;
    ensure!(after == before, "{:?}", after.get(before.len()..));
    ensure!(site.writes()? == own, "the resource was written");
    // An operator that starts anew finds all of it so.
    operator.stop()?;
    let mut site = site;
    let operator = site.operator()?;
    wait::until("a poll", TIMEOUT, || {
        ensure!(
            operator
                .get(&operator.metrics, "/metrics")?
                .contains("keylime_attestor_poll_duration_seconds_count")
        );
        Ok(())
    })?;
    let anew = writes(&site)?;
    ensure!(anew == before, "{:?}", anew.get(before.len()..));
    operator.stop()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_end_of_the_resource_takes_everything_off_the_nodes() -> Result<()> {
    let nodes = [("good", "g-1", "10.0.4.1"), ("bad", "b-1", "10.0.4.2"), ("other", "o-1", "10.0.4.3")];
    let tolerant = json!({"spec": {"template": {"spec": {"tolerations": [{"key": "spire.keylime.dev/not-attested", "operator": "Exists"}]}}}});
    let (site, operator) = site("taken", &nodes, json!({})).await?;
    let taints = |name: &str| -> Result<String> {
        Ok(site.get(&format!("node/{name}"))?["spec"]["taints"].to_string())
    };
    site.kubectl(&["taint", "node", "bad", "mine=yes:NoSchedule"])?;
    site.keylime.add(passing("g-1"));
    site.keylime.add(passing("b-1").with_states([State::fail()]));
    // No node is tainted that SPIRE's agents could not come back to.
    site.attest(json!({"nodes": {"taint": true}}))?;
    let message = site.wait_for("ConfigurationApplied", "SpecInvalid")?;
    ensure!(
        message.contains("DaemonSet taken/spire-agent") && message.contains("spire.keylime.dev/not-attested"),
        "{message}"
    );
    for workload in ["daemonset/spire-agent", "statefulset/spire-server"] {
        site.patch(workload, &tolerant)?;
    }
    site.roll_out_until("Ready", "Ready")?;
    let state = |name: &str, expected: &str| {
        site.wait(&format!("{name} to be {expected}"), |site| {
            let node = site.get(&format!("attestednode/{name}"))?;
            Ok(node["status"]["state"] == expected)
        })
    };
    // Nor one that has nothing to lose yet.
    state("bad", "Failing")?;
    ensure!(!taints("bad")?.contains("not-attested"), "it was never attested: {}", taints("bad")?);
    let once_attested = || -> Result<()> {
        site.keylime.add(passing("b-1"));
        state("bad", "Attested")?;
        site.keylime.add(passing("b-1").with_states([State::fail()]));
        state("bad", "Failing")
    };
    once_attested()?;
    ensure!(!taints("bad")?.contains("not-attested"), "no rollout has reached it: {}", taints("bad")?);
    pods::start_agent(&site, "agent-bad", "bad", site.hash("daemonset/spire-agent")?.as_deref())?;
    pods::ready(&site, "agent-bad")?;
    once_attested()?;
    site.wait("the taint", |_| Ok(taints("bad")?.contains("spire.keylime.dev/not-attested")))?;
    ensure!(taints("bad")?.contains("mine") && !taints("good")?.contains("not-attested"));
    site.keylime.add(passing("b-1"));
    site.wait("the taint to go", |_| Ok(!taints("bad")?.contains("not-attested")))?;
    ensure!(taints("bad")?.contains("mine"), "{}", taints("bad")?);
    site.keylime.add(passing("b-1").with_states([State::fail()]));
    site.wait("the taint", |_| Ok(taints("bad")?.contains("not-attested")))?;

    // A node that leaves the selection.
    site.kubectl(&["label", "node", "other", "pool=b", "--overwrite"])?;
    site.attest(json!({"nodes": {"taint": true, "selector": {"matchLabels": {"pool": "a"}}}}))?;
    site.wait("the node to be left alone", |site| {
        Ok(!site.exists("attestednode/other")? && !taints("other")?.contains("not-attested"))
    })?;

    site.delete()?;
    site.let_go()?;
    ensure!(site.kubectl(&["get", "attestednodes", "--output", "name"])?.is_empty());
    for name in ["good", "bad", "other"] {
        let node = site.get(&format!("node/{name}"))?;
        ensure!(
            !node.to_string().contains("spire.keylime.dev/")
                && !node.to_string().contains("keylime-agent-id"),
            "{node}"
        );
    }
    ensure!(taints("bad")?.contains("mine"));
    operator.stop()
}
