//! `keylime-attestor-agent`: the plugin of SPIRE's agent. It says which node this is and has the
//! node's Keylime agent quote what SPIRE's server asks for.

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
