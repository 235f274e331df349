//! `check`: what it says of a cluster in order, before and after the operator, and that it leaves
//! no trace; the broken clusters are in [`broken`].

mod broken;
mod bundle;

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::{Command, Output};

use anyhow::{Context as _, Result, ensure};
use lab::programs;
use serde_json::{Value, json};

use super::account::IMAGE;
use super::binding::grant;
use super::site::Site;
use super::spire;

const MANAGER: &str = include_str!("../../../../operator/testdata/controller-manager/chart.yaml");

/// A report, with the exit code.
pub(super) struct Report {
    pub(super) code: i32,
    pub(super) json: Value,
}

impl Report {
    pub(super) fn findings(&self) -> impl Iterator<Item = &Value> {
        self.json["findings"].as_array().into_iter().flatten()
    }

    /// The finding of a level and subject whose line has a text.
    pub(super) fn find(&self, level: &str, subject: &str, text: &str) -> Result<&Value> {
        let has = |finding: &&Value| {
            finding["level"] == level
                && finding["subject"] == subject
                && (finding["message"].as_str().is_some_and(|message| message.contains(text))
                    || finding["reason"] == text)
        };
        self.findings()
            .find(has)
            .with_context(|| format!("no {level} about {subject} with {text} in {:#}", self.json))
    }

    fn failures(&self) -> Vec<&Value> {
        self.findings().filter(|finding| finding["level"] == "failure").collect()
    }
}

/// Runs the command as an administrator.
pub(super) fn run(site: &Site, flags: &[&str]) -> Result<Output> {
    run_with(&site.server.kubeconfig(), &[], flags)
}

/// Runs the command as the user of a kubeconfig, with flags of the program before it.
fn run_with(kubeconfig: &Path, before: &[&str], flags: &[&str]) -> Result<Output> {
    let mut command = Command::new(programs::built("keylime-attestor-operator")?);
    command.env("KUBECONFIG", kubeconfig);
    command.args(["--plugin-image", IMAGE]).args(before).arg("check").args(flags);
    command.output().context("failed to start the command")
}

/// Checks the site's resource before it is in the cluster.
pub(super) fn check(site: &Site, changes: Value) -> Result<Report> {
    check_with(site, &[], changes)
}

/// The same with flags of the program.
pub(super) fn check_with(site: &Site, before: &[&str], changes: Value) -> Result<Report> {
    given(site, &site.server.kubeconfig(), before, changes)
}

/// The same as another user.
fn check_as(site: &Site, user: &str, changes: Value) -> Result<Report> {
    given(site, &site.kubeconfig(user)?, &[], changes)
}

fn given(site: &Site, kubeconfig: &Path, before: &[&str], changes: Value) -> Result<Report> {
    let file = site.dir.path().join("attestor.yaml");
    fs::write(&file, site.resource("spire", changes).to_string())?;
    report(kubeconfig, before, &["--file", file.to_str().context("a path that is not UTF-8")?])
}

/// Checks a resource of the cluster.
pub(super) fn reported(site: &Site, flags: &[&str]) -> Result<Report> {
    report(&site.server.kubeconfig(), &[], flags)
}

fn report(kubeconfig: &Path, before: &[&str], flags: &[&str]) -> Result<Report> {
    let output = run_with(kubeconfig, before, &[flags, &["--output", "json"]].concat())?;
    let code = output.status.code().context("it was killed")?;
    let text = String::from_utf8(output.stdout)?;
    let error = String::from_utf8_lossy(&output.stderr).into_owned();
    let json = serde_json::from_str(&text).with_context(|| format!("exit code {code}: {text}{error}"))?;
    Ok(Report { code, json })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_in_order_passes_before_and_after_and_is_not_touched() -> Result<()> {
    let mut site = Site::start("checked").await?;
    site.apply(&spire::with_manager(spire::json(&site.namespace), MANAGER, json!({}))?)?;
    site.make_node("checked", "11111111-0000-0000-0000-000000000000", "192.0.2.77")?;
    let before = site.spire()?;

    let report = check(&site, json!({"enforcement": {}}))?;
    ensure!(report.code == 0 && report.failures().is_empty(), "{:#}", report.json);
    for (level, subject, text) in [
        ("ok", "apiserver", "Kubernetes v1."),
        ("ok", "apiserver", "agree"),
        ("ok", "resource", "takes the KeylimeAttestor"),
        ("ok", "namespaces", "checked is there"),
        ("ok", "spire", "server.conf from the ConfigMap spire-server"),
        ("ok", "spire", "spire-controller-manager is the container"),
        ("ok", "secrets", "ends at"),
        ("warning", "keylime", "not asked"),
        ("warning", "nodes", "1 of 1 have no agent of SPIRE: checked"),
        ("ok", "pods", "StatefulSet checked/spire-server"),
        ("ok", "pods", "DaemonSet checked/spire-agent"),
        ("ok", "conditions", "Overlaid"),
        ("warning", "conditions", "OtherAttestors"),
    ] {
        report.find(level, subject, text)?;
    }
    let changes: Vec<&str> = report.json["changes"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|change| change["object"].as_str())
        .collect();
    let expected = [
        "ConfigMap checked/spire-controller-manager-keylime",
        "ConfigMap checked/spire-server-keylime",
        "StatefulSet checked/spire-server",
        "ConfigMap checked/spire-agent-keylime",
        "DaemonSet checked/spire-agent",
    ];
    ensure!(changes == expected, "{changes:?}");
    let diff = report.json.pointer("/changes/2/diff").and_then(Value::as_str).unwrap_or_default();
    ensure!(diff.contains("+") && diff.contains("keylime-attestor-plugin") && diff.contains(IMAGE), "{diff}");
    site.is_as(&before)?;
    ensure!(!site.exists("kla/spire")?, "it was made");

    site.attest(json!({}))?;
    let operator = site.operator()?;
    site.make_ready()?;
    let installed = site.spire()?;
    let report = reported(&site, &["--resource", "checked/spire"])?;
    ensure!(report.code == 0, "{:#}", report.json);
    for (subject, text) in
        [("keylime", "Reachable"), ("conditions", "ConfigurationApplied"), ("conditions", "Overlaid")]
    {
        let text = if text == "ConfigurationApplied" { "Applied" } else { text };
        report.find("ok", subject, text)?;
    }
    // Without the plugins' checksums changing: those beside the program are the operator's.
    ensure!(report.json["changes"] == json!([]), "{:#}", report.json["changes"]);
    // What a change of the resource would come to.
    let report = check(&site, json!({"attestation": {"maxAttestationAge": "7m"}}))?;
    let changed = report.json["changes"].to_string();
    ensure!(report.code == 0 && changed.contains("spire-server-keylime"), "{:#}", report.json);
    operator.stop()?;
    site.is_as(&installed)
}

#[tokio::test(flavor = "multi_thread")]
async fn aliases_of_nodes_are_foretold() -> Result<()> {
    let mut site = Site::start("check-aliased").await?;
    site.apply(&spire::with_manager(spire::json(&site.namespace), MANAGER, json!({}))?)?;
    grant(&site)?;
    let mut pod = spire::pod(&site.namespace, "spire-server-0", "spire-server", "");
    pod["spec"]["automountServiceAccountToken"] = json!(true);
    site.apply(&pod)?;
    let prefer = json!({"attestation": {"binding": "Prefer"}});
    let report = check(&site, prefer.clone())?;
    report.find("ok", "conditions", "Aliased")?;
    report.find("ok", "changes", "ClusterStaticEntries")?;

    site.attest(prefer)?;
    let operator = site.operator()?;
    site.roll_out_until("ParentIDsConfigured", "Aliased")?;
    site.roll_out_until("Ready", "Ready")?;
    let report = reported(&site, &["--resource", "check-aliased/spire"])?;
    ensure!(report.json["changes"] == json!([]), "{:#}", report.json["changes"]);
    operator.stop()
}

#[tokio::test(flavor = "multi_thread")]
async fn kubectl_runs_it_and_people_can_read_it() -> Result<()> {
    let site = Site::start("check-plugin").await?;
    let bin = site.dir.path().join("bin");
    fs::create_dir(&bin)?;
    symlink(programs::built("keylime-attestor-operator")?, bin.join("kubectl-keylime_attestor"))?;
    let file = site.dir.path().join("attestor.yaml");
    fs::write(&file, site.resource("spire", json!({})).to_string())?;
    let mut kubectl = Command::new(programs::installed("cluster-tools/kubectl")?);
    kubectl.env("PATH", &bin).env("KUBECONFIG", site.server.kubeconfig());
    let output = kubectl.args(["keylime-attestor", "check", "-f"]).arg(&file).output()?;
    let text = String::from_utf8_lossy(&output.stdout);
    ensure!(output.status.code() == Some(1), "{output:?}");
    for part in [
        "KeylimeAttestor check-plugin/spire\n",
        "failure  configuration  ConfigurationApplied WorkloadNotFound: expected the StatefulSet check-plugin/spire-server",
        "do: Install SPIRE, or correct the name",
        "see: operator/docs/conditions.md#configurationapplied-workloadnotfound\n",
        "2 failures, 0 objects would change\n",
    ] {
        ensure!(text.contains(part), "{part} is not in {text}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_checked_is_told_apart_from_what_fails() -> Result<()> {
    let site = Site::start("check-nothing").await?;
    for (flags, told) in [
        (vec!["--resource", "check-nothing/none"], "there is no KeylimeAttestor check-nothing/none"),
        (vec!["--resource", "none"], "expected --resource NAMESPACE/NAME, got none"),
        (vec!["--file", "/none"], "failed to read /none"),
        (vec!["--context", "none"], "failed to use the context none"),
    ] {
        let output = run(&site, &flags)?;
        let error = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.code() == Some(2) && error.contains(told), "{flags:?}: {output:?}");
        ensure!(output.stdout.is_empty(), "{output:?}");
    }
    Ok(())
}
