//! Rollouts that fail of what is not in the resource: seen at once where it can be, and tried again
//! by themselves.

use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use lab::fake_keylime::{Fault, Node};
use lab::wait;
use serde_json::{Value, json};

use super::site::{Site, TIMEOUT};
use super::{pods, spire};

const FORBIDDEN: &str = "create Pod spire-server-0 in StatefulSet spire-server failed error: pods \"spire-server-0\" is forbidden: exceeded quota: small";

/// A controller's status when it is refused a pod.
fn refuse_pod(site: &Site, workload: &str, kind: &str, message: &str) -> Result<()> {
    let now = String::from_utf8(Command::new("date").args(["-u", "+%Y-%m-%dT%H:%M:%SZ"]).output()?.stdout)?;
    let now = now.trim();
    let live = site.get(workload)?;
    let event = json!({"apiVersion": "v1", "kind": "Event", "metadata": {"name": "refused", "namespace": site.namespace},
        "involvedObject": {"apiVersion": "apps/v1", "kind": kind, "namespace": site.namespace,
            "name": live["metadata"]["name"], "uid": live["metadata"]["uid"]},
        "reason": "FailedCreate", "type": "Warning", "message": message, "count": 3,
        "firstTimestamp": now, "lastTimestamp": now, "source": {"component": "controller"}});
    site.apply_with(&event, &["--server-side"])
}

/// A controller's status with one of three pods missing.
fn lack_a_pod(site: &Site, workload: &str) -> Result<()> {
    let lacking = if workload.starts_with("daemonset") {
        json!({"currentNumberScheduled": 2})
    } else {
        json!({"replicas": 2})
    };
    site.pods(workload, 1, 2)?;
    site.patch_status(workload, &lacking)
}

fn retry(site: &Site, path: &str) -> Result<Value> {
    Ok(site.get("kla/spire")?.pointer(path).cloned().unwrap_or_default())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pod_that_cannot_be_created_is_seen_rolled_back_and_tried_again() -> Result<()> {
    let mut site = Site::start("quota").await?;
    site.apply(&spire::json(&site.namespace))?;
    // An earlier refusal says nothing about this rollout.
    refuse_pod(&site, "statefulset/spire-server", "StatefulSet", "an old refusal")?;
    std::thread::sleep(Duration::from_secs(1));
    site.attest(json!({"rollout": {"progressDeadline": "1h"}}))?;
    let operator = site.operator()?;
    site.wait_for("ServerRolledOut", "Progressing")?;
    lack_a_pod(&site, "statefulset/spire-server")?;
    let reconciles = operator.reconciles()?;
    wait::until("some reconciles", TIMEOUT, || {
        ensure!(operator.reconciles()? > reconciles + 3);
        Ok(())
    })?;
    ensure!(site.condition("ServerRolledOut")?.0 == "Progressing", "an old refusal was taken for a new one");

    let start = Instant::now();
    refuse_pod(&site, "statefulset/spire-server", "StatefulSet", FORBIDDEN)?;
    let message = site.wait_for("Degraded", "RolledBack")?;
    ensure!(start.elapsed() < Duration::from_secs(15), "it took {:?}", start.elapsed());
    ensure!(message.contains("exceeded quota: small"), "{message}");
    ensure!(site.hash("statefulset/spire-server")?.is_none(), "the overlay was not rolled back");
    let noted = retry(&site, "/status/server/rollout/retry")?;
    ensure!(noted["cause"] == "PodNotCreated" && noted["failures"] == 1, "{noted}");

    // Nobody changes anything, and it is tried again after a pause.
    site.roll_out("statefulset/spire-server")?;
    site.wait_for("ServerRolledOut", "Progressing")?;
    ensure!(start.elapsed() > Duration::from_secs(25), "it took {:?}", start.elapsed());
    site.make_ready()?;
    ensure!(retry(&site, "/status/server/rollout/retry")?.is_null(), "its failures are not forgotten");
    operator.stop()
}

#[tokio::test(flavor = "multi_thread")]
async fn agents_that_failed_of_a_keylime_that_was_away_are_tried_again() -> Result<()> {
    let mut site = Site::start("away").await?;
    site.apply(&spire::json(&site.namespace))?;
    let node = "away-a";
    site.make_node(node, "", "")?;
    site.keylime.add(Node { id: node.to_owned(), ..Node::recorded() });
    pods::start_agent(&site, "agent-a", node, None)?;
    site.attest(json!({"rollout": {"progressDeadline": "10s"}, "keylime": {"requestTimeout": "2s"}}))?;
    let operator = site.operator()?;
    site.wait_for("ServerRolledOut", "Progressing")?;
    site.roll_out("statefulset/spire-server")?;
    site.wait_for("AgentsRolledOut", "Progressing")?;
    site.keylime.verifier.fault("/", Fault::HangUp);
    site.wait_for("KeylimeReachable", "Unreachable")?;
    site.pods("daemonset/spire-agent", 1, 2)?;
    site.wait_for("AgentsRolledOut", "RolledBack")?;
    let noted = retry(&site, "/status/agents/0/rollout/retry")?;
    ensure!(noted["cause"] == "Keylime" && noted["failures"] == 1, "{noted}");
    let back = Instant::now();
    site.roll_out("daemonset/spire-agent")?;
    wait::until("more than the pause", TIMEOUT, || {
        ensure!(back.elapsed() > Duration::from_secs(35));
        Ok(())
    })?;
    ensure!(site.condition("AgentsRolledOut")?.0 == "RolledBack", "it was tried while Keylime was away");
    site.keylime.verifier.heal();
    site.wait_for("AgentsRolledOut", "Progressing")?;
    site.roll_out("daemonset/spire-agent")?;
    site.wait_for("Ready", "Ready")?;
    operator.stop()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rollout_that_failed_is_tried_again_with_another_secret() -> Result<()> {
    let mut site = Site::start("other-secret").await?;
    site.apply(&spire::json(&site.namespace))?;
    site.attest(json!({"rollout": {"progressDeadline": "10s"}}))?;
    let operator = site.operator()?;
    site.wait_for("ServerRolledOut", "Progressing")?;
    site.pods("statefulset/spire-server", 1, 2)?;
    site.wait_for("ServerRolledOut", "RolledBack")?;
    let noted = retry(&site, "/status/server/rollout/retry")?;
    ensure!(noted["cause"] == "Pods", "{noted}");
    site.roll_out("statefulset/spire-server")?;
    site.kubectl(&["annotate", "secret", "keylime-client", "renewed=yes"])?;
    site.wait_for("ServerRolledOut", "Progressing")?;
    site.make_ready()?;
    operator.stop()
}
