//! Failures, and the conditions that tell of them.

use anyhow::{Result, ensure};
use serde_json::json;

use super::site::Site;
use super::spire;

#[tokio::test(flavor = "multi_thread")]
async fn a_rollout_that_fails_is_rolled_back() -> Result<()> {
    let mut site = Site::start("rollback").await?;
    site.apply(&spire::json(&site.namespace))?;
    site.attest(json!({"rollout": {"progressDeadline": "10s"}}))?;
    let operator = site.operator()?;
    site.wait_for("ServerRolledOut", "Progressing")?;
    let hash = site.hash("statefulset/spire-server")?.unwrap_or_default();
    site.apply(&spire::pod(&site.namespace, "spire-server-2", "spire-server", &hash))?;
    site.report_failure("spire-server-2", "spire-server", "the plugin cannot be started")?;
    site.pods("statefulset/spire-server", 1, 2)?;

    site.wait_for("ServerRolledOut", "RolledBack")?;
    let message = site.wait_for("Degraded", "RolledBack")?;
    ensure!(
        message.contains("spire-server-2") && message.contains("the plugin cannot be started"),
        "{message}"
    );
    ensure!(site.condition("Ready")?.0 == "RolloutFailed");
    ensure!(site.hash("statefulset/spire-server")?.is_none(), "the overlay was not rolled back");
    site.wait("the stuck pod to go", |site| Ok(!site.exists("pod/spire-server-2")?))?;
    ensure!(site.hash("daemonset/spire-agent")?.is_none(), "the agents were changed");

    // Tried again when the resource changes, be it in nothing that the pods read.
    site.attest(json!({"rollout": {"progressDeadline": "5m"}}))?;
    site.wait_for("ServerRolledOut", "Progressing")?;
    site.make_ready()?;
    operator.stop()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rollout_that_fails_stays_to_be_examined_when_asked_to() -> Result<()> {
    let mut site = Site::start("no-rollback").await?;
    site.apply(&spire::json(&site.namespace))?;
    site.attest(json!({"rollout": {"progressDeadline": "10s", "rollback": false}}))?;
    let operator = site.operator()?;
    site.wait_for("ServerRolledOut", "Progressing")?;
    site.pods("statefulset/spire-server", 1, 2)?;
    site.wait_for("Degraded", "RolloutFailed")?;
    ensure!(site.condition("ServerRolledOut")?.0 == "ProgressDeadlineExceeded");
    ensure!(site.hash("statefulset/spire-server")?.is_some());
    // It mends itself.
    site.roll_out_until("Ready", "Ready")?;
    ensure!(site.condition("Degraded")?.0 == "AsExpected");
    operator.stop()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_missing_is_waited_for() -> Result<()> {
    let mut site = Site::start("missing").await?;
    site.kubectl(&["delete", "secret", "keylime-client"])?;
    site.attest(json!({}))?;
    let operator = site.operator()?;
    let message = site.wait_for("ConfigurationApplied", "WorkloadNotFound")?;
    ensure!(message.contains("StatefulSet missing/spire-server"), "{message}");
    ensure!(site.condition("KeylimeReachable")?.0 == "NotChecked");
    site.apply(&spire::json(&site.namespace))?;
    let message = site.wait_for("ConfigurationApplied", "SecretNotFound")?;
    ensure!(message.contains("keylime-client") && message.contains("namespace missing"), "{message}");
    let mut broken = site.secret("keylime-client")?;
    broken["data"]["ca.crt"] = json!("YWJj");
    site.apply(&broken)?;
    let message = site.wait_for("ConfigurationApplied", "SecretIncomplete")?;
    ensure!(message.contains("ca.crt: expected PEM certificates") && !message.contains("/tmp"), "{message}");
    site.apply(&site.secret("keylime-client")?)?;
    site.make_ready()?;

    // Keylime goes away, then SPIRE.
    site.keylime.verifier.fault("/", lab::fake_keylime::Fault::HangUp);
    site.keylime.registrar.fault("/", lab::fake_keylime::Fault::HangUp);
    site.attest(json!({"keylime": {"requestTimeout": "2s"}}))?;
    site.roll_out_until("Ready", "KeylimeUnreachable")?;
    ensure!(site.condition("KeylimeReachable")?.0 == "Unreachable");
    site.kubectl(&["delete", "daemonset", "spire-agent"])?;
    site.wait_for("ConfigurationApplied", "WorkloadNotFound")?;
    site.delete()?;
    site.let_go()?;
    operator.stop()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_second_resource_for_a_workload_is_refused() -> Result<()> {
    let mut site = Site::start("claimed").await?;
    site.apply(&spire::json(&site.namespace))?;
    site.attest(json!({}))?;
    let operator = site.operator()?;
    site.make_ready()?;
    site.apply_with(&site.resource("zweite", json!({})), &["--server-side"])?;
    site.wait("the second to be refused", |site| {
        let second = site.get("kla/zweite")?;
        let text = second["status"]["conditions"].to_string();
        Ok(text.contains("WorkloadClaimed") && text.contains("claimed/spire"))
    })?;
    ensure!(site.condition("Ready")?.0 == "Ready");
    site.kubectl(&["delete", "kla", "zweite"])?;
    ensure!(site.hash("daemonset/spire-agent")?.is_some(), "the second's end took the first's overlay");
    operator.stop()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_namespace_that_is_deleted_does_not_hang() -> Result<()> {
    let mut site = Site::start("terminating").await?;
    site.apply(&spire::json(&site.namespace))?;
    site.attest(json!({}))?;
    let operator = site.operator()?;
    site.make_ready()?;
    // No controller of namespaces runs here; this is what it does, in an order that does not help.
    site.server.kubectl(&["delete", "namespace", &site.namespace, "--wait=false"])?;
    site.delete()?;
    site.kubectl(&["delete", "statefulset,daemonset,configmap,secret", "--all", "--wait=false"])?;
    site.wait("the resource to go", |site| Ok(!site.exists("kla/spire")?))?;
    operator.stop()
}
