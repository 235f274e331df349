//! HTTP clients and servers, made again when the TLS files change on disk.
//!
//! Without a background task: the request that begins first after [`RECHECK`] reads the files and
//! compares them with those in use, by content, so that a file that was swapped by a symbolic link
//! (as Kubernetes does) or written again under the same time stamp is noticed too.

use std::fmt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use ring::digest::{Digest, SHA256, digest};
use tracing::{info, warn};

use super::files::Contents;
use super::problem::{Problem, Setting};
use super::{TlsSettings, client_config, no_tls};
use crate::resolve::Resolver;

/// The time for which files are taken as unchanged.
const RECHECK: Duration = Duration::from_secs(1);

/// Most idle connections to one server, about 40 KiB each. An attestation asks the verifier three
/// things at once: enough for 64 attestations at a time.
const MAX_IDLE: usize = 192;

/// The settings of an HTTP client, apart from TLS.
#[derive(Debug, Clone)]
pub(crate) struct Pool {
    /// The longest time for TCP and TLS together.
    pub(crate) connect_timeout: Duration,
    /// The time that an unused connection is kept: shorter than the server keeps it.
    pub(crate) idle: Duration,
    /// The unix socket of all connections, whatever their URL.
    pub(crate) socket: Option<PathBuf>,
}

/// A value made of TLS files, always of the newest good ones. A request finishes with the value
/// that it began with.
pub(crate) struct Followed<T> {
    source: Option<Source<T>>,
    recheck: Duration,
    state: Mutex<State<T>>,
}

/// Gives each request an HTTP client.
pub(crate) type Clients = Followed<reqwest::Client>;

/// The files that are followed, and how the value is made of them.
struct Source<T> {
    settings: Arc<TlsSettings>,
    build: Build<T>,
}

type Build<T> = Arc<dyn Fn(&TlsSettings, &Contents) -> Result<T, Vec<Problem>> + Send + Sync>;

struct State<T> {
    current: T,
    digest: Option<Vec<u8>>,
    checked: Instant,
    /// The newest contents that cannot be used; true once that is logged.
    bad: Option<(Vec<u8>, bool)>,
}

impl Clients {
    /// Clients with the TLS files of `settings`, which are read now; without settings, clients for
    /// plain http.
    pub(crate) fn new(settings: Option<TlsSettings>, pool: Pool) -> Result<Clients, Vec<Problem>> {
        match settings {
            Some(settings) => Followed::of_files(settings, move |settings, contents| {
                pool.build(client_config(settings, contents)?)
            }),
            None => {
                let tls = no_tls().map_err(|error| vec![Problem::new(Setting::CertFile, error)])?;
                Ok(Followed::with(None, pool.build(tls)?, None))
            }
        }
    }
}

impl<T: Clone + Send + 'static> Followed<T> {
    /// Reads the files now, with all their problems.
    pub(super) fn of_files(
        settings: TlsSettings,
        build: impl Fn(&TlsSettings, &Contents) -> Result<T, Vec<Problem>> + Send + Sync + 'static,
    ) -> Result<Followed<T>, Vec<Problem>> {
        let contents = Contents::read(&settings)?;
        let current = build(&settings, &contents)?;
        let source = Source { settings: Arc::new(settings), build: Arc::new(build) };
        Ok(Followed::with(Some(source), current, Some(named(contents.digest()))))
    }

    fn with(source: Option<Source<T>>, current: T, digest: Option<Vec<u8>>) -> Followed<T> {
        let state = State { current, digest, checked: Instant::now(), bad: None };
        Followed { source, recheck: RECHECK, state: Mutex::new(state) }
    }

    /// The value for a request that begins now.
    pub(crate) async fn current(&self) -> T {
        if let Some(Source { settings, build }) = self.due() {
            let (settings, build) = (Arc::clone(settings), Arc::clone(build));
            let in_use = self.state().digest.clone();
            let fresh =
                tokio::task::spawn_blocking(move || reload(&settings, &build, in_use.as_deref())).await;
            if let Ok(fresh) = fresh {
                self.take(fresh);
            }
        }
        self.state().current.clone()
    }

    /// The source, for the one request whose turn it is to read the files.
    fn due(&self) -> Option<&Source<T>> {
        let source = self.source.as_ref()?;
        let mut state = self.state();
        let due = state.checked.elapsed() >= self.recheck;
        if due {
            state.checked = Instant::now();
        }
        due.then_some(source)
    }

    fn take(&self, fresh: Fresh<T>) {
        let mut state = self.state();
        match fresh {
            Fresh::Same => state.bad = None,
            Fresh::New { made, digest } => {
                let own = self.source.as_ref().and_then(|source| source.settings.identity.as_ref());
                let cert = own.map(|own| tracing::field::display(own.cert.display()));
                info!(cert, "TLS files changed: the new ones are in use");
                (state.current, state.digest, state.bad) = (made, Some(digest), None);
            }
            Fresh::Bad { problems, digest } => {
                // Files are often written one after the other: only contents that are still bad at
                // the next reading are reported, once.
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

    /// The state, also after a panic under the lock, which cannot leave it half-written: each field
    /// is good by itself.
    fn state(&self) -> MutexGuard<'_, State<T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Pool {
    fn build(&self, tls: rustls::ClientConfig) -> Result<reqwest::Client, Vec<Problem>> {
        let mut builder = reqwest::Client::builder();
        if let Some(socket) = &self.socket {
            builder = builder.unix_socket(socket.clone());
        }
        builder
            .tls_backend_preconfigured(tls)
            .http1_only()
            .no_proxy()
            .dns_resolver(Resolver::default())
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

impl<T> fmt::Debug for Followed<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let settings = self.source.as_ref().map(|source| &source.settings);
        f.debug_struct("Followed").field("settings", &settings).finish_non_exhaustive()
    }
}

/// The result of a reading of the files.
enum Fresh<T> {
    Same,
    New { made: T, digest: Vec<u8> },
    Bad { problems: Vec<Problem>, digest: Vec<u8> },
}

fn reload<T>(settings: &TlsSettings, build: &Build<T>, in_use: Option<&[u8]>) -> Fresh<T> {
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
    match build(settings, &contents) {
        Ok(made) => Fresh::New { made, digest },
        Err(problems) => Fresh::Bad { problems, digest },
    }
}

fn named(digest: Digest) -> Vec<u8> {
    digest.as_ref().to_vec()
}

#[cfg(test)]
mod tests;
