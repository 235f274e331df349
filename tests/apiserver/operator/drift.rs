//! Changes by others, and the operator's answer to them.

use anyhow::{Context as _, Result, ensure};
use lab::wait;
use serde_json::{Value, json};

use super::check;
use super::site::{Site, TIMEOUT};
use super::spire;

async fn ready(namespace: &str) -> Result<(Site, super::site::Operator)> {
    let mut site = Site::start(namespace).await?;
    site.apply(&spire::json(namespace))?;
    site.attest(json!({}))?;
    let operator = site.operator()?;
    site.make_ready()?;
    Ok((site, operator))
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_written_when_nothing_changes() -> Result<()> {
    let (site, operator) = ready("idle").await?;
    let before = site.writes()?;
    for round in 0..3 {
        let reconciles = operator.reconciles()?;
        site.kubectl(&["annotate", "kla", "spire", "--overwrite", &format!("round={round}")])?;
        wait::until("the operator to reconcile", TIMEOUT, || {
            ensure!(operator.reconciles()? > reconciles);
            Ok(())
        })?;
    }
    let after = site.writes()?;
    ensure!(after == before, "{:?}", after.get(before.len()..));
    operator.stop()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_ours_is_put_right() -> Result<()> {
    let (site, operator) = ready("drift").await?;
    let derived = site.text("spire-agent-keylime", "agent.conf")?;

    site.patch("configmap/spire-agent-keylime", &json!({"data": {"agent.conf": "broken"}}))?;
    site.wait("the edited configuration to be right", |site| {
        Ok(site.text("spire-agent-keylime", "agent.conf")? == derived)
    })?;
    site.kubectl(&["delete", "configmap", "spire-agent-keylime"])?;
    site.wait("the deleted configuration to be back", |site| {
        Ok(site.text("spire-agent-keylime", "agent.conf").is_ok_and(|text| text == derived))
    })?;

    let hash = site.hash("daemonset/spire-agent")?;
    let away = json!({"spec": {"template": {"metadata": {"annotations": {"spire.keylime.dev/content-hash": null}}}}});
    site.patch("daemonset/spire-agent", &away)?;
    site.wait("the overlay to be back", |site| Ok(site.hash("daemonset/spire-agent")? == hash))?;
    let command = json!([{"op": "replace", "path": "/spec/template/spec/containers/0/command", "value": ["/bin/other"]}]);
    site.kubectl(&["patch", "daemonset", "spire-agent", "--type", "json", "--patch", &command.to_string()])?;
    site.wait("the command to be ours", |site| {
        Ok(site.get("daemonset/spire-agent")?.pointer("/spec/template/spec/containers/0/command/1")
            == Some(&json!("run")))
    })?;
    let events = site.kubectl(&["get", "events", "--output", "jsonpath={.items[*].reason}"])?;
    ensure!(events.contains("DriftCorrected"), "{events}");
    operator.stop()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_owners_changes_arrive_and_his_next_apply_meets_no_conflict() -> Result<()> {
    for (namespace, flags) in [
        ("owner-client-side", &["--field-manager=owner"][..]),
        ("owner-server-side", &["--server-side", "--field-manager=owner"]),
    ] {
        let mut site = Site::start(namespace).await?;
        let mut objects = spire::json(namespace);
        site.apply_with(&objects, flags)?;
        site.attest(json!({}))?;
        let operator = site.operator()?;
        site.make_ready()?;
        let hash = site.hash("statefulset/spire-server")?.context("no overlay")?;

        site.apply_with(&objects, flags)?;
        ensure!(site.hash("statefulset/spire-server")?.as_ref() == Some(&hash), "the overlay was lost");

        // An upgrade: new values in the configuration, in the arguments and in the image.
        let items = objects["items"].as_array_mut().context("no items")?;
        for item in items {
            if let Some(text) = item.pointer_mut("/data/server.conf") {
                *text = json!(
                    text.as_str()
                        .context("no text")?
                        .replace("\"log_level\": \"info\"", "\"log_level\": \"warn\"")
                );
            }
            if item["kind"] == "StatefulSet"
                && let Some(args) =
                    item.pointer_mut("/spec/template/spec/containers/0/args").and_then(Value::as_array_mut)
            {
                args.push(json!("-logLevel=warn"));
            }
        }
        site.apply_with(&objects, flags)?;
        site.wait("the new values in the derived configuration", |site| {
            Ok(site.text("spire-server-keylime", "server.conf")?.contains("\"log_level\": \"warn\""))
        })?;
        site.wait("the new argument in the command", |site| {
            let live = site.get("statefulset/spire-server")?;
            let command =
                live.pointer("/spec/template/spec/containers/0/command").cloned().unwrap_or_default();
            Ok(command.to_string().contains("-logLevel=warn"))
        })?;
        ensure!(site.hash("statefulset/spire-server")?.as_ref() != Some(&hash), "the pods are not replaced");
        site.roll_out_until("Ready", "Ready")?;
        operator.stop()?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn fighting_is_reported_and_answered_less_often() -> Result<()> {
    let (site, operator) = ready("fighting").await?;
    let derived = site.text("spire-agent-keylime", "agent.conf")?;
    for _ in 0..5 {
        site.patch("configmap/spire-agent-keylime", &json!({"data": {"agent.conf": "theirs"}}))?;
        site.wait("the configuration to be right", |site| {
            Ok(site.text("spire-agent-keylime", "agent.conf")? == derived)
        })?;
    }
    site.patch("configmap/spire-agent-keylime", &json!({"data": {"agent.conf": "theirs"}}))?;
    let message = site.wait_for("ConfigurationApplied", "Fighting")?;
    ensure!(message.contains("somebody") && message.contains("spire-agent-keylime"), "{message}");
    ensure!(site.condition("Degraded")?.0 == "Fighting");
    ensure!(site.condition("Ready")?.0 == "NotApplied");
    let report = check::reported(&site, &["--resource", "fighting/spire"])?;
    report.find("failure", "conditions", "Fighting")?;
    operator.stop()
}
