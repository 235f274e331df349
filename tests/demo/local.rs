//! `make demo-local`: a SPIRE agent gets its identity because Keylime and the node's TPM say so,
//! loses it when they no longer do, and gets it back. Everything is real but the TPM, which is
//! software, and the Keylime agent of push mode (`PUSH=1`), which is the lab's; all of it runs on
//! 127.0.0.1 and in /tmp, and is gone at the end.

mod narrator;
mod node;

use std::env;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use lab::plugins;
use lab::spire::{Attestor, ServerOptions, SpireAgent, SpireServer, TRUST_DOMAIN};

use crate::narrator::{heading, quote, say, timed};
use crate::node::Watched;

fn main() -> Result<()> {
    let begun = Instant::now();
    say("Keylime Attestor: SPIRE node attestation by Keylime. A real SPIRE, a real Keylime, a software TPM.");

    let push = match env::args().nth(1).as_deref() {
        None => false,
        Some("--push") => true,
        Some(other) => bail!("expected --push or nothing, got {other:?}"),
    };
    let (id, refusal) = tell(push)?;
    print_summary(&id, &refusal, begun.elapsed());
    Ok(())
}

/// The story. All that it starts has ended when it returns. Gives the node's SPIFFE ID, and why the
/// node was refused.
fn tell(push: bool) -> Result<(String, String)> {
    let node = if push { Watched::push() } else { Watched::pull() }?;
    let (server, mut agent) = attest(&node)?;
    fetch_identity_of_a_workload(&server, &mut agent, &node)?;
    let refusal = tamper(&server, agent, &node)?;
    repair(&server, &node)?;
    Ok((node.spiffe_id(), refusal))
}

fn attest(node: &Watched) -> Result<(SpireServer, SpireAgent)> {
    heading(2, "SPIRE attests the node");
    let options = ServerOptions { attestor: plugins::server(node.keylime())?, agent_ttl: "1h" };
    let server = timed("spire-server is up, with keylime-attestor-server", || SpireServer::start(&options))?;
    let agent = timed("spire-agent is up, with keylime-attestor-agent, and attested", || {
        attested_agent(&server, &node.attestor()?)
    })?;
    show(&server, node)?;
    Ok((server, agent))
}

fn fetch_identity_of_a_workload(server: &SpireServer, agent: &mut SpireAgent, node: &Watched) -> Result<()> {
    heading(3, "A workload on the node gets its identity");
    let parent = node.spiffe_id();
    server.create_entry(&parent, &format!("spiffe://{TRUST_DOMAIN}/workload"))?;
    let svid = timed("the workload has an X509-SVID", || agent.fetch_x509_svid())?;
    quote("spire-agent api fetch x509", &svid);
    Ok(())
}

/// Gives the reason, which SPIRE's server has in its log.
fn tamper(server: &SpireServer, mut agent: SpireAgent, node: &Watched) -> Result<String> {
    heading(4, "Somebody tampers with the node");
    timed("something unknown was measured into PCR 23; Keylime fails the node", || node.fail())?;
    let id = node.spiffe_id();
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

fn repair(server: &SpireServer, node: &Watched) -> Result<()> {
    heading(5, "The node is repaired");
    timed(node.repaired(), || node.repair())?;
    let _agent =
        timed("spire-agent was started again, and attested", || attested_agent(server, &node.attestor()?))?;
    show(server, node)
}

fn attested_agent(server: &SpireServer, attestor: &Attestor) -> Result<SpireAgent> {
    let mut agent = SpireAgent::start(server, attestor)?;
    agent.wait_until_attested()?;
    Ok(agent)
}

fn show(server: &SpireServer, node: &Watched) -> Result<()> {
    let arguments = ["agent", "show", "-spiffeID", &node.spiffe_id()];
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
