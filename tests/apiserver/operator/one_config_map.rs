//! SPIRE whose server and agents have their configurations in one ConfigMap, under two keys.

use anyhow::{Result, ensure};
use serde_json::{Value, json};

use super::site::Site;
use super::spire;

const KEYS: [&str; 2] = ["server.conf", "agent.conf"];

#[tokio::test(flavor = "multi_thread")]
async fn overlay_derives_both_and_the_agents_one_not_before_the_server_is_ready() -> Result<()> {
    let mut site = Site::start("one-map-overlay").await?;
    site.apply(&spire::in_one_config_map(&site.namespace))?;
    let before = site.spire()?;
    site.attest(json!({}))?;
    let operator = site.operator()?;

    site.wait_for("ServerRolledOut", "Progressing")?;
    let derived = |site: &Site| site.get("configmap/spire-keylime").map(|map| map["data"].clone());
    let early = derived(&site)?;
    ensure!(early["server.conf"].to_string().contains("keylime-attestor-server"), "{early}");
    ensure!(early.get("agent.conf").is_none(), "the agents' was derived before their turn");
    site.make_ready()?;
    let both = derived(&site)?;
    ensure!(both["server.conf"] == early["server.conf"], "the server's is another now");
    ensure!(both["agent.conf"].to_string().contains("keylime-attestor-agent"), "{both}");

    // Each key follows its own source.
    let edited =
        site.text("spire", "agent.conf")?.replace("\"log_level\": \"info\"", "\"log_level\": \"warn\"");
    site.patch("configmap/spire", &json!({"data": {"agent.conf": edited}}))?;
    site.wait("the agents' new value", |site| {
        Ok(site.text("spire-keylime", "agent.conf")?.contains("\"log_level\": \"warn\""))
    })?;
    ensure!(derived(&site)?["server.conf"] == early["server.conf"], "the server's was derived anew");
    site.roll_out_until("Ready", "Ready")?;
    site.apply(&spire::in_one_config_map(&site.namespace))?;
    site.wait("the agents' old value", |site| {
        Ok(site.text("spire-keylime", "agent.conf")?.contains("\"log_level\": \"info\""))
    })?;
    expect_everything_back(&site, &before)?;
    operator.stop()
}

#[tokio::test(flavor = "multi_thread")]
async fn in_place_edits_both_and_gives_both_back() -> Result<()> {
    let mut site = Site::start("one-map-in-place").await?;
    site.apply(&spire::in_one_config_map(&site.namespace))?;
    let before = site.spire()?;
    let own = |site: &Site| KEYS.map(|key| site.text("spire", key));
    let [server, agent] = own(&site);
    let (server, agent) = (server?, agent?);
    site.attest(json!({"spire": {"mode": "InPlace"}}))?;
    let operator = site.operator()?;

    site.wait_for("ServerRolledOut", "Progressing")?;
    ensure!(site.text("spire", "server.conf")?.contains("keylime-attestor-server"));
    ensure!(site.text("spire", "agent.conf")? == agent, "the agents' was edited before their turn");
    site.make_ready()?;
    ensure!(site.text("spire", "agent.conf")?.contains("keylime-attestor-agent"));
    ensure!(site.text("spire-keylime", "original-server.server.conf")? == server);
    ensure!(site.text("spire-keylime", "original-agent.agent.conf")? == agent);
    expect_everything_back(&site, &before)?;
    operator.stop()
}

fn expect_everything_back(site: &Site, before: &[Value]) -> Result<()> {
    site.delete()?;
    site.let_go()?;
    site.is_as(before)
}
