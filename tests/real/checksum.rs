//! SPIRE starts a plugin whose SHA-256 is the one in its configuration, and no other.

use std::fs;
use std::time::Duration;

use anyhow::Result;
use lab::fake_keylime::pki::Ca;
use lab::spire::{Attestor, ServerOptions, SpireAgent, SpireServer};
use lab::{janitor, programs};
use ring::digest::{SHA256, digest};
use serde_json::{Value, json};

#[test]
fn spire_starts_the_plugins_by_their_checksums_only() -> Result<()> {
    let dir = janitor::folder("checksum")?;
    let client = Ca::new()?.write_client(dir.path())?;
    let data = json!({
        "keylime_tls_ca_cert_file": client.ca,
        "keylime_tls_cert_file": client.cert,
        "keylime_tls_key_file": client.key,
    });
    let attestor = with_checksum("keylime-attestor-server", data)?;
    let wrong = ServerOptions { attestor: with_wrong_checksum(&attestor), agent_ttl: "1h" };
    let error = SpireServer::start(&wrong).expect_err("SPIRE's server starts a plugin with another checksum");
    assert_is_refusal(&format!("{error:#}"));
    let server = SpireServer::start(&ServerOptions { attestor, agent_ttl: "1h" })?;

    let attestor = with_checksum("keylime-attestor-agent", json!({}))?;
    let log = SpireAgent::start(&server, &with_wrong_checksum(&attestor))?.wait_until_refused()?;
    assert_is_refusal(&log);
    let mut agent = SpireAgent::start(&server, &attestor)?;
    agent.process_mut().wait_for_log("Starting node attestation", Duration::from_secs(60))
}

fn with_checksum(program: &str, data: Value) -> Result<Attestor> {
    let program = programs::built(program)?;
    let digest = digest(&SHA256, &fs::read(&program)?);
    let checksum = digest.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
    Ok(Attestor { checksum: Some(checksum), ..Attestor::new(program, data) })
}

fn with_wrong_checksum(attestor: &Attestor) -> Attestor {
    let checksum = attestor.checksum.as_ref().map(|right| {
        let (first, rest) = right.split_at(1);
        format!("{}{rest}", if first == "0" { "1" } else { "0" })
    });
    Attestor { checksum, ..attestor.clone() }
}

fn assert_is_refusal(log: &str) {
    assert!(log.contains("checksums did not match"), "{log}");
}
