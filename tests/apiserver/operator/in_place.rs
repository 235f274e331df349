//! Mode InPlace: SPIRE's own ConfigMaps are edited and put back byte for byte.

use anyhow::{Result, ensure};
use serde_json::json;

use super::site::Site;
use super::spire;

#[tokio::test(flavor = "multi_thread")]
async fn the_text_from_before_comes_back_byte_for_byte() -> Result<()> {
    for (namespace, flags) in
        [("in-place", &[][..]), ("in-place-ssa", &["--server-side", "--field-manager=owner"])]
    {
        let mut site = Site::start(namespace).await?;
        let objects = spire::hcl(namespace);
        site.apply_with(&objects, flags)?;
        let before = site.spire()?;
        site.attest(json!({"spire": {"mode": "InPlace"}}))?;
        let operator = site.operator()?;
        site.wait_for("ServerRolledOut", "Progressing")?;
        ensure!(site.text("spire-server", "server.conf")?.contains("keylime-attestor-server"));
        ensure!(
            site.text("spire-agent", "agent.conf")?.contains("k8s_psat"),
            "the agents were edited before the server was ready"
        );
        site.make_ready()?;
        let agent = site.text("spire-agent", "agent.conf")?;
        ensure!(agent.contains("keylime-attestor-agent") && !agent.contains("k8s_psat"), "{agent}");
        let live = site.get("daemonset/spire-agent")?;
        ensure!(live.pointer("/spec/template/spec/containers/0/command").is_none(), "a command was set");

        site.delete()?;
        site.let_go()?;
        site.is_as(&before)?;
        // Nothing of ours is left that the owner would meet.
        site.apply_with(&spire::json(namespace), flags)?;
        operator.stop()?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn edits_that_somebody_makes_meanwhile_survive() -> Result<()> {
    let mut site = Site::start("in-place-edits").await?;
    let objects = spire::hcl(&site.namespace);
    site.apply(&objects)?;
    site.attest(json!({"spire": {"mode": "InPlace"}}))?;
    let operator = site.operator()?;
    site.make_ready()?;
    let original = site.text("spire-agent-keylime", "original-agent.agent.conf")?;

    let edited = site.text("spire-agent", "agent.conf")?.replace("DEBUG", "WARN");
    site.patch("configmap/spire-agent", &json!({"data": {"agent.conf": edited}}))?;
    site.wait("the edit in what is kept", |site| {
        Ok(site.text("spire-agent-keylime", "original-agent.agent.conf")?
            == original.replace("DEBUG", "WARN"))
    })?;
    // The owner's whole file again, without our part.
    site.apply(&objects)?;
    site.wait("our part to be back", |site| {
        Ok(site.text("spire-agent", "agent.conf")?.contains("keylime-attestor-agent"))
    })?;
    site.patch("configmap/spire-agent", &json!({"data": {"agent.conf": edited}}))?;
    site.delete()?;
    site.let_go()?;
    ensure!(site.text("spire-agent", "agent.conf")? == original.replace("DEBUG", "WARN"));
    operator.stop()
}
