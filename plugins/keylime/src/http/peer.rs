//! One server and the API version spoken with it.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use reqwest::Url;
use tracing::{debug, trace, warn};

use super::failure::{Situation, Via};
use super::version::{ApiVersion, Negotiated};
use super::{Answer, Failure};
use crate::Endpoint;
use crate::error::{Error, Role, Server, Unreachable};
use crate::tls::{Clients, Problem, Setting};

/// A server: its address, and the version of its API that is in use.
#[derive(Debug)]
pub(crate) struct Peer {
    server: Server,
    root: Url,
    situation: Situation,
    version: Negotiated,
    /// Held while the version is negotiated, so that many requests at once negotiate only once.
    negotiation: tokio::sync::Mutex<()>,
}

/// The path and query below `/v2.x/`. Segments and values are escaped when the URL is built.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Ask<'a> {
    pub(crate) path: &'a [&'a str],
    pub(crate) query: &'a [(&'a str, &'a str)],
    pub(crate) scope: Scope,
}

/// The limits of size and time for an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scope {
    /// An answer about one agent.
    One,
    /// The ids of all agents.
    Ids,
    /// An answer about all agents, whose records a verifier reads from its database one after the
    /// other.
    All,
}

/// The time for an answer about all agents, in times of one about one agent.
const BULK_PATIENCE: u32 = 6;

impl Peer {
    pub(crate) fn new(
        role: Role,
        endpoint: Endpoint,
        https: bool,
        timeout: Duration,
    ) -> Result<Peer, Problem> {
        let root = endpoint.url(if https { "https" } else { "http" }).ok_or_else(|| {
            Problem::new(
                Setting::Endpoint,
                format_args!("expected a host, got one that is read as another: {endpoint}"),
            )
        })?;
        let via = if role == Role::Agent { Via::Agent } else { Via::Network };
        let situation = Situation {
            via,
            plain_http: !https,
            connect_timeout: connect_timeout(timeout),
            request_timeout: timeout,
        };
        let server = Server { role, endpoint, socket: None };
        let (version, negotiation) = (Negotiated::default(), tokio::sync::Mutex::default());
        Ok(Peer { server, root, situation, version, negotiation })
    }

    /// The quoter, by clients that connect to its socket whatever the URL.
    pub(crate) fn on_socket(socket: PathBuf, timeout: Duration) -> Result<Peer, Problem> {
        let problem = |error| Problem::new(Setting::Endpoint, error);
        let endpoint = Endpoint::new("localhost", 80).map_err(problem)?;
        let mut peer = Peer::new(Role::Agent, endpoint, false, timeout)?;
        peer.situation = Situation { via: Via::Socket, plain_http: false, ..peer.situation };
        peer.server.socket = Some(Arc::new(socket));
        Ok(peer)
    }

    pub(crate) fn request_timeout(&self) -> Duration {
        self.situation.request_timeout
    }

    pub(crate) fn server(&self) -> &Server {
        &self.server
    }

    /// Asks in the API version negotiated with the server, and negotiates it first where needed,
    /// all within the scope's time.
    pub(crate) async fn get(&self, clients: &Clients, ask: Ask<'_>) -> Result<Answer, Error> {
        let timeout = ask.scope.timeout(self.situation.request_timeout);
        let answer = tokio::time::timeout(timeout, self.ask(clients, ask))
            .await
            .unwrap_or(Err(Failure::Unreachable(Unreachable::AnswerTimeout(timeout))));
        answer.map_err(|failure| {
            // A server that was away may come back as another version; one that is only slow keeps
            // its version.
            if matches!(&failure, Failure::Unreachable(cause) if !matches!(cause, Unreachable::AnswerTimeout(_))) {
                self.version.forget();
            }
            failure.at(&self.server)
        })
    }

    async fn ask(&self, clients: &Clients, ask: Ask<'_>) -> Result<Answer, Failure> {
        let client = clients.current().await;
        let known = self.version.get();
        let version = match known {
            Some(version) => version,
            None => self.negotiate(&client).await?,
        };
        let answer = self.fetch(&client, &self.url(version, ask), ask.scope).await?;
        if known.is_none() || !answer.may_mean_unknown_version() {
            return Ok(answer);
        }
        self.version.forget();
        match self.negotiate(&client).await? {
            same if same == version => Ok(answer),
            other => self.fetch(&client, &self.url(other, ask), ask.scope).await,
        }
    }

    async fn negotiate(&self, client: &reqwest::Client) -> Result<ApiVersion, Failure> {
        let _turn = self.negotiation.lock().await;
        // Perhaps negotiated by the request before, while this one waited for its turn.
        if let Some(version) = self.version.get() {
            return Ok(version);
        }
        let mut url = self.root.clone();
        url.set_path("/version");
        let answer = self.fetch(client, &url, Scope::One).await?;
        let version = ApiVersion::choose(&answer, self.server.role)?;
        debug!(server = %self.server, version = %version, "Keylime API version negotiated");
        if version.leaves_ids_unguarded(self.server.role) {
            warn!(
                server = %self.server,
                version = %version,
                "this registrar lacks the guard of agent ids that Keylime 7.14 brought: update it"
            );
        }
        self.version.set(version);
        Ok(version)
    }

    /// Sends the request, a second time where the server had closed the kept connection meanwhile:
    /// a GET changes nothing.
    async fn fetch(&self, client: &reqwest::Client, url: &Url, scope: Scope) -> Result<Answer, Failure> {
        match self.fetch_once(client, url, scope).await {
            Err(failure) if failure.is_closed() => self.fetch_once(client, url, scope).await,
            other => other,
        }
    }

    async fn fetch_once(&self, client: &reqwest::Client, url: &Url, scope: Scope) -> Result<Answer, Failure> {
        let begun = Instant::now();
        let answer = match client.get(url.clone()).send().await {
            Ok(response) => {
                Answer::read(response, scope, self.situation).await.and_then(|answer| self.answered(answer))
            }
            Err(error) => Err(Failure::of_request(&error, self.situation)),
        };
        trace!(
            server = %self.server,
            path = url.path(),
            status = answer.as_ref().ok().map(|answer| answer.status),
            milliseconds = u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX),
            "Keylime asked"
        );
        answer
    }

    /// The answer, if it is no failure that the quoter tells the reason of.
    fn answered(&self, answer: Answer) -> Result<Answer, Failure> {
        match self.server.socket.as_ref().and_then(|_| answer.reason_of_failure()) {
            Some(text) => Err(Failure::Unanswered(text)),
            None => Ok(answer),
        }
    }

    fn url(&self, version: ApiVersion, ask: Ask<'_>) -> Url {
        let mut url = self.root.clone();
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.clear().push(&version.to_string()).extend(ask.path);
        }
        if !ask.query.is_empty() {
            url.query_pairs_mut().extend_pairs(ask.query);
        }
        url
    }
}

impl Scope {
    fn timeout(self, request_timeout: Duration) -> Duration {
        match self {
            Scope::One | Scope::Ids => request_timeout,
            Scope::All => request_timeout.saturating_mul(BULK_PATIENCE),
        }
    }
}

/// Half of the time, so that a server that cannot be connected to is told from one that does not
/// answer.
pub(crate) fn connect_timeout(request_timeout: Duration) -> Duration {
    request_timeout / 2
}
