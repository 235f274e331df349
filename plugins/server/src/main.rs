//! `keylime-attestor-server`: the plugin of SPIRE's server. It accepts a node only if Keylime knows
//! it, finds it healthy, and the node's quote verifies against the key that is registered for it.

mod attest;
mod binding;
mod claims;
mod client_address;
mod clock;
mod config;
mod confirm;
mod enforcement;
mod failure;
mod keys;
mod record;

use std::process::ExitCode;

use spire_plugin::About;

const ABOUT: About = About {
    name: env!("CARGO_PKG_NAME"),
    version: env!("CARGO_PKG_VERSION"),
    description: "node attestation by Keylime, for spire-server",
};

fn main() -> ExitCode {
    spire_plugin::run_server_node_attestor(ABOUT, &config::keys(), attest::KeylimeAttestor::new())
}
