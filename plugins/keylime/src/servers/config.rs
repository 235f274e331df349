//! The configuration of the client.

use std::path::PathBuf;
use std::time::Duration;

use rustls::pki_types::ServerName;

use crate::Endpoint;
use crate::tls::{Problem, Setting};

/// The addresses of Keylime's servers, and the rules of their connections.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServersConfig {
    /// The https ports of the verifiers. Each agent belongs to the one that knows it; errors name
    /// the first when none does.
    pub verifiers: Vec<Endpoint>,
    /// The registrar's https port.
    pub registrar: Endpoint,
    /// The files for TLS with all of them.
    pub tls: TlsFiles,
    /// The longest time for one request, the negotiation of the API version included.
    pub request_timeout: Duration,
}

/// The files for TLS with Keylime's servers. Followed on disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsFiles {
    /// The CA certificates that are trusted, and no others (PEM).
    pub ca: PathBuf,
    /// Our client certificate with its chain (PEM). May hold the key as well.
    pub cert: PathBuf,
    /// The key of the certificate: PEM, PKCS#8, PKCS#1 or SEC 1, not encrypted.
    pub key: PathBuf,
    /// The DNS name or address that the servers' certificates must be for; [`None`] is the host
    /// dialled.
    pub server_name: Option<String>,
}

pub(super) fn server_name(text: &str) -> Result<ServerName<'static>, Problem> {
    ServerName::try_from(text.to_owned()).map_err(|_| {
        Problem::new(Setting::ServerName, format_args!("expected a DNS name or an IP address, got {text:?}"))
    })
}
