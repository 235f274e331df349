//! The operator as a process: killed, started again, elected, cut off.

use std::fs;
use std::net::TcpStream;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use lab::process::Process;
use lab::{programs, wait};
use serde_json::{Value, json};

use super::site::{Site, TIMEOUT};
use super::spire;

/// How long the operator lets a client be silent.
const HEADER_TIMEOUT: Duration = Duration::from_secs(5);

#[tokio::test(flavor = "multi_thread")]
async fn killed_at_any_moment_it_comes_to_the_same_end() -> Result<()> {
    let mut site = Site::start("killed").await?;
    site.apply(&spire::json(&site.namespace))?;
    let before = site.spire()?;
    site.attest(json!({}))?;
    for round in 0..20u32 {
        let operator = site.operator()?;
        // The moments are spread over what the operator writes, not over time.
        let writes = site.writes()?.len() + (round % 4) as usize;
        let seen = wait::until("some writes", Duration::from_secs(2), || {
            ensure!(site.writes()?.len() >= writes);
            Ok(())
        });
        drop(seen);
        operator.process.kill()?;
        if round % 5 == 4 {
            site.roll_out("statefulset/spire-server")?;
            site.roll_out("daemonset/spire-agent")?;
        }
    }
    let operator = site.operator()?;
    site.roll_out_until("Ready", "Ready")?;
    ensure!(site.hash("daemonset/spire-agent")?.is_some());
    operator.process.kill()?;

    site.delete()?;
    for _ in 0..5 {
        let operator = site.operator()?;
        let writes = site.writes()?.len() + 1;
        drop(wait::until("a write", Duration::from_secs(2), || {
            ensure!(site.writes()?.len() >= writes);
            Ok(())
        }));
        operator.process.kill()?;
    }
    let operator = site.operator()?;
    site.let_go()?;
    site.is_as(&before)?;
    operator.stop()
}

/// More than its ports have room for, of one client: a probe is answered well before a kubelet
/// would give up, which takes one second.
#[tokio::test(flavor = "multi_thread")]
async fn silent_clients_do_not_keep_probes_from_being_answered() -> Result<()> {
    let mut site = Site::start("silent").await?;
    let operator = site.operator()?;
    wait::until("a healthy operator", TIMEOUT, || {
        ensure!(operator.get(&operator.health, "/healthz")?.starts_with("HTTP/1.1 200"));
        Ok(())
    })?;
    let mut silent = Vec::new();
    for port in [&operator.health, &operator.metrics] {
        for _ in 0..200 {
            silent.push(TcpStream::connect(("127.0.0.1", port.number()))?);
        }
    }
    let clock = Instant::now();
    for (port, path) in [(&operator.health, "/healthz"), (&operator.metrics, "/metrics")] {
        let answer = operator.get(port, path)?;
        ensure!(answer.starts_with("HTTP/1.1 200"), "{path}: {answer}");
    }
    ensure!(clock.elapsed() < HEADER_TIMEOUT, "they were answered when the others had ended");
    drop(silent);
    operator.stop()
}

#[tokio::test(flavor = "multi_thread")]
async fn it_goes_on_when_the_apiserver_comes_back() -> Result<()> {
    let mut site = Site::start_alone("away").await?;
    site.apply(&spire::json(&site.namespace))?;
    site.attest(json!({}))?;
    let mut operator = site.operator()?;
    site.make_ready()?;
    let server = std::sync::Arc::get_mut(&mut site.server).context("the apiserver is shared")?;
    server.go_down()?;
    ensure!(operator.process.is_running()?);
    server.come_up()?;
    let derived = site.text("spire-agent-keylime", "agent.conf")?;
    site.patch("configmap/spire-agent-keylime", &json!({"data": {"agent.conf": "broken"}}))?;
    site.wait("the configuration to be right", |site| {
        Ok(site.text("spire-agent-keylime", "agent.conf")? == derived)
    })?;
    operator.stop()
}

#[tokio::test(flavor = "multi_thread")]
async fn one_that_cannot_renew_its_lease_ends_and_leads_again_when_it_can() -> Result<()> {
    let mut site = Site::start_alone("unrenewed").await?;
    site.apply(&spire::json(&site.namespace))?;
    site.attest(json!({}))?;
    let mut operator = site.operator_with(&elect("unrenewed", "one"))?;
    site.make_ready()?;
    let server = std::sync::Arc::get_mut(&mut site.server).context("the apiserver is shared")?;
    server.go_down()?;
    ensure!(!operator.process.wait_for_end(TIMEOUT)?.success());
    let log = operator.process.log()?;
    ensure!(log.contains("failed to renew the Lease"), "{log}");

    // Kubernetes starts the container again, in the same pod: the Lease, which ran out, is in its
    // name.
    let mut again = site.operator_with(&elect("unrenewed", "one"))?;
    again.process.wait_for_log("waits for the apiserver", TIMEOUT)?;
    ensure!(again.get(&again.health, "/readyz")?.contains("503"), "it is ready without an apiserver");
    let server = std::sync::Arc::get_mut(&mut site.server).context("the apiserver is shared")?;
    server.come_up()?;
    again.process.wait_for_log("leads lease", TIMEOUT)?;
    let derived = site.text("spire-agent-keylime", "agent.conf")?;
    site.patch("configmap/spire-agent-keylime", &json!({"data": {"agent.conf": "broken"}}))?;
    site.wait("the configuration to be right", |site| {
        Ok(site.text("spire-agent-keylime", "agent.conf")? == derived)
    })?;
    again.stop()?;

    let operator = site.operator_with(&elect("unrenewed", "another"))?;
    site.wait("the other one to lead", |site| Ok(holder(site)? == "another"))?;
    site.delete()?;
    site.let_go()?;
    operator.stop()
}

/// For a while after its start, an apiserver refuses everybody: what it says then is not to be gone
/// by.
#[tokio::test(flavor = "multi_thread")]
async fn one_that_may_not_see_its_own_pod_ends_and_says_what_it_needs() -> Result<()> {
    let site = Site::start("unseeing").await?;
    let folder = tempfile::tempdir()?;
    let config = folder.path().join("kubeconfig");
    let mut nobody: Value = serde_json::from_str(&fs::read_to_string(site.server.kubeconfig())?)?;
    nobody["users"][0]["user"]["as"] = json!("nobody");
    fs::write(&config, nobody.to_string())?;
    let mut command = Command::new(programs::built("keylime-attestor-operator")?);
    command.env("KUBECONFIG", &config);
    command.args(["--metrics-address", "127.0.0.1:0", "--health-address", "127.0.0.1:0"]);
    command.args(["--namespaces", "unseeing", "--pod-namespace", "unseeing", "--pod-name", "own"]);
    let mut operator = Process::start("operator", folder.path(), &mut command)?;
    ensure!(!operator.wait_for_end(TIMEOUT)?.success());
    let log = operator.log()?;
    for expected in ["pod unseeing/own", "--plugin-image", "User \"nobody\" cannot get resource \"pods\""] {
        ensure!(log.contains(expected), "expected {expected} in {log}");
    }
    Ok(())
}

/// The flags of one replica.
fn elect<'a>(namespace: &'a str, name: &'a str) -> [&'a str; 7] {
    ["--leader-elect", "--lease-namespace", namespace, "--pod-namespace", namespace, "--pod-name", name]
}

fn holder(site: &Site) -> Result<String> {
    let output = "jsonpath={.spec.holderIdentity}";
    site.kubectl(&["get", "lease", "keylime-attestor-operator", "--output", output])
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_replicas_one_acts_and_the_other_follows() -> Result<()> {
    let mut site = Site::start("elected").await?;
    let first = site.operator_with(&elect("elected", "first"))?;
    site.wait("the first to lead", |site| Ok(holder(site)? == "first"))?;
    let mut second = site.operator_with(&elect("elected", "second"))?;
    second.process.wait_for_log("waits to lead", TIMEOUT)?;
    ensure!(second.get(&second.health, "/readyz")?.contains("ok"));
    site.apply(&spire::json(&site.namespace))?;
    site.attest(json!({}))?;
    site.wait_for("ServerRolledOut", "Progressing")?;
    ensure!(second.reconciles()? == 0, "the second acted, too");
    first.stop()?;
    site.wait("the second to lead", |site| Ok(holder(site)? == "second"))?;
    site.make_ready()?;
    ensure!(second.reconciles()? > 0);
    second.stop()
}
