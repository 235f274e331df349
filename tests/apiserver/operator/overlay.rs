//! Mode Overlay from the first apply to the deletion.

use anyhow::{Result, ensure};
use serde_json::{Value, json};

use super::site::Site;
use super::spire;

#[tokio::test(flavor = "multi_thread")]
async fn the_server_goes_first_and_everything_comes_back() -> Result<()> {
    let mut site = Site::start("overlay").await?;
    site.apply(&spire::json(&site.namespace))?;
    let before = site.spire()?;
    site.attest(json!({}))?;
    let operator = site.operator()?;

    site.wait_for("ServerRolledOut", "Progressing")?;
    ensure!(site.hash("statefulset/spire-server")?.is_some(), "the server has no overlay");
    ensure!(
        site.hash("daemonset/spire-agent")?.is_none(),
        "the agents were changed before the server was ready"
    );
    ensure!(site.condition("AgentsRolledOut")?.0 == "WaitingForServer");
    site.make_ready()?;
    site.kubectl(&["wait", "--for=condition=Ready", "kla/spire", "--timeout=60s"])?;
    let (bypass, message) = site.condition("BypassPossible")?;
    ensure!(bypass == "OtherAttestors" && message.contains("They are k8s_psat."), "{bypass}: {message}");
    let events = site.kubectl(&["get", "events", "--output", "jsonpath={.items[*].reason}"])?;
    for reason in ["ConfigurationApplied", "RolloutStarted", "Ready"] {
        ensure!(events.contains(reason), "no Event {reason} among {events}");
    }

    site.delete()?;
    site.wait_for("Ready", "Withdrawing")?;
    site.wait("the agents' overlay to go", |site| Ok(site.hash("daemonset/spire-agent")?.is_none()))?;
    ensure!(
        site.hash("statefulset/spire-server")?.is_some(),
        "the server lost its overlay before the agents were back"
    );
    site.roll_out("daemonset/spire-agent")?;
    site.wait("the server's overlay to go", |site| Ok(site.hash("statefulset/spire-server")?.is_none()))?;
    site.let_go()?;
    site.is_as(&before)?;
    operator.stop()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_spire_gets_is_complete_in_both_languages() -> Result<()> {
    for (namespace, objects) in
        [("overlay-json", spire::json as fn(&str) -> Value), ("overlay-hcl", spire::hcl)]
    {
        let mut site = Site::start(namespace).await?;
        site.apply(&objects(namespace))?;
        site.attest(json!({"attestation": {"maxAttestationAge": "90s"}}))?;
        let operator = site.operator()?;
        site.make_ready()?;
        let server = site.text("spire-server-keylime", "server.conf")?;
        for part in [
            "keylime-attestor-server",
            "plugin_checksum",
            "k8s_psat",
            "90s",
            "/run/keylime-attestor/tls/ca.crt",
        ] {
            ensure!(server.contains(part), "{part} is not in {server}");
        }
        let agent = site.text("spire-agent-keylime", "agent.conf")?;
        ensure!(agent.contains("keylime-attestor-agent") && !agent.contains("k8s_psat"), "{agent}");
        let pod =
            site.get("statefulset/spire-server")?.pointer("/spec/template/spec").cloned().unwrap_or_default();
        let command = json!([
            "/opt/spire/bin/spire-server",
            "run",
            "-config",
            "/run/keylime-attestor/configuration/server.conf",
            "-expandEnv",
            "--"
        ]);
        ensure!(pod["containers"][0]["command"] == command, "{pod:#}");
        ensure!(pod["containers"][0]["args"][0] == "-expandEnv", "{pod:#}");
        ensure!(pod["initContainers"][0]["image"] == "registry.example/keylime-attestor:1", "{pod:#}");
        operator.stop()?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn config_only_writes_configurations_and_nothing_else() -> Result<()> {
    let mut site = Site::start("config-only").await?;
    site.apply(&spire::json(&site.namespace))?;
    let before = site.spire()?;
    site.attest(json!({"spire": {"mode": "ConfigOnly"}}))?;
    let operator = site.operator()?;
    site.wait_for("Ready", "ConfigurationsWritten")?;
    ensure!(site.condition("ServerRolledOut")?.0 == "NotManaged");
    ensure!(site.condition("AgentsRolledOut")?.0 == "NotManaged");
    ensure!(site.text("spire-agent-keylime", "agent.conf")?.contains("keylime-attestor-agent"));
    ensure!(site.hash("daemonset/spire-agent")?.is_none());
    site.delete()?;
    site.let_go()?;
    for workload in ["daemonset/spire-agent", "statefulset/spire-server"] {
        ensure!(site.get(workload)?["metadata"]["generation"] == 1, "{workload} was written");
    }
    site.is_as(&before)?;
    operator.stop()
}
