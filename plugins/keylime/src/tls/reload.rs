//! The HTTP client, rebuilt when the TLS files change on disk.
//!
//! There is no background task: the request that begins first after [`RECHECK`] reads the files and compares them with
//! those in use, by content, so that a file that was swapped by a symbolic link (as Kubernetes does) or written again under
//! the same time stamp is noticed too.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use ring::digest::{Digest, SHA256, digest};
use tracing::{info, warn};

use super::files::{Contents, Problem, Setting};
use super::{TlsSettings, client_config, no_tls};

/// How long files are taken as unchanged.
const RECHECK: Duration = Duration::from_secs(1);

/// How many idle connections to one server are kept for the next attestations; about 40 KiB each. An attestation asks the verifier two
/// things at once: enough for 64 attestations at a time.
const MAX_IDLE: usize = 128;

/// What an HTTP client is built with, apart from TLS.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Pool {
    /// How long TCP and TLS together may take.
    pub(crate) connect_timeout: Duration,
    /// How long a connection is kept unused: shorter than the server keeps it.
    pub(crate) idle: Duration,
}

/// Gives each request an HTTP client with the newest good TLS files. Requests under way finish on the client that they began with.
#[derive(Debug)]
pub(crate) struct Clients {
    settings: Option<Arc<TlsSettings>>,
    pool: Pool,
    recheck: Duration,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    client: reqwest::Client,
    digest: Option<Vec<u8>>,
    checked: Instant,
    /// The newest contents that could not be used, and whether that was logged.
    bad: Option<(Vec<u8>, bool)>,
}

impl Clients {
    /// Clients with the TLS files of `settings`, which are read now; without settings, clients for plain http.
    pub(crate) fn new(settings: Option<TlsSettings>, pool: Pool) -> Result<Clients, Vec<Problem>> {
        let (client, digest) = match &settings {
            Some(settings) => {
                let contents = Contents::read(settings)?;
                (pool.build(client_config(settings, &contents)?)?, Some(named(contents.digest())))
            }
            None => {
                (pool.build(no_tls().map_err(|error| vec![Problem::new(Setting::CertFile, error)])?)?, None)
            }
        };
        let state = State { client, digest, checked: Instant::now(), bad: None };
        Ok(Clients { settings: settings.map(Arc::new), pool, recheck: RECHECK, state: Mutex::new(state) })
    }

    /// The client for a request that begins now.
    pub(crate) async fn current(&self) -> reqwest::Client {
        if let Some(settings) = self.due() {
            let pool = self.pool;
            let in_use = self.state().digest.clone();
            let fresh = tokio::task::spawn_blocking(move || reload(&settings, pool, in_use.as_deref())).await;
            if let Ok(fresh) = fresh {
                self.take(fresh);
            }
        }
        self.state().client.clone()
    }

    /// The settings, for the one request whose turn it is to look at the files.
    fn due(&self) -> Option<Arc<TlsSettings>> {
        let settings = self.settings.clone()?;
        let mut state = self.state();
        let due = state.checked.elapsed() >= self.recheck;
        if due {
            state.checked = Instant::now();
        }
        due.then_some(settings)
    }

    fn take(&self, fresh: Fresh) {
        let mut state = self.state();
        match fresh {
            Fresh::Same => state.bad = None,
            Fresh::New { client, digest } => {
                let cert = self.settings.as_ref().map(|settings| settings.cert.display());
                info!(cert = cert.map(tracing::field::display), "TLS files changed: the new ones are in use");
                (state.client, state.digest, state.bad) = (client, Some(digest), None);
            }
            Fresh::Bad { problems, digest } => {
                // Files are often written one after the other: only what is still bad at the next look is reported, once.
                let (seen, logged) = state
                    .bad
                    .take()
                    .filter(|(bad, _)| *bad == digest)
                    .map_or((false, false), |(_, logged)| (true, logged));
                if seen && !logged {
                    let problems: Vec<String> = problems.iter().map(Problem::to_string).collect();
                    warn!(
                        problems = problems.join("; "),
                        "TLS files changed and cannot be used: the old ones stay in use"
                    );
                }
                state.bad = Some((digest, seen));
            }
        }
    }

    /// A panic while the lock is held cannot leave a half-written state: each field is good by itself.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Pool {
    fn build(&self, tls: rustls::ClientConfig) -> Result<reqwest::Client, Vec<Problem>> {
        reqwest::Client::builder()
            .tls_backend_preconfigured(tls)
            .http1_only()
            .no_proxy()
            .hickory_dns(true)
            .redirect(reqwest::redirect::Policy::none())
            .retry(reqwest::retry::never())
            .referer(false)
            .user_agent(concat!("keylime-attestor/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(self.connect_timeout)
            .pool_idle_timeout(self.idle)
            .pool_max_idle_per_host(MAX_IDLE)
            .build()
            .map_err(|error| vec![Problem::new(Setting::CertFile, error)])
    }
}

/// What a look at the files gave.
enum Fresh {
    Same,
    New { client: reqwest::Client, digest: Vec<u8> },
    Bad { problems: Vec<Problem>, digest: Vec<u8> },
}

fn reload(settings: &TlsSettings, pool: Pool, in_use: Option<&[u8]>) -> Fresh {
    let contents = match Contents::read(settings) {
        Ok(contents) => contents,
        Err(problems) => {
            let text: String = problems.iter().map(Problem::to_string).collect();
            return Fresh::Bad { problems, digest: named(digest(&SHA256, text.as_bytes())) };
        }
    };
    let digest = named(contents.digest());
    if in_use == Some(&digest) {
        return Fresh::Same;
    }
    match client_config(settings, &contents).and_then(|config| pool.build(config)) {
        Ok(client) => Fresh::New { client, digest },
        Err(problems) => Fresh::Bad { problems, digest },
    }
}

fn named(digest: Digest) -> Vec<u8> {
    digest.as_ref().to_vec()
}

#[cfg(test)]
#[path = "reload_tests.rs"]
mod tests;
