//! The TLS files: read with limits, and parsed into what rustls uses.

use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use ring::digest::{Context, Digest, SHA256};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::ParsedCertificate;
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::{InconsistentKeys, RootCertStore};

use super::{TlsSettings, Trust};

/// The largest TLS file that is read, in bytes.
const MAX_FILE: u64 = 1024 * 1024;

/// One thing that is wrong with a client's settings or the files that they name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("failed to use the {setting}{}: {detail}", shown(.path))]
pub struct Problem {
    /// Which setting.
    pub setting: Setting,
    /// The file, where the setting names one.
    pub path: Option<PathBuf>,
    /// What was expected and what was found.
    pub detail: String,
}

/// A setting of a client, so that a program can name its own key for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Setting {
    /// The host or port of the verifier, of the registrar or of the agent.
    Endpoint,
    /// The CA certificates that sign the servers' certificates.
    CaFile,
    /// Our client certificate.
    CertFile,
    /// The key of our client certificate.
    KeyFile,
    /// The pinned certificate of the agent.
    PinnedFile,
    /// The name expected in the servers' certificates.
    ServerName,
    /// The time an operation may take.
    RequestTimeout,
}

/// The bytes of the files that settings name, as they were at one moment.
pub(super) struct Contents {
    trust: Vec<u8>,
    cert: Vec<u8>,
    key: Vec<u8>,
}

impl Problem {
    pub(crate) fn new(setting: Setting, detail: impl fmt::Display) -> Problem {
        Problem { setting, path: None, detail: detail.to_string() }
    }

    pub(crate) fn in_file(setting: Setting, path: &Path, detail: impl fmt::Display) -> Problem {
        Problem { setting, path: Some(path.to_owned()), detail: detail.to_string() }
    }
}

impl Contents {
    /// Reads the files, or says of each that cannot be read why.
    pub(super) fn read(settings: &TlsSettings) -> Result<Contents, Vec<Problem>> {
        let trust = match &settings.trust {
            Trust::Ca { file, .. } => read(Setting::CaFile, file),
            Trust::Pin { file } => read(Setting::PinnedFile, file),
            Trust::Twin | Trust::Loopback => Ok(Vec::new()),
        };
        match (trust, read(Setting::CertFile, &settings.cert), read(Setting::KeyFile, &settings.key)) {
            (Ok(trust), Ok(cert), Ok(key)) => Ok(Contents { trust, cert, key }),
            (trust, cert, key) => Err([trust.err(), cert.err(), key.err()].into_iter().flatten().collect()),
        }
    }

    /// Names the contents, without keeping a second copy of the key in memory.
    pub(super) fn digest(&self) -> Digest {
        let mut context = Context::new(&SHA256);
        for part in [&self.trust, &self.cert, &self.key] {
            context.update(&part.len().to_be_bytes());
            context.update(part);
        }
        context.finish()
    }

    pub(super) fn roots(&self, path: &Path) -> Result<RootCertStore, Problem> {
        let mut roots = RootCertStore::empty();
        for certificate in certificates(&self.trust, Setting::CaFile, path)? {
            roots.add(certificate).map_err(|error| {
                Problem::in_file(Setting::CaFile, path, format_args!("expected CA certificates, got {error}"))
            })?;
        }
        Ok(roots)
    }

    /// The pinned certificate, PEM (as Keylime's registrar gives `mtls_cert`) or DER.
    pub(super) fn pin(&self, path: &Path) -> Result<CertificateDer<'static>, Problem> {
        let problem = |detail: String| Problem::in_file(Setting::PinnedFile, path, detail);
        let found = if is_pem(&self.trust) {
            certificates(&self.trust, Setting::PinnedFile, path)?
        } else {
            vec![CertificateDer::from(self.trust.clone())]
        };
        let number = found.len();
        let [certificate] = <[CertificateDer<'_>; 1]>::try_from(found)
            .map_err(|_| problem(format!("expected one certificate, got {number}")))?;
        parsed(&certificate)
            .map_err(|error| problem(format!("expected a certificate, PEM or DER, got {error}")))?;
        Ok(certificate)
    }

    /// Our certificate, without its chain.
    pub(super) fn own(&self, path: &Path) -> Result<CertificateDer<'static>, Problem> {
        let missing = || Problem::in_file(Setting::CertFile, path, "expected a certificate, got none");
        self.chain(path)?.into_iter().next().ok_or_else(missing)
    }

    /// Our certificate chain with its key: each is sound and they belong together.
    pub(super) fn identity(
        &self,
        settings: &TlsSettings,
        provider: &CryptoProvider,
    ) -> Result<Arc<SingleCertAndKey>, Vec<Problem>> {
        let (chain, key) = match (self.chain(&settings.cert), self.key(&settings.key)) {
            (Ok(chain), Ok(key)) => (chain, key),
            (chain, key) => return Err([chain.err(), key.err()].into_iter().flatten().collect()),
        };
        match CertifiedKey::from_der(chain, key, provider) {
            Ok(certified) => Ok(Arc::new(SingleCertAndKey::from(certified))),
            Err(rustls::Error::InconsistentKeys(InconsistentKeys::KeyMismatch)) => {
                let detail = format!("expected the key of the certificate in {}", settings.cert.display());
                Err(vec![Problem::in_file(Setting::KeyFile, &settings.key, detail)])
            }
            Err(error) => {
                let detail = format!("expected an RSA, ECDSA (P-256, P-384) or Ed25519 key, got {error}");
                Err(vec![Problem::in_file(Setting::KeyFile, &settings.key, detail)])
            }
        }
    }

    fn chain(&self, path: &Path) -> Result<Vec<CertificateDer<'static>>, Problem> {
        let chain = certificates(&self.cert, Setting::CertFile, path)?;
        for certificate in &chain {
            parsed(certificate).map_err(|error| {
                Problem::in_file(Setting::CertFile, path, format_args!("expected certificates, got {error}"))
            })?;
        }
        Ok(chain)
    }

    fn key(&self, path: &Path) -> Result<PrivateKeyDer<'static>, Problem> {
        PrivateKeyDer::from_pem_slice(&self.key).map_err(|error| {
            let expected = "expected a PEM private key, not encrypted (PKCS#8, PKCS#1 or SEC 1)";
            Problem::in_file(Setting::KeyFile, path, format_args!("{expected}, got {error}"))
        })
    }
}

impl fmt::Display for Setting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Setting::Endpoint => "host and port",
            Setting::CaFile => "CA file",
            Setting::CertFile => "certificate file",
            Setting::KeyFile => "key file",
            Setting::PinnedFile => "pinned certificate file",
            Setting::ServerName => "server name",
            Setting::RequestTimeout => "request timeout",
        })
    }
}

fn read(setting: Setting, path: &Path) -> Result<Vec<u8>, Problem> {
    read_limited(path).map_err(|error| Problem::in_file(setting, path, error))
}

/// A pipe or a device is refused before it is opened: reading it might never end.
fn read_limited(path: &Path) -> io::Result<Vec<u8>> {
    if !std::fs::metadata(path)?.is_file() {
        return Err(io::Error::other("expected a regular file"));
    }
    let mut bytes = Vec::new();
    File::open(path)?.take(MAX_FILE + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > MAX_FILE {
        return Err(io::Error::other(format!("expected at most {MAX_FILE} bytes, got more")));
    }
    Ok(bytes)
}

fn certificates(
    bytes: &[u8],
    setting: Setting,
    path: &Path,
) -> Result<Vec<CertificateDer<'static>>, Problem> {
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(bytes).collect();
    let found = found.map_err(|error| {
        Problem::in_file(setting, path, format_args!("expected PEM certificates, got {error}"))
    })?;
    if found.is_empty() {
        return Err(Problem::in_file(setting, path, "expected PEM certificates, got none"));
    }
    Ok(found)
}

fn parsed(certificate: &CertificateDer<'_>) -> Result<(), rustls::Error> {
    ParsedCertificate::try_from(certificate).map(|_| ())
}

fn is_pem(bytes: &[u8]) -> bool {
    bytes.windows(10).any(|window| window == b"-----BEGIN")
}

fn shown(path: &Option<PathBuf>) -> String {
    path.as_ref().map(|path| format!(" {}", path.display())).unwrap_or_default()
}
