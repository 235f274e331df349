//! Serves a SPIRE node attestation plugin written in Rust, as an external plugin: a program that
//! SPIRE starts (`plugin_cmd`) and talks to over a socket.
//!
//! A plugin is a type with two methods: one reads the configuration ([`Configure`]), one attests
//! ([`ServerNodeAttestor`] or [`AgentNodeAttestor`]). All else is done here: the handshake, the
//! socket, health, the configuration in force, SPIRE's host services ([`Host`]), the log, and the
//! end of the process.
//!
//! ```no_run
//! use std::process::ExitCode;
//! use std::sync::Arc;
//!
//! use spire_plugin::{
//!     About, AgentAttributes, Configure, ServerAttestation, ServerNodeAttestor, Status, TrustDomain,
//! };
//!
//! /// Attests every agent that knows the password. Do not use it.
//! struct Password;
//!
//! struct Config {
//!     trust_domain: TrustDomain,
//!     password: String,
//! }
//!
//! impl Configure for Password {
//!     type Config = Config;
//!
//!     async fn configure(&self, trust_domain: &TrustDomain, text: &str) -> Result<Config, Vec<String>> {
//!         // A real plugin parses HCL here.
//!         match text.trim().strip_prefix("password = ") {
//!             Some(password) => Ok(Config { trust_domain: trust_domain.clone(), password: password.to_owned() }),
//!             None => Err(vec!["password is missing".to_owned()]),
//!         }
//!     }
//! }
//!
//! impl ServerNodeAttestor for Password {
//!     async fn attest(
//!         &self,
//!         config: Arc<Config>,
//!         attestation: &mut ServerAttestation,
//!     ) -> Result<AgentAttributes, Status> {
//!         let name = attestation.payload().await?;
//!         let name = String::from_utf8(name).map_err(|_| Status::invalid_argument("the name is not UTF-8"))?;
//!         let response = attestation.challenge(b"password?".to_vec()).await?;
//!         if response != config.password.as_bytes() {
//!             return Err(Status::permission_denied("wrong password"));
//!         }
//!         tracing::info!(name, "attested");
//!         Ok(AgentAttributes {
//!             spiffe_id: format!("spiffe://{}/spire/agent/password/{name}", config.trust_domain),
//!             selector_values: vec![format!("name:{name}")],
//!             can_reattest: true,
//!         })
//!     }
//! }
//!
//! fn main() -> ExitCode {
//!     let about = About { name: "password", version: "1.0.0", description: "attestation by password" };
//!     spire_plugin::serve_server_node_attestor(about, Password)
//! }
//! ```
//!
//! # What a plugin can rely on
//! - An attestation works with one configuration to its end, also when SPIRE configures the plugin
//!   meanwhile. A configuration with problems changes nothing. Without one, attestations fail with
//!   `FailedPrecondition`.
//! - An attestation is dropped when SPIRE gives it up, at whatever it waits for. What has to happen
//!   in any case belongs into a `Drop`.
//! - All of it runs on one thread. What blocks, or computes for long, belongs into
//!   `tokio::task::spawn_blocking`: SPIRE's health checks would wait for it, too.
//! - A panic is the `Internal` error of that one call. Its place is logged; its text, which may
//!   quote secrets, is not.
//! - Events of [`tracing`](https://docs.rs/tracing) from debug on go to SPIRE's log, with the
//!   fields of their spans. SPIRE's own `log_level` decides what is shown. Nothing may be printed
//!   to stdout.
//! - The process ends by SPIRE's Shutdown or by SIGTERM, and by nothing else: SPIRE does not start
//!   a plugin again that died. Attestations that are open then have 1.5 seconds.
//! - Messages have at most 1 MiB. The number of attestations and the time that each takes have no
//!   limit here.

mod about;
mod attestation;
mod command_line;
mod configured;
mod go_plugin;
mod handshake;
mod hclog;
mod host;
mod init;
mod install;
mod own_configuration;
mod panic;
mod plugin;
mod serve;
mod socket;
mod stop;
mod trust_domain;
mod unknown;

pub use about::About;
pub use attestation::{agent::AgentAttestation, server::ServerAttestation};
pub use command_line::{ConfigKey, run_agent_node_attestor, run_server_node_attestor};
pub use host::Host;
pub use plugin::{AgentAttributes, AgentNodeAttestor, Configure, ServerNodeAttestor};
pub use serve::{serve_agent_node_attestor, serve_server_node_attestor};
pub use tonic::{Code, Status};
pub use trust_domain::{InvalidTrustDomain, TrustDomain};
