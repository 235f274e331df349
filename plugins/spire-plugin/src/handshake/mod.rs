//! The handshake of SPIRE and a plugin that it starts.

use std::io::{self, Write};
use std::path::Path;

/// Key and value of the environment variable by which SPIRE says that it wants a node attestor.
const COOKIE: &str = "NodeAttestor";

/// The only version of SPIRE's plugin protocol.
const PROTOCOL_VERSION: &str = "1";

/// The reason why no handshake is made.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error("failed to find SPIRE's cookie: the environment has no {COOKIE}={COOKIE}")]
    NoCookie,
    #[error(
        "failed to agree on a plugin protocol: SPIRE offers {offered:?}, this plugin speaks {PROTOCOL_VERSION}"
    )]
    ProtocolVersion { offered: String },
    #[error("failed to write the handshake to stdout: {0}")]
    Stdout(#[source] io::Error),
}

/// A start by SPIRE, as its environment shows it.
#[derive(Debug)]
pub(crate) struct Handshake {
    /// SPIRE knows of connections that carry several services, and wants to be told.
    asks_for_multiplexing: bool,
}

impl Handshake {
    /// Reads the environment, by a function for tests to replace.
    pub(crate) fn from_env(var: impl Fn(&str) -> Option<String>) -> Result<Self, Error> {
        if var(COOKIE).as_deref() != Some(COOKIE) {
            return Err(Error::NoCookie);
        }
        // Hosts that do not say what they speak are older than the question.
        if let Some(offered) = var("PLUGIN_PROTOCOL_VERSIONS")
            && !offered.split(',').any(|version| version.trim() == PROTOCOL_VERSION)
        {
            return Err(Error::ProtocolVersion { offered });
        }
        Ok(Self { asks_for_multiplexing: var("PLUGIN_MULTIPLEX_GRPC").is_some() })
    }

    /// Tells SPIRE where the plugin listens. Nothing else ever goes to stdout.
    pub(crate) fn tell(&self, socket: &Path) -> Result<(), Error> {
        let mut stdout = io::stdout().lock();
        stdout.write_all(self.line(socket).as_bytes()).and_then(|()| stdout.flush()).map_err(Error::Stdout)
    }

    fn line(&self, socket: &Path) -> String {
        let multiplexing = if self.asks_for_multiplexing { "|false" } else { "" };
        // Version of go-plugin's own protocol, version of the plugin's, network, address, protocol,
        // certificate (none).
        format!("1|{PROTOCOL_VERSION}|unix|{}|grpc|{multiplexing}\n", socket.display())
    }
}

#[cfg(test)]
mod tests;
