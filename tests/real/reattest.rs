//! An agent keeps its identity only as long as Keylime goes on to say yes: it renews by attesting
//! again.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use lab::keylime::NodeOptions;
use lab::plugins;
use lab::spire::{Release, ServerOptions, SpireAgent, SpireServer};
use serde_json::{Value, json};

use crate::KEYLIME;

/// SPIRE's agent renews an SVID of this age after some five seconds: it begins ten seconds ago, and
/// half of its life has then passed.
const AGENT_TTL: &str = "20s";
const TIMEOUT: Duration = Duration::from_secs(120);

#[test]
fn renews_until_keylime_fails_the_node() -> Result<()> {
    let keylime = KEYLIME.get()?;
    let node = keylime.add_node(NodeOptions::default())?;
    let options = ServerOptions { attestor: plugins::server(keylime)?, agent_ttl: AGENT_TTL };
    let server = SpireServer::start(&options)?;
    let attestor = plugins::agent(keylime, node.agent())?;
    let id = plugins::spiffe_id(node.agent());

    let mut agent = SpireAgent::start(&server, &attestor)?;
    agent.wait_until_attested()?;
    let first = serial_number(&server, &id)?;
    agent.process_mut().wait_until("a renewed SVID", TIMEOUT, || {
        ensure!(serial_number(&server, &id)? != first, "it is the first");
        Ok(())
    })?;

    node.fail()?;
    let log = agent.wait_until_refused()?;
    ensure_refused(&log, &server, "FAILs attestation")?;

    node.repair()?;
    SpireAgent::start(&server, &attestor)?.wait_until_attested()
}

#[test]
fn an_evicted_agent_is_verified_again_at_once() -> Result<()> {
    let keylime = KEYLIME.get()?;
    let node = keylime.add_node(NodeOptions::default())?;
    let options = ServerOptions { attestor: plugins::server(keylime)?, agent_ttl: "1h" };
    let server = SpireServer::start(&options)?;
    let attestor = plugins::agent(keylime, node.agent())?;
    let id = plugins::spiffe_id(node.agent());
    let mut agent = SpireAgent::start(&server, &attestor)?;
    agent.wait_until_attested()?;

    server.evict(&id)?;
    agent.process_mut().wait_until("the agent known again", TIMEOUT, || server.agent(&id).map(drop))?;

    node.fail()?;
    server.evict(&id)?;
    let log = agent.wait_until_refused()?;
    ensure_refused(&log, &server, "FAILs attestation")?;
    ensure!(server.agent(&id).is_err(), "the server knows the refused agent");
    Ok(())
}

#[test]
fn a_node_attests_once_without_can_reattest() -> Result<()> {
    let keylime = KEYLIME.get()?;
    let node = keylime.add_node(NodeOptions::default())?;
    let mut attestor = plugins::server(keylime)?;
    attestor.data.insert("can_reattest".to_owned(), json!(false));
    let server = SpireServer::start(&ServerOptions { attestor, agent_ttl: "1h" })?;
    let attestor = plugins::agent(keylime, node.agent())?;
    SpireAgent::start(&server, &attestor)?.wait_until_attested()?;

    let log = SpireAgent::start(&server, &attestor)?.wait_until_refused()?;
    ensure_refused(&log, &server, "can_reattest is false")?;

    server.evict(&plugins::spiffe_id(node.agent()))?;
    SpireAgent::start(&server, &attestor)?.wait_until_attested()
}

/// Where SPIRE is upgraded, its server is of one release and its agents are of another for a while.
#[test]
fn each_pair_of_releases_attests_and_attests_again_until_keylime_fails_the_node() -> Result<()> {
    for (of_server, of_agent) in
        [(Release::V1_13, Release::V1_13), (Release::V1_13, Release::V1_15), (Release::V1_15, Release::V1_13)]
    {
        of_releases(of_server, of_agent).with_context(|| format!("server {of_server}, agent {of_agent}"))?;
    }
    Ok(())
}

fn of_releases(of_server: Release, of_agent: Release) -> Result<()> {
    let keylime = KEYLIME.get()?;
    let node = keylime.add_node(NodeOptions::default())?;
    let options = ServerOptions { attestor: plugins::server(keylime)?, agent_ttl: AGENT_TTL };
    let server = SpireServer::start_of(of_server, &options)?;
    let id = plugins::spiffe_id(node.agent());
    let mut agent = SpireAgent::start_of(of_agent, &server, &plugins::agent(keylime, node.agent())?)?;
    agent.wait_until_attested()?;
    server.create_entry(&id, "spiffe://lab.test/workload")?;
    ensure!(agent.fetch_x509_svid()?.contains("spiffe://lab.test/workload"), "the workload has another SVID");

    let first = serial_number(&server, &id)?;
    agent.process_mut().wait_until("a renewed SVID", TIMEOUT, || {
        ensure!(serial_number(&server, &id)? != first, "it is the first");
        Ok(())
    })?;
    server.evict(&id)?;
    agent.process_mut().wait_until("the agent known again", TIMEOUT, || server.agent(&id).map(drop))?;

    node.fail()?;
    server.evict(&id)?;
    let log = agent.wait_until_refused()?;
    ensure_refused(&log, &server, "FAILs attestation")?;
    // SPIRE tells its plugins since 1.15 where an agent is.
    let told = server.log()?.contains("client_ip=127.0.0.1");
    ensure!(told == (of_server == Release::V1_15), "the log is:\n{}", server.log()?);
    Ok(())
}

/// The agent's log tells that it was refused, and only the server's why.
fn ensure_refused(agent: &str, server: &SpireServer, reason: &str) -> Result<()> {
    let refused = agent.contains("PermissionDenied") && agent.contains("is not attested");
    ensure!(refused && !agent.contains(reason), "the agent's log is:\n{agent}");
    let log = server.log()?;
    ensure!(log.contains(reason), "it says no reason:\n{log}");
    Ok(())
}

fn serial_number(server: &SpireServer, id: &str) -> Result<String> {
    let agent = server.agent(id)?;
    let serial = agent
        .get("x509svid_serial_number")
        .and_then(Value::as_str)
        .with_context(|| format!("no serial number: {agent}"))?;
    Ok(serial.to_owned())
}
