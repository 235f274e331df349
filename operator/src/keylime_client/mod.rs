//! The operator's own clients: of Keylime's verifiers and registrar, with the Secret of SPIRE's
//! server; and of the plugins in SPIRE's server pods, which show the certificate of that Secret and
//! know the operator by a certificate of its own.

pub(crate) mod reach;

use std::fs;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::time::Duration;
use std::{io, io::Write as _};

use k8s_openapi::api::core::v1::Secret;
use keylime::{Endpoint, IdentityFiles, Servers, ServersConfig, Setting, TlsFiles};
use keylime_attestor_api::Keylime;
use keylime_attestor_api::names::secret_key;
use tempfile::TempDir;

use crate::report_identity::ReportIdentity;

/// Longest time for a report; SPIRE's server answers from memory.
const REPORT_TIMEOUT: Duration = Duration::from_secs(5);

/// A client of Keylime's servers, with its files.
pub(crate) struct KeylimeClient {
    pub(crate) servers: Servers,
    /// The number of verifiers.
    pub(crate) verifiers: usize,
    /// The client of the plugins in SPIRE's server pods, where they report.
    pub(crate) reporter: Option<report::Client>,
    /// A text that changes when the Secret or the resource does.
    pub(crate) version: String,
    /// Readable by this process alone, and gone with it.
    _files: TempDir,
}

impl KeylimeClient {
    /// A client with the certificate and key of a Secret, and with `identity` for the report. Reads
    /// and writes files.
    ///
    /// # Errors
    /// Every problem of the Secret, and of the addresses that it is used for.
    pub(crate) fn new(
        keylime: &Keylime,
        secret: &Secret,
        identity: Option<&ReportIdentity>,
        version: String,
    ) -> Result<Self, Vec<String>> {
        let keys = [secret_key::CA, secret_key::CERTIFICATE, secret_key::PRIVATE_KEY];
        let entry = |key: &str| secret.data.as_ref().and_then(|data| data.get(key));
        let missing: Vec<&str> = keys.into_iter().filter(|key| entry(key).is_none()).collect();
        if !missing.is_empty() {
            return Err(vec![format!("it lacks {}", missing.join(", "))]);
        }
        let problem = |error: io::Error| vec![unkept(&error)];
        let files = TempDir::new().map_err(problem)?;
        for key in keys {
            let content = entry(key).map(|bytes| bytes.0.as_slice()).unwrap_or_default();
            write(&files.path().join(key), content).map_err(problem)?;
        }
        let file = |key: &str| files.path().join(key);
        let tls = TlsFiles {
            ca: file(secret_key::CA),
            cert: file(secret_key::CERTIFICATE),
            key: file(secret_key::PRIVATE_KEY),
            server_name: keylime.tls.server_name.clone(),
        };
        let registrar = keylime.registrar.host.as_ref().unwrap_or(&keylime.verifiers.first().host);
        let endpoint = |host: &str, port| Endpoint::new(host, port).map_err(|error| vec![error.to_string()]);
        let verifiers = keylime.verifiers.iter();
        let number = verifiers.clone().count();
        let verifiers = verifiers.map(|verifier| endpoint(&verifier.host, verifier.port));
        let config = ServersConfig {
            verifiers: verifiers.collect::<Result<_, _>>()?,
            registrar: endpoint(registrar, keylime.registrar.port)?,
            tls,
            request_timeout: keylime.request_timeout.get().min(reach::TIMEOUT),
        };
        let told = |problems: Vec<keylime::Problem>| problems.iter().map(in_secret).collect::<Vec<_>>();
        let servers = Servers::new(config).map_err(told)?;
        let reporter = identity.map(|identity| reporter(files.path(), identity)).transpose()?;
        Ok(Self { servers, verifiers: number, reporter, version, _files: files })
    }
}

fn write(path: &Path, content: &[u8]) -> io::Result<()> {
    fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?.write_all(content)
}

fn unkept(error: &io::Error) -> String {
    format!("the operator failed to keep it in its own folder: {error}")
}

/// The client of plugins that show the certificate in `folder`.
fn reporter(folder: &Path, identity: &ReportIdentity) -> Result<report::Client, Vec<String>> {
    let own = IdentityFiles { cert: folder.join("report.crt"), key: folder.join("report.key") };
    let kept = write(&own.cert, identity.certificate()).and_then(|()| write(&own.key, identity.key()));
    kept.map_err(|error| vec![unkept(&error)])?;
    let client = report::Client::new(folder.join(secret_key::CERTIFICATE), own, REPORT_TIMEOUT);
    client.map_err(|_| vec!["the operator's own certificate for the report cannot be used".to_owned()])
}

/// A problem of one of our files, as one of the Secret's key that it was made from.
fn in_secret(problem: &keylime::Problem) -> String {
    let key = match problem.setting {
        Setting::CaFile => secret_key::CA,
        Setting::CertFile => secret_key::CERTIFICATE,
        Setting::KeyFile => secret_key::PRIVATE_KEY,
        _ => return problem.to_string(),
    };
    let detail = match &problem.path {
        // Without the folder, which nobody else can find.
        Some(path) => problem.detail.replace(&format!("{}/", path.parent().unwrap_or(path).display()), ""),
        None => problem.detail.clone(),
    };
    format!("{key}: {detail}")
}

#[cfg(test)]
mod tests;
