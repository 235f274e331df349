//! The TLS files: read with limits, and parsed into rustls's types.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;
use std::sync::Arc;

use ring::digest::{Context, Digest, SHA256};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::{InconsistentKeys, RootCertStore};

use super::certificate::{self, P521, flaw_of};
use super::{IdentityFiles, Problem, Setting, TlsSettings, Trust, pem};

/// The largest TLS file that is read, in bytes.
const MAX_FILE: u64 = 1024 * 1024;

/// The bytes of the files that settings name, as they were at one moment.
pub(super) struct Contents {
    trust: Vec<u8>,
    cert: Vec<u8>,
    key: Vec<u8>,
}

impl Contents {
    /// Reads the files; a problem for each that cannot be read.
    pub(super) fn read(settings: &TlsSettings) -> Result<Contents, Vec<Problem>> {
        let trust = match &settings.trust {
            Trust::Ca { file, .. } => read(Setting::CaFile, file),
            Trust::Pin { file } | Trust::Peer { file } => read(Setting::PinnedFile, file),
            Trust::Loopback => Ok(Vec::new()),
        };
        let (cert, key) = match &settings.identity {
            Some(files) => (read(Setting::CertFile, &files.cert), read(Setting::KeyFile, &files.key)),
            None => (Ok(Vec::new()), Ok(Vec::new())),
        };
        match (trust, cert, key) {
            (Ok(trust), Ok(cert), Ok(key)) => Ok(Contents { trust, cert, key }),
            (trust, cert, key) => Err([trust.err(), cert.err(), key.err()].into_iter().flatten().collect()),
        }
    }

    /// Identifies the contents, without a second copy of the key in memory.
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
                let flaw = flaw_of(&error);
                Problem::in_file(Setting::CaFile, path, format_args!("expected CA certificates, got {flaw}"))
            })?;
        }
        Ok(roots)
    }

    /// The pinned certificate, PEM (as Keylime's registrar gives `mtls_cert`) or DER.
    pub(super) fn pin(&self, path: &Path) -> Result<CertificateDer<'static>, Problem> {
        let problem = |detail: String| Problem::in_file(Setting::PinnedFile, path, detail);
        let found = if pem::is_pem(&self.trust) {
            certificates(&self.trust, Setting::PinnedFile, path)?
        } else {
            vec![CertificateDer::from(self.trust.clone())]
        };
        let number = found.len();
        let [certificate] = <[CertificateDer<'_>; 1]>::try_from(found)
            .map_err(|_| problem(format!("expected one certificate, got {number}")))?;
        certificate::check_with_key(&certificate)
            .map_err(|flaw| problem(format!("expected a certificate, PEM or DER, got {flaw}")))?;
        Ok(certificate)
    }

    /// The certificate of the other side, the first of a PEM file.
    pub(super) fn peer(&self, path: &Path) -> Result<CertificateDer<'static>, Problem> {
        let missing = || Problem::in_file(Setting::PinnedFile, path, "expected a certificate, got none");
        certificates(&self.trust, Setting::PinnedFile, path)?.into_iter().next().ok_or_else(missing)
    }

    /// Our certificate chain with its key, checked to be sound and to belong together.
    pub(super) fn identity(
        &self,
        files: &IdentityFiles,
        provider: &CryptoProvider,
    ) -> Result<Arc<SingleCertAndKey>, Vec<Problem>> {
        let (chain, key) = match (self.chain(&files.cert), self.key(&files.key)) {
            (Ok(chain), Ok(key)) => (chain, key),
            (chain, key) => return Err([chain.err(), key.err()].into_iter().flatten().collect()),
        };
        let problem = |setting, path, detail: String| vec![Problem::in_file(setting, path, detail)];
        match CertifiedKey::from_der(chain.clone(), key.clone_key(), provider) {
            Ok(certified) => Ok(Arc::new(SingleCertAndKey::from(certified))),
            Err(rustls::Error::InconsistentKeys(InconsistentKeys::KeyMismatch)) => {
                Err(match place_of_own(&chain, &key, provider) {
                    Some(place) => {
                        let detail = format!(
                            "expected your own certificate first and then its issuers: the key is that of certificate {place}"
                        );
                        problem(Setting::CertFile, &files.cert, detail)
                    }
                    None => {
                        let detail =
                            format!("expected the key of the certificate in {}", files.cert.display());
                        problem(Setting::KeyFile, &files.key, detail)
                    }
                })
            }
            Err(_) => {
                let came = if certificate::is_p521(key.secret_der()) {
                    P521
                } else {
                    "one of another kind, or one that its label does not fit"
                };
                let detail = format!("expected an RSA, ECDSA (P-256, P-384) or Ed25519 key, got {came}");
                Err(problem(Setting::KeyFile, &files.key, detail))
            }
        }
    }

    fn chain(&self, path: &Path) -> Result<Vec<CertificateDer<'static>>, Problem> {
        let chain = certificates(&self.cert, Setting::CertFile, path)?;
        let problem = |flaw| {
            Problem::in_file(Setting::CertFile, path, format_args!("expected certificates, got {flaw}"))
        };
        chain.first().map_or(Ok(()), certificate::check_with_key).map_err(problem)?;
        chain.iter().skip(1).try_for_each(certificate::check).map_err(problem)?;
        Ok(chain)
    }

    fn key(&self, path: &Path) -> Result<PrivateKeyDer<'static>, Problem> {
        pem::private_key(&self.key).map_err(|came| {
            let expected = "expected a PEM private key, not encrypted (PKCS#8, PKCS#1 or SEC 1)";
            Problem::in_file(Setting::KeyFile, path, format_args!("{expected}, got {came}"))
        })
    }
}

fn read(setting: Setting, path: &Path) -> Result<Vec<u8>, Problem> {
    read_limited(path).map_err(|error| Problem::in_file(setting, path, error))
}

/// The content of a file. A pipe or a device is refused before it is opened: reading it might never
/// end.
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
    pem::certificates(bytes).map_err(|came| {
        Problem::in_file(setting, path, format_args!("expected PEM certificates, got {came}"))
    })
}

/// The place, counted from 1, of the certificate that the key belongs to.
fn place_of_own(
    chain: &[CertificateDer<'static>],
    key: &PrivateKeyDer<'static>,
    provider: &CryptoProvider,
) -> Option<usize> {
    let fits = |certificate: &CertificateDer<'static>| {
        CertifiedKey::from_der(vec![certificate.clone()], key.clone_key(), provider).is_ok()
    };
    chain.iter().position(fits).map(|index| index + 1)
}
