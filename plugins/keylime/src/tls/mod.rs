//! The TLS of a connection: its files, their content, and the certificates that are trusted.

mod certificate;
mod files;
mod key_hash;
mod pem;
mod pinned_server;
mod problem;
mod reload;
mod verify;

pub(crate) use certificate::flaw;
pub use key_hash::{InvalidKeyHash, KeyHash};
pub(crate) use pinned_server::servers as pinned_servers;
pub use problem::{Problem, Setting};
pub(crate) use reload::{Clients, Followed, Pool};

use std::path::PathBuf;
use std::sync::Arc;

use rustls::ClientConfig;
use rustls::client::Resumption;
use rustls::client::danger::ServerCertVerifier;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::ServerName;
use rustls::version::{TLS12, TLS13};

use files::Contents;
use verify::{CaVerifier, PinVerifier};

/// The files and rules for connections to one kind of server. Only paths: the contents are read
/// when they are needed.
#[derive(Debug, Clone)]
pub(crate) struct TlsSettings {
    pub(crate) trust: Trust,
    /// What we show. [`None`]: no certificate.
    pub(crate) identity: Option<IdentityFiles>,
}

/// What one end shows. Followed on disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IdentityFiles {
    /// The certificate with its chain (PEM). May hold the key as well.
    pub cert: PathBuf,
    /// Its key: PEM, PKCS#8, PKCS#1 or SEC 1, not encrypted.
    pub key: PathBuf,
}

/// The server certificates that are accepted.
#[derive(Debug, Clone)]
pub(crate) enum Trust {
    /// Those signed by a CA of the file, for the name given, else for the host dialled.
    Ca { file: PathBuf, server_name: Option<ServerName<'static>> },
    /// Only the one in the file, byte for byte.
    Pin { file: PathBuf },
    /// Only the first one in the file, byte for byte, whatever its name.
    Peer { file: PathBuf },
    /// Any whose key the other side proves to have. Only for a server on this machine: proves
    /// nothing about who answers, and only keeps the traffic private.
    Loopback,
}

/// The TLS configuration of `contents` under `settings`, or every problem of theirs.
fn client_config(settings: &TlsSettings, contents: &Contents) -> Result<ClientConfig, Vec<Problem>> {
    let provider = provider();
    let verifier = verifier(settings, contents, &provider);
    let identity = settings.identity.as_ref().map(|files| contents.identity(files, &provider)).transpose();
    let (verifier, identity) = match (verifier, identity) {
        (Ok(verifier), Ok(identity)) => (verifier, identity),
        (Err(problem), Ok(_)) => return Err(vec![problem]),
        (Ok(_), Err(problems)) => return Err(problems),
        (Err(problem), Err(problems)) => return Err([vec![problem], problems].concat()),
    };
    let builder = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&TLS13, &TLS12])
        .map_err(|error| vec![Problem::new(Setting::CertFile, error)])?
        .dangerous()
        .with_custom_certificate_verifier(verifier);
    let mut config = match identity {
        Some(identity) => builder.with_client_cert_resolver(identity),
        None => builder.with_no_client_auth(),
    };
    // A resumed session would skip the certificate check; connections are kept, so that handshakes
    // are rare anyway.
    config.resumption = Resumption::disabled();
    Ok(config)
}

/// The configuration of a client that makes no TLS connection; reqwest asks for one all the same.
fn no_tls() -> Result<ClientConfig, rustls::Error> {
    let builder = ClientConfig::builder_with_provider(provider()).with_protocol_versions(&[&TLS13])?;
    Ok(builder.with_root_certificates(rustls::RootCertStore::empty()).with_no_client_auth())
}

fn verifier(
    settings: &TlsSettings,
    contents: &Contents,
    provider: &Arc<CryptoProvider>,
) -> Result<Arc<dyn ServerCertVerifier>, Problem> {
    match &settings.trust {
        Trust::Ca { file, server_name } => {
            let roots = Arc::new(contents.roots(file)?);
            let verifier = CaVerifier::new(roots, server_name.clone(), provider.clone())
                .map_err(|error| Problem::in_file(Setting::CaFile, file, error))?;
            Ok(Arc::new(verifier))
        }
        Trust::Pin { file } => Ok(Arc::new(PinVerifier::pinned(contents.pin(file)?, provider))),
        Trust::Peer { file } => Ok(Arc::new(PinVerifier::peer(contents.peer(file)?, provider))),
        Trust::Loopback => Ok(Arc::new(PinVerifier::any(provider))),
    }
}

/// ring, whichever provider another crate has made the default of the process.
fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}
