//! The server that an error names.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use crate::Endpoint;

/// A server as errors name it: its role and its address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Server {
    /// The server's role.
    pub role: Role,
    /// The server's host and port. Where there is a socket: of this machine, and without meaning.
    pub endpoint: Endpoint,
    /// The unix socket by which it is reached in place of host and port: that of the quoter.
    pub socket: Option<Arc<PathBuf>>,
}

/// The role of a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// The Keylime verifier.
    Verifier,
    /// The Keylime registrar.
    Registrar,
    /// The Keylime agent on this node.
    Agent,
}

impl fmt::Display for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.socket {
            Some(socket) => write!(f, "the quoter at {}", socket.display()),
            None => write!(f, "the Keylime {} at {}", self.role, self.endpoint),
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Role::Verifier => "verifier",
            Role::Registrar => "registrar",
            Role::Agent => "agent",
        })
    }
}
