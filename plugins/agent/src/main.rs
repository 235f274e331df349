//! `keylime-attestor-agent`: the plugin of SPIRE's agent. It names the node and has the node's
//! Keylime agent quote the nonce of SPIRE's server.

mod aid;
mod config;

use std::process::ExitCode;

use spire_plugin::About;

const ABOUT: About = About {
    name: env!("CARGO_PKG_NAME"),
    version: env!("CARGO_PKG_VERSION"),
    description: "node attestation by Keylime, for spire-agent",
};

fn main() -> ExitCode {
    spire_plugin::run_agent_node_attestor(ABOUT, config::KEYS, aid::KeylimeNode)
}
