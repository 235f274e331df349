//! A real SPIRE on loopback: a server and agents, with our plugins as their node attestors.

mod agent;
mod config;
pub mod objects;
mod release;
mod server;

pub use self::agent::SpireAgent;
pub use self::config::{Attestor, Form};
pub use self::release::Release;
pub use self::server::{ServerOptions, SpireServer};

/// The trust domain of every SPIRE in the lab.
pub const TRUST_DOMAIN: &str = "lab.test";
