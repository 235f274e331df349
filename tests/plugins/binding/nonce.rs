//! The nonce of one attestation is quoted for that one only: by the agent plugin, before the
//! Keylime agent is asked.

use anyhow::{Context as _, Result};
use evidence::Nonce;
use evidence::message::{Challenge, Payload, Response};
use lab::fake_keylime::{FakeAgent, FakeAgentConfig};
use lab::host::{AgentSession, Host};
use lab::programs;
use lab::site::{Site, SoftNode, TRUST_DOMAIN};
use tonic::{Code, Status};

/// A SPIRE server's plugin, and a node's agent plugin with a Keylime agent that quotes whatever it
/// is asked for.
struct World {
    site: Site,
    keylime_agent: FakeAgent,
    agent: Host,
}

#[tokio::test]
async fn a_server_of_another_trust_domain_gets_no_quote_for_a_nonce_of_ours() -> Result<()> {
    let world = World::start("other.example").await?;
    let (session, payload) = world.attest().await?;
    // The other server passes on what its agent sent, and what it was answered.
    let status = world.passed_on(session, payload).await?;
    assert!(status.message().contains("another trust domain"), "{status:?}");
    Ok(())
}

#[tokio::test]
async fn a_nonce_of_another_attestation_is_not_quoted() -> Result<()> {
    let world = World::start(TRUST_DOMAIN).await?;
    let (session, payload) = world.attest().await?;
    let other = Payload { service_account_token: Some("a.b.c".parse()?), ..Payload::from_json(&payload)? };
    world.passed_on(session, other.to_json()).await?;
    Ok(())
}

#[tokio::test]
async fn both_plugins_of_one_trust_domain_agree() -> Result<()> {
    let world = World::start(TRUST_DOMAIN).await?;
    let (mut session, payload) = world.attest().await?;
    let mut server = world.site.host.plugin().attest(payload).await?;
    let response = session.challenge(server.challenge().await?).await?;
    server.respond(response);
    server.attributes().await?;
    Ok(())
}

impl World {
    async fn start(trust_domain: &str) -> Result<Self> {
        let site = Site::start().await?;
        let node = site.node.clone();
        let recorded = FakeAgentConfig::recorded(node.id().as_str());
        let keylime_agent =
            FakeAgent::start(recorded.quoting(move |nonce| quote(&node, nonce).unwrap_or_default())).await?;
        let agent = Host::start(programs::built("keylime-attestor-agent")?).start().await?;
        let port = format!("keylime_agent_port = {}", keylime_agent.server.port());
        agent.plugin().configure(trust_domain, &port).await?;
        Ok(Self { site, keylime_agent, agent })
    }

    /// The agent's side of an attestation, and its payload.
    async fn attest(&self) -> Result<(AgentSession, Vec<u8>)> {
        let mut session = self.agent.plugin().aid_attestation().await?;
        let payload = session.payload().await?;
        Ok((session, payload))
    }

    /// The agent's answer to the nonce that our server gave for this payload, which nobody quoted.
    async fn passed_on(&self, mut session: AgentSession, payload: Vec<u8>) -> Result<Status> {
        let challenge = self.site.host.plugin().attest(payload).await?.challenge().await?;
        let status = session.challenge(challenge).await.err().context("it was answered")?;
        assert_eq!(status.code(), Code::InvalidArgument, "{status:?}");
        let targets = self.keylime_agent.server.targets();
        assert!(!targets.iter().any(|target| target.contains("quotes")), "{targets:?}");
        Ok(status)
    }
}

fn quote(node: &SoftNode, nonce: &str) -> Result<String> {
    let challenge = Challenge { nonce: Nonce::parse(nonce.as_bytes())? };
    Ok(Response::from_json(&node.respond(&challenge.to_json())?)?.quote)
}
