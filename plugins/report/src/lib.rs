//! The report of the SPIRE server plugin to the operator: the agents that SPIRE's server holds, and
//! the state and actions of enforcement.
//!
//! The plugin answers `GET` [`REPORT_PATH`] with a [`Report`] and `POST` [`REATTEST_PATH`] with an
//! empty body, as JSON over mutual TLS in which each end is known to the other by its certificate
//! or key alone. The answer to a request that is refused is a [`Rejection`].

mod agent_id;
mod client;
mod wire;

pub use client::{Client, Error};
pub use wire::{Act, Action, Agent, Loop, Mode, Reattest, Rejection, Report};

/// The version of these messages.
pub const VERSION: u32 = 1;

/// The path of the report.
pub const REPORT_PATH: &str = "/v1/report";

/// The path of requests that an agent attests anew.
pub const REATTEST_PATH: &str = "/v1/reattest";

/// The longest report, in bytes. 20,000 agents take 6 MiB.
pub const MAX_REPORT: usize = 16 * 1024 * 1024;

/// The most agents in a report.
pub const MAX_AGENTS: usize = 20_000;

/// The most actions in a report: the newest ones.
pub const MAX_ACTIONS: usize = 256;

/// The longest body of a request, in bytes: a SPIFFE ID has at most 2,048.
pub const MAX_REQUEST: usize = 4 * 1024;
