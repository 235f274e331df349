//! The agent plugin between SPIRE's agent and a Keylime agent.

use std::path::Path;

use anyhow::{Context as _, Result};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use evidence::message::{Challenge, Payload, Response};
use evidence::{HashAlg, Nonce};
use lab::fake_keylime::{FakeAgent, FakeAgentConfig, Fault};
use lab::host::Host;
use lab::programs;
use lab::site::TRUST_DOMAIN;
use serde_json::json;
use tonic::{Code, Status};

const ID: &str = "d432fbb3-d2f1-4a97-9ef7-75bd81c00042";
const LOOPBACK: [&str; 2] = ["localhost", "127.0.0.1"];

#[tokio::test]
async fn it_says_which_node_this_is_and_has_each_nonce_quoted() -> Result<()> {
    let agent = FakeAgent::start(quoting(FakeAgentConfig::recorded(ID))).await?;
    let host = configured(&agent, "").await?;

    let mut session = host.plugin().aid_attestation().await?;
    let payload = Payload::from_json(&session.payload().await?)?;
    assert_eq!((payload.agent_id.as_str(), payload.hash_alg), (ID, Some(HashAlg::Sha256)));
    for nonce in ["FIRST", "SECOND"] {
        let response = session.challenge(challenge(nonce)?).await?;
        assert_eq!(Response::from_json(&response)?.quote, format!("quote of {nonce}"));
    }
    session.finish().await?;
    host.log().wait_for_message("the server's challenge was answered").await?;
    assert!(!host.log().lines().iter().any(|line| line.contains("SECOND")), "a nonce is in the log");
    Ok(())
}

#[tokio::test]
async fn the_nonce_of_the_go_plugin_is_understood() -> Result<()> {
    let agent = FakeAgent::start(quoting(FakeAgentConfig::recorded(ID))).await?;
    let host = configured(&agent, "").await?;
    let nonce = "MFRGGZDFMZTWQ2LKNNWG23TPOBYXE43U";
    let mut session = host.plugin().aid_attestation().await?;
    session.payload().await?;
    let response = session.challenge(json!({"Nonce": STANDARD.encode(nonce)}).to_string()).await?;
    let response: serde_json::Value = serde_json::from_slice(&response)?;
    assert_eq!(response, json!({"TPMQuote": STANDARD.encode(format!("quote of {nonce}"))}));
    Ok(())
}

#[tokio::test]
async fn an_agent_without_info_needs_a_configured_id() -> Result<()> {
    let silent = FakeAgentConfig { tells_info: false, ..quoting(FakeAgentConfig::recorded(ID)) };
    let agent = FakeAgent::start(silent).await?;
    let host = configured(&agent, "").await?;
    let status = payload(&host).await.expect_err("an id came from nowhere");
    assert_eq!(status.code(), Code::Unavailable);
    assert!(status.message().contains("keylime_agent_id"), "{status:?}");

    configure(&host, &agent, "keylime_agent_id = \"other-id\"").await?;
    let payload = payload(&host).await?;
    assert_eq!((payload.agent_id.as_str(), payload.hash_alg), ("other-id", Some(HashAlg::Sha256)));
    Ok(())
}

#[tokio::test]
async fn a_configured_id_does_not_hide_the_bank_that_the_agent_tells() -> Result<()> {
    let told = quoting(FakeAgentConfig { hash_alg: "sha384".to_owned(), ..FakeAgentConfig::recorded(ID) });
    let agent = FakeAgent::start(told).await?;
    let host = configured(&agent, "keylime_agent_id = \"other-id\"").await?;
    let payload = payload(&host).await?;
    assert_eq!((payload.agent_id.as_str(), payload.hash_alg), ("other-id", Some(HashAlg::Sha384)));
    Ok(())
}

#[tokio::test]
async fn https_needs_the_client_certificate_that_the_agent_trusts() -> Result<()> {
    let agent = FakeAgent::start(FakeAgentConfig::recorded(ID).with_tls(&LOOPBACK)).await?;
    let folder = tempfile::tempdir()?;
    let pki = agent.pki.as_ref().context("the agent has no certificates")?;
    let trusted = pki.client_ca.write_client(folder.path())?;
    let tls = |cert: &Path, key: &Path| {
        format!("keylime_tls_cert_file = {cert:?}\nkeylime_tls_key_file = {key:?}\n")
    };

    let host = configured(&agent, &tls(&trusted.cert, &trusted.key)).await?;
    assert_eq!(payload(&host).await?.agent_id.as_str(), ID);

    let other = tempfile::tempdir()?;
    let stranger = lab::fake_keylime::pki::Ca::new()?.write_client(other.path())?;
    configure(&host, &agent, &tls(&stranger.cert, &stranger.key)).await?;
    let status = payload(&host).await.expect_err("a stranger was served");
    assert_eq!(status.code(), Code::Unavailable, "{status:?}");

    configure(&host, &agent, "").await?;
    let status = payload(&host).await.expect_err("plain http was served");
    assert!(status.message().contains("https"), "{status:?}");
    Ok(())
}

#[tokio::test]
async fn a_pinned_agent_is_only_the_one_that_is_pinned() -> Result<()> {
    let agent = FakeAgent::start(FakeAgentConfig::recorded(ID).with_tls(&LOOPBACK)).await?;
    let other = FakeAgent::start(FakeAgentConfig::recorded(ID).with_tls(&LOOPBACK)).await?;
    let folder = tempfile::tempdir()?;
    let pki = agent.pki.as_ref().context("the agent has no certificates")?;
    let files = pki.client_ca.write_client(folder.path())?;
    let host = Host::start(programs::built("keylime-attestor-agent")?).start().await?;

    for (pinned, accepted) in [(&agent, true), (&other, false)] {
        let certificate = folder.path().join("agent.crt");
        std::fs::write(&certificate, &pinned.pki.as_ref().context("no certificates")?.certificate.cert_pem)?;
        let more = format!(
            "keylime_tls_cert_file = {:?}\nkeylime_tls_key_file = {:?}\nkeylime_tls_server_cert_file = {certificate:?}",
            files.cert, files.key
        );
        configure(&host, &agent, &more).await?;
        assert_eq!(payload(&host).await.is_ok(), accepted);
    }
    Ok(())
}

#[tokio::test]
async fn a_keylime_agent_that_fails_is_unavailable() -> Result<()> {
    let agent = FakeAgent::start(FakeAgentConfig::recorded(ID)).await?;
    let host = configured(&agent, "request_timeout = \"1s\"").await?;
    for fault in [
        Fault::Hang,
        Fault::HangUp,
        Fault::CutShort,
        Fault::Huge(10 * 1024 * 1024),
        Fault::Redirect("/".to_owned()),
    ] {
        agent.server.fault("/agent/info", fault.clone());
        let status = payload(&host).await.expect_err("an answer came from nowhere");
        assert_eq!(status.code(), Code::Unavailable, "{fault:?}: {status:?}");
        agent.server.heal();

        agent.server.fault("/quotes/identity", fault.clone());
        let mut session = host.plugin().aid_attestation().await?;
        session.payload().await?;
        let status = session.challenge(challenge("NONCE")?).await.expect_err("a quote came from nowhere");
        assert_eq!(status.code(), Code::Unavailable, "{fault:?}: {status:?}");
        agent.server.heal();
    }
    Ok(())
}

#[tokio::test]
async fn challenges_that_are_none_are_refused_and_no_quote_is_asked_for() -> Result<()> {
    let agent = FakeAgent::start(FakeAgentConfig::recorded(ID)).await?;
    let host = configured(&agent, "").await?;
    for challenge in [
        "x".to_owned(),
        "{}".to_owned(),
        json!({"Nonce": STANDARD.encode("a&partial=0")}).to_string(),
        json!({"Nonce": STANDARD.encode("A".repeat(65))}).to_string(),
        json!({"Nonce": STANDARD.encode("A"), "More": "x".repeat(Challenge::MAX_LEN)}).to_string(),
    ] {
        let mut session = host.plugin().aid_attestation().await?;
        session.payload().await?;
        let status = session.challenge(challenge.clone()).await.expect_err("it was answered");
        assert_eq!(status.code(), Code::InvalidArgument, "{challenge:.60}: {status:?}");
    }
    assert!(
        !agent.server.targets().iter().any(|target| target.contains("quotes")),
        "{:?}",
        agent.server.targets()
    );
    Ok(())
}

fn quoting(config: FakeAgentConfig) -> FakeAgentConfig {
    config.quoting(|nonce| format!("quote of {nonce}"))
}

fn challenge(nonce: &str) -> Result<Vec<u8>> {
    Ok(Challenge { nonce: Nonce::parse(nonce.as_bytes())? }.to_json())
}

async fn configured(agent: &FakeAgent, more: &str) -> Result<Host> {
    let host = Host::start(programs::built("keylime-attestor-agent")?).start().await?;
    configure(&host, agent, more).await?;
    Ok(host)
}

async fn configure(host: &Host, agent: &FakeAgent, more: &str) -> Result<(), Status> {
    let text = format!("keylime_agent_port = \"{}\"\n{more}", agent.server.port());
    host.plugin().configure(TRUST_DOMAIN, &text).await
}

async fn payload(host: &Host) -> Result<Payload, Status> {
    let payload = host.plugin().aid_attestation().await?.payload().await?;
    Payload::from_json(&payload).map_err(|error| Status::unknown(error.to_string()))
}
