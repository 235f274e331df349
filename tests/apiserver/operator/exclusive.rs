//! SPIRE's server is left with our attestor alone when nobody needs the others, and gets these back
//! before anybody does.

use anyhow::{Result, ensure};
use lab::fake_spire::{Call, agent, keylime_agent, spiffe_id, with_selector};
use lab::wait;
use serde_json::json;

use super::nodes::expect;
use super::reports::{Reporting, acts, failing};
use super::site::{Operator, Site, TIMEOUT};

const CONFIGURATION: (&str, &str) = ("spire-server-keylime", "server.conf");

#[tokio::test(flavor = "multi_thread")]
async fn the_other_attestors_go_when_nobody_needs_them_and_come_back_first() -> Result<()> {
    let reporting = Reporting::start("exclusive", &["moved"], "Observe").await?;
    let site = &reporting.site;
    let old = reporting.of_psat("moved")?;
    let evicted = Call::Evict(spiffe_id(&old));
    let elsewhere =
        with_selector(agent("k8s_psat", "production/elsewhere"), "k8s_psat", "agent_node_uid:elsewhere");
    let agents = vec![keylime_agent("moved"), old, elsewhere];
    let server = reporting.server("spire-server-0", "127.0.0.1", agents).await?;
    reporting.agent("agent-1", "moved")?;
    expect(site, "moved", "Attested")?;
    site.wait_for("BypassPossible", "OtherAttestors")?;
    let admits_others =
        || Ok::<_, anyhow::Error>(site.text(CONFIGURATION.0, CONFIGURATION.1)?.contains("k8s_psat"));

    // An agent that is on no selected node would be lost.
    reporting.attest(json!({"spire": {"attestors": "Exclusive"}}))?;
    site.wait("the agent to be named", |site| {
        let (reason, message) = site.condition("BypassPossible")?;
        Ok(reason == "Waiting" && message.contains("k8s_psat/production/elsewhere"))
    })?;
    let (_, message) = site.condition("BypassPossible")?;
    ensure!(message.contains("They are k8s_psat."), "{message}");
    ensure!(!message.contains("spire-agent evict") && !message.contains("not attested:"), "{message}");
    reporting.polls()?;
    ensure!(admits_others()? && acts(&server.spire).is_empty(), "{:?}", acts(&server.spire));

    server.spire.remove("elsewhere");
    site.wait("the other attestor to go", |_| Ok(!admits_others()?))?;
    site.wait_for("BypassPossible", "RollingOut")?;
    reporting.polls()?;
    ensure!(acts(&server.spire).is_empty(), "it was evicted while the server would have admitted it again");
    site.roll_out("statefulset/spire-server")?;
    site.wait_for("BypassPossible", "KeylimeAlone")?;
    server.spire.wait_for(|calls| calls.contains(&evicted)).await?;
    ensure!(acts(&server.spire) == [evicted], "{:?}", acts(&server.spire));

    // A node that fails gets no other attestor by that.
    site.keylime.add(failing("moved"));
    expect(site, "moved", "KeylimeAttestationFailed")?;
    reporting.polls()?;
    ensure!(!admits_others()?);
    reporting.attest(json!({}))?;
    site.wait("the other attestor to be back", |_| admits_others())?;
    reporting.operator.stop()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deletion_gives_the_server_its_attestors_before_the_agents() -> Result<()> {
    let reporting = exclusive("exclusive-end").await?;
    reporting.site.delete()?;
    the_server_is_first(&reporting.site, &reporting.operator)?;
    reporting.operator.stop()
}

#[tokio::test(flavor = "multi_thread")]
async fn so_does_one_after_coexist_that_the_operator_has_not_got_to() -> Result<()> {
    let Reporting { mut site, operator, .. } = exclusive("exclusive-back").await?;
    operator.stop()?;
    site.patch("kla/spire", &json!({"spec": {"spire": {"attestors": "Coexist"}}}))?;
    site.delete()?;
    let operator = site.operator()?;
    the_server_is_first(&site, &operator)?;
    operator.stop()
}

#[tokio::test(flavor = "multi_thread")]
async fn so_does_one_after_coexist_while_the_server_is_rolled() -> Result<()> {
    let reporting = exclusive("exclusive-rolling").await?;
    reporting.attest(json!({}))?;
    reporting.site.wait_for("ServerRolledOut", "Progressing")?;
    reporting.site.delete()?;
    the_server_is_first(&reporting.site, &reporting.operator)?;
    reporting.operator.stop()
}

/// The server cannot have its attestors beside Keylime's by a resource that is not valid.
#[tokio::test(flavor = "multi_thread")]
async fn the_server_is_withdrawn_first_where_it_cannot_be_given_its_attestors_otherwise() -> Result<()> {
    let reporting = exclusive("exclusive-invalid").await?;
    let site = &reporting.site;
    let agents = json!([{"name": "spire-agent"}, {"name": "missing"}]);
    site.patch("kla/spire", &json!({"spec": {"spire": {"agents": agents}}}))?;
    site.wait_for("ConfigurationApplied", "WorkloadNotFound")?;
    site.delete()?;
    site.wait("the server's overlay to go", |site| Ok(site.hash("statefulset/spire-server")?.is_none()))?;
    let reconciles = reporting.operator.reconciles()?;
    site.wait("some reconciles", |_| Ok(reporting.operator.reconciles()? > reconciles + 1))?;
    ensure!(site.hash("daemonset/spire-agent")?.is_some(), "the agents did not wait");
    site.let_go()?;
    reporting.operator.stop()
}

/// A site whose SPIRE admits nodes by Keylime alone.
async fn exclusive(namespace: &str) -> Result<Reporting> {
    let reporting = Reporting::start(namespace, &["only"], "Observe").await?;
    let server = reporting.server("spire-server-0", "127.0.0.1", vec![keylime_agent("only")]).await?;
    reporting.agent("agent-1", "only")?;
    expect(&reporting.site, "only", "Attested")?;
    reporting.attest(json!({"spire": {"attestors": "Exclusive"}}))?;
    reporting.site.roll_out_until("BypassPossible", "KeylimeAlone")?;
    drop(server);
    Ok(reporting)
}

/// Expects a deletion that has begun to give the server its attestors, then the agents theirs.
fn the_server_is_first(site: &Site, operator: &Operator) -> Result<()> {
    site.wait("the other attestor to be back", |site| {
        Ok(site.text(CONFIGURATION.0, CONFIGURATION.1)?.contains("k8s_psat"))
    })?;
    let reconciles = wait::until("the metrics", TIMEOUT, || operator.reconciles())?;
    site.wait("some reconciles", |_| Ok(operator.reconciles()? > reconciles + 1))?;
    ensure!(site.hash("daemonset/spire-agent")?.is_some(), "the agents were first");
    site.roll_out("statefulset/spire-server")?;
    site.wait("the agents' overlay to go", |site| Ok(site.hash("daemonset/spire-agent")?.is_none()))?;
    ensure!(site.hash("statefulset/spire-server")?.is_some(), "the server was first");
    site.let_go()?;
    ensure!(!site.exists(&format!("configmap/{}", CONFIGURATION.0))?);
    Ok(())
}
