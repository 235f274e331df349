//! A quoter beside a program that quotes on the same TPM all the time, as Keylime's agent does.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use evidence::HashAlg;
use lab::agent_data::{AgentKey, KeyKind};
use lab::keylime::{Keylime, NodeOptions, Options};
use lab::process::output;
use lab::quoter::Quoter;

use super::verify;

const MINUTE: Duration = Duration::from_secs(60);

/// The verifier has Keylime's agent quote each second; the node stays well.
#[test]
fn beside_a_keylime_agent_both_go_on_for_a_minute() -> Result<()> {
    let keylime = Keylime::start(Options::default())?;
    let node = keylime.add_node(NodeOptions::default())?;
    // Keylime's last agent in Python sets a password there, and needs it no more. Nor has it a
    // resource manager: whatever it does, it throws the keys of others out of the TPM afterwards.
    output(node.agent().tpm().tool("tpm2_changeauth").args(["-c", "endorsement", "-p", "keylime"]))?;
    let key = AgentKey::make(node.agent().tpm(), KeyKind::P256)?;
    let quoter = Quoter::start(&node.agent().tpm().tcti(), &[])?;
    key.write(&quoter.agent_data())?;
    let (begun, mut quotes) = (Instant::now(), 0);
    while begun.elapsed() < MINUTE {
        let nonce = format!("N{quotes}");
        verify(&key, &quoter.quote(&nonce)?, &nonce, HashAlg::Sha256)?;
        quotes += 1;
    }
    ensure!(quotes > 60, "only {quotes} quotes in a minute");
    let attested = node.attestations()?;
    ensure!(attested.status == "PASS", "{attested:?}");
    ensure!(attested.count > 5, "the agent was asked only {} times", attested.count);
    Ok(())
}
