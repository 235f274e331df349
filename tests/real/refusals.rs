//! The refusals that matter most, once against the real Keylime and software TPMs. Both plugins run
//! as processes; this test is what stands between them in SPIRE, so that it can change what passes.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use evidence::message::{Payload, Response};
use evidence::{AgentId, HashAlg};
use keylime_attestor_proto::server::node_attestor::AgentAttributes;
use lab::host::{AgentSession, Host, ServerSession};
use lab::keylime::{Keylime, Node, NodeOptions, Options};
use lab::spire::{Attestor, TRUST_DOMAIN};
use lab::{plugins, wait};
use serde_json::{Value, json};
use tokio::runtime::Runtime;
use tonic::{Code, Status};

use crate::{KEYLIME, NODE};

/// The refusal before the node has shown a quote.
const UNTOLD: &str = "is not attested";

const TIMEOUT: Duration = Duration::from_secs(60);

#[test]
fn a_node_attests_eight_times_at_once() -> Result<()> {
    let (runtime, plugins) = (Runtime::new()?, Plugins::of(KEYLIME.get()?, NODE.get()?)?);
    runtime.block_on(async {
        plugins.start().await?;
        let attestations = (0..8).map(|_| plugins.attest());
        futures_util::future::try_join_all(attestations).await?;
        Ok(())
    })
}

#[test]
fn an_id_that_is_not_registered_is_refused() -> Result<()> {
    let (runtime, plugins) = (Runtime::new()?, Plugins::of(KEYLIME.get()?, NODE.get()?)?);
    runtime.block_on(async {
        plugins.start().await?;
        let payload = Payload {
            agent_id: AgentId::new("nobody")?,
            hash_alg: Some(HashAlg::Sha256),
            service_account_token: None,
        };
        let mut session = plugins.server()?.plugin().attest(payload.to_json()).await?;
        let status = session.answer().await.expect_err("an unknown node was challenged");
        assert_refused(&status, UNTOLD);
        plugins.wait_for_reason("not_registered").await
    })
}

#[test]
fn a_node_that_is_not_enrolled_is_refused() -> Result<()> {
    let node = KEYLIME.get()?.add_node(NodeOptions::default())?;
    node.remove_from_verifier()?;
    let (runtime, plugins) = (Runtime::new()?, Plugins::of(KEYLIME.get()?, &node)?);
    let status = runtime.block_on(async {
        plugins.start().await?;
        let status = plugins.attest().await.expect_err("it was accepted");
        plugins.wait_for_reason("not_enrolled").await?;
        anyhow::Ok(status)
    })?;
    assert_refused(&status, UNTOLD);
    Ok(())
}

#[test]
fn a_node_that_fails_between_challenge_and_proof_is_refused() -> Result<()> {
    let node = KEYLIME.get()?.add_node(NodeOptions::default())?;
    let (runtime, plugins) = (Runtime::new()?, Plugins::of(KEYLIME.get()?, &node)?);
    let (mut attestation, challenge) = runtime.block_on(async {
        plugins.start().await?;
        let mut attestation = plugins.open().await?;
        let challenge = attestation.server.challenge().await?;
        anyhow::Ok((attestation, challenge))
    })?;
    node.fail()?;
    let status = runtime.block_on(attestation.finish(&challenge)).expect_err("it was accepted");
    assert_refused(&status, "changed during the attestation");
    Ok(())
}

/// A node that calls itself another one: its configuration says so, and its own TPM quotes.
#[test]
fn a_quote_of_another_tpm_is_refused() -> Result<()> {
    let other = KEYLIME.get()?.add_node(NodeOptions::default())?;
    let mut impostor = Plugins::of(KEYLIME.get()?, &other)?;
    impostor.agent.data.insert("keylime_agent_id".to_owned(), json!(NODE.get()?.agent().id()));
    let status = Runtime::new()?.block_on(async {
        impostor.start().await?;
        anyhow::Ok(impostor.attest().await.expect_err("it was accepted"))
    })?;
    assert_refused(&status, "not by the AK");
    Ok(())
}

#[test]
fn a_challenge_of_another_attestation_is_not_quoted() -> Result<()> {
    let (runtime, plugins) = (Runtime::new()?, Plugins::of(KEYLIME.get()?, NODE.get()?)?);
    let other = KEYLIME.get()?.add_node(NodeOptions::default())?;
    let other = Plugins::of(KEYLIME.get()?, &other)?;
    let status = runtime.block_on(async {
        plugins.start().await?;
        other.start().await?;
        let mut attestation = plugins.open().await?;
        let mut relay = other.open().await?;
        let challenge = attestation.server.challenge().await?;
        anyhow::Ok(relay.agent.challenge(challenge).await.expect_err("it was quoted"))
    })?;
    assert_eq!(status.code(), Code::InvalidArgument, "{status:?}");
    assert!(status.message().contains("nothing was quoted"), "{status:?}");
    Ok(())
}

#[test]
fn replayed_and_tampered_quotes_are_refused() -> Result<()> {
    let (runtime, plugins) = (Runtime::new()?, Plugins::of(KEYLIME.get()?, NODE.get()?)?);
    runtime.block_on(async {
        plugins.start().await?;
        let mut attestation = plugins.open().await?;
        let challenge = attestation.server.challenge().await?;
        let response = attestation.agent.challenge(challenge).await?;
        attestation.server.respond(response.clone());
        attestation.server.attributes().await?;

        let mut replayed = plugins.open().await?;
        replayed.server.challenge().await?;
        replayed.server.respond(response);
        let status = replayed.server.answer().await.expect_err("a replayed quote was accepted");
        assert_refused(&status, "nonce");

        let mut tampered = plugins.open().await?;
        let challenge = tampered.server.challenge().await?;
        let response = Response::from_json(&tampered.agent.challenge(challenge).await?)?;
        // The PCR values are the end of the quote: another value of another PCR state.
        let (rest, pcrs) = response.quote.rsplit_once(':').context("a quote has three parts")?;
        let pcrs = pcrs.replacen("AAAA", "AAAB", 2).replacen("AAAB", "AAAA", 1);
        let quote = format!("{rest}:{pcrs}");
        assert_ne!(quote, response.quote);
        tampered.server.respond(Response { quote }.to_json());
        let status = tampered.server.answer().await.expect_err("a tampered quote was accepted");
        assert_ne!(status.code(), Code::Unavailable, "{status:?}");
        Ok(())
    })
}

#[test]
fn a_success_that_is_too_old_is_refused_and_a_dead_verifier_is_no_refusal() -> Result<()> {
    // The verifier asks so seldom that its last success is soon older than a second.
    let keylime = Keylime::start(Options { quote_interval: 120, ..Options::default() })?;
    let node = keylime.add_node(NodeOptions::default())?;
    let mut plugins = Plugins::of(&keylime, &node)?;
    plugins.server.data.insert("max_attestation_age".to_owned(), json!("1s"));
    let runtime = Runtime::new()?;
    runtime.block_on(plugins.start())?;
    wait::until("a refusal by age", TIMEOUT, || {
        let status = runtime.block_on(plugins.attest()).err().context("it is accepted")?;
        // One that grows too old within an attestation is told so: the quote was shown.
        ensure!(status.message().contains(UNTOLD), "{status:?}");
        assert_refused(&status, UNTOLD);
        runtime.block_on(plugins.wait_for_reason("stale"))
    })?;

    keylime.stop_verifier()?;
    let status = runtime.block_on(plugins.attest()).expect_err("it was accepted without a verifier");
    assert_eq!(status.code(), Code::Unavailable, "{status:?}");
    Ok(())
}

fn assert_refused(status: &Status, text: &str) {
    assert_eq!(status.code(), Code::PermissionDenied, "{status:?}");
    assert!(status.message().contains(text), "{text} is not in {status:?}");
}

/// Both plugins of one node, each a process of its own.
struct Plugins {
    server: Attestor,
    agent: Attestor,
    running: std::sync::OnceLock<(Host, Host)>,
}

/// One attestation, both ends of it.
struct Attestation {
    server: ServerSession,
    agent: AgentSession,
}

impl Plugins {
    fn of(keylime: &Keylime, node: &Node) -> Result<Self> {
        let (server, agent) = (plugins::server(keylime)?, plugins::agent(keylime, node.agent())?);
        Ok(Self { server, agent, running: std::sync::OnceLock::new() })
    }

    async fn start(&self) -> Result<()> {
        let running = (start(&self.server).await?, start(&self.agent).await?);
        self.running.set(running).ok().context("the plugins run already")
    }

    /// The log of SPIRE's server gives the reason.
    async fn wait_for_reason(&self, reason: &str) -> Result<()> {
        let is_it = |entry: &Value| entry.get("reason").and_then(Value::as_str) == Some(reason);
        self.server()?.log().wait_for(is_it).await.map(drop)
    }

    fn server(&self) -> Result<&Host> {
        self.running.get().map(|(server, _)| server).context("the plugins do not run")
    }

    async fn open(&self) -> Result<Attestation, Status> {
        let (server, agent) = self.running.get().ok_or_else(|| Status::unknown("the plugins do not run"))?;
        let mut agent = agent.plugin().aid_attestation().await?;
        let server = server.plugin().attest(agent.payload().await?).await?;
        Ok(Attestation { server, agent })
    }

    async fn attest(&self) -> Result<AgentAttributes, Status> {
        let mut attestation = self.open().await?;
        let challenge = attestation.server.challenge().await?;
        attestation.finish(&challenge).await
    }
}

impl Attestation {
    async fn finish(&mut self, challenge: &[u8]) -> Result<AgentAttributes, Status> {
        self.server.respond(self.agent.challenge(challenge).await?);
        self.server.attributes().await
    }
}

async fn start(attestor: &Attestor) -> Result<Host> {
    let host = Host::start(&attestor.program).start().await?;
    let data = serde_json::to_string(&attestor.data)?;
    host.plugin().configure(TRUST_DOMAIN, &data).await?;
    Ok(host)
}
