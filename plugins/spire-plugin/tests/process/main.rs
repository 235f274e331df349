//! The whole crate through a real process and its real socket, with the lab in SPIRE's place.

mod attestation;
mod configuration;
mod go_plugin;
mod host_services;
mod log;
mod start;

use anyhow::Result;
use lab::host::{Host, Start};

/// The name of the trust domain in all tests.
const TRUST_DOMAIN: &str = "example.org";

/// A plugin of SPIRE's server.
fn server_plugin() -> Start {
    Host::start(env!("CARGO_BIN_EXE_spire-test-plugin"))
}

/// A plugin of SPIRE's agent.
fn agent_plugin() -> Start {
    server_plugin().arg("agent")
}

/// A started and configured plugin of SPIRE's server.
async fn configured() -> Result<Host> {
    let host = server_plugin().start().await?;
    host.plugin().configure(TRUST_DOMAIN, "hello").await?;
    Ok(host)
}

/// Ends the plugin as SPIRE does. It exits with 0 and has written nothing but the handshake to
/// stdout.
async fn ends_well(host: Host) -> Result<()> {
    let ended = host.shut_down().await?;
    anyhow::ensure!(ended.status.success(), "exit status: {}", ended.status);
    anyhow::ensure!(ended.stdout.is_empty(), "stdout: {:?}", String::from_utf8_lossy(&ended.stdout));
    Ok(())
}
