//! `make demo-local`: a SPIRE agent gets its identity because Keylime and the node's TPM say so,
//! loses it when they no longer do, and gets it back. Everything is real but the TPM, which is
//! software; all of it runs on 127.0.0.1 and in /tmp, and is gone at the end.

mod narrator;

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use lab::keylime::{Keylime, Node, NodeOptions, Options};
use lab::plugins;
use lab::spire::{Attestor, ServerOptions, SpireAgent, SpireServer, TRUST_DOMAIN};

use crate::narrator::{heading, quote, say, timed};

fn main() -> Result<()> {
    let begun = Instant::now();
    say("Keylime Attestor: SPIRE node attestation by Keylime. A real SPIRE, a real Keylime, a software TPM.");

    let (id, refusal) = tell()?;
    print_summary(&id, &refusal, begun.elapsed());
    Ok(())
}

/// The story. All that it starts has ended when it returns. Gives the node's SPIFFE ID, and why the
/// node was refused.
fn tell() -> Result<(String, String)> {
    let (keylime, node) = start_keylime()?;
    let (server, mut agent) = attest(&keylime, &node)?;
    fetch_identity_of_a_workload(&server, &mut agent, &node)?;
    let refusal = tamper(&server, agent, &node)?;
    repair(&server, &plugins::agent(&keylime, node.agent())?, &node)?;
    Ok((plugins::spiffe_id(node.agent()), refusal))
}

fn start_keylime() -> Result<(Keylime, Node)> {
    heading(1, "Keylime watches a node");
    let keylime = timed("Keylime's verifier and registrar are up", || Keylime::start(Options::default()))?;
    let enrolled = NodeOptions { with_tenant: true, ..NodeOptions::default() };
    let node = timed("a node (TPM, Keylime agent) was enrolled with keylime_tenant, and passes", || {
        keylime.add_node(enrolled)
    })?;
    say(&format!("   The node's id in Keylime is {}.", node.agent().id()));
    Ok((keylime, node))
}

fn attest(keylime: &Keylime, node: &Node) -> Result<(SpireServer, SpireAgent)> {
    heading(2, "SPIRE attests the node");
    let options = ServerOptions { attestor: plugins::server(keylime)?, agent_ttl: "1h" };
    let server = timed("spire-server is up, with keylime-attestor-server", || SpireServer::start(&options))?;
    let agent = timed("spire-agent is up, with keylime-attestor-agent, and attested", || {
        attested_agent(&server, &plugins::agent(keylime, node.agent())?)
    })?;
    show(&server, node)?;
    Ok((server, agent))
}

fn fetch_identity_of_a_workload(server: &SpireServer, agent: &mut SpireAgent, node: &Node) -> Result<()> {
    heading(3, "A workload on the node gets its identity");
    let parent = plugins::spiffe_id(node.agent());
    server.create_entry(&parent, &format!("spiffe://{TRUST_DOMAIN}/workload"))?;
    let svid = timed("the workload has an X509-SVID", || agent.fetch_x509_svid())?;
    quote("spire-agent api fetch x509", &svid);
    Ok(())
}

/// Gives the reason, which SPIRE's server has in its log.
fn tamper(server: &SpireServer, mut agent: SpireAgent, node: &Node) -> Result<String> {
    heading(4, "Somebody tampers with the node");
    timed("something unknown was measured into PCR 23; Keylime fails the node", || node.fail())?;
    let id = plugins::spiffe_id(node.agent());
    timed("spire-agent has to attest again (spire-server agent evict), is refused, and ends", || {
        server.evict(&id)?;
        agent.wait_until_refused()
    })?;
    let log = server.log()?;
    let ended = log.lines().rev().find(|line| line.contains("node attestation ended"));
    let (_, refusal) = ended
        .and_then(|line| line.split_once(" error=\""))
        .with_context(|| format!("spire-server does not say why it refused:\n{log}"))?;
    let refusal = refusal.split('"').next().unwrap_or_default();
    quote("spire-server's log", refusal);
    Ok(refusal.to_owned())
}

fn repair(server: &SpireServer, attestor: &Attestor, node: &Node) -> Result<()> {
    heading(5, "The node is repaired");
    timed("PCR 23 is as it should be; Keylime attested again, and passes the node", || node.repair())?;
    let _agent = timed("spire-agent was started again, and attested", || attested_agent(server, attestor))?;
    show(server, node)
}

fn attested_agent(server: &SpireServer, attestor: &Attestor) -> Result<SpireAgent> {
    let mut agent = SpireAgent::start(server, attestor)?;
    agent.wait_until_attested()?;
    Ok(agent)
}

fn show(server: &SpireServer, node: &Node) -> Result<()> {
    let arguments = ["agent", "show", "-spiffeID", &plugins::spiffe_id(node.agent())];
    quote(&format!("spire-server {}", arguments.join(" ")), &server.command(&arguments)?);
    Ok(())
}

fn print_summary(id: &str, refusal: &str, took: Duration) {
    say(&format!(
        "\nWhat you saw, in {:.0} s:
  - SPIRE gave the node the identity {id}
    because its TPM signed a fresh challenge, and Keylime says that it runs what it should.
  - A workload on the node got its own identity from it.
  - Once Keylime failed the node, it was refused as soon as it had to attest again:
    {refusal}
  - Once it was repaired, it got its identity back.
All that was started is ended now, and its files are removed.",
        took.as_secs_f64(),
    ));
}
