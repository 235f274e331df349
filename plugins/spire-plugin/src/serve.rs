//! From the start of the process to its end.

use std::process::ExitCode;

use crate::{About, AgentNodeAttestor, ServerNodeAttestor};

/// Serves a node attestor of SPIRE's server until SPIRE shuts it down: all that `main` has to do.
#[must_use]
pub fn serve_server_node_attestor(about: About, plugin: impl ServerNodeAttestor) -> ExitCode {
    let _ = (about, plugin);
    ExitCode::FAILURE
}

/// Serves a node attestor of SPIRE's agent until SPIRE shuts it down: all that `main` has to do.
#[must_use]
pub fn serve_agent_node_attestor(about: About, plugin: impl AgentNodeAttestor) -> ExitCode {
    let _ = (about, plugin);
    ExitCode::FAILURE
}
