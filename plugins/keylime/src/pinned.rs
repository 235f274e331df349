//! Connections between two programs that know each other: the client accepts only one certificate,
//! byte for byte, and the server only one key. Another certificate of the same CA is not enough.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use rustls::ServerConfig;

use crate::error::{Malformed, Refused, Unreachable};
use crate::http::{Failure, Situation, connect_timeout, read_body};
use crate::tls::{Clients, Followed, KeyHash, Pool, Problem, TlsSettings, Trust, pinned_servers};
use crate::{Endpoint, check_timeout};

/// The time that an unused connection is kept.
const IDLE: Duration = Duration::from_secs(60);

/// What one end shows. Followed on disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IdentityFiles {
    /// The certificate (PEM).
    pub cert: PathBuf,
    /// Its key: PEM, PKCS#8, PKCS#1 or SEC 1, not encrypted.
    pub key: PathBuf,
}

/// The client, over HTTPS.
#[derive(Debug)]
pub struct PinnedClient {
    clients: Clients,
    situation: Situation,
}

/// The TLS of the server.
#[derive(Debug)]
pub struct PinnedServer(Followed<Arc<ServerConfig>>);

/// A request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PinnedRequest {
    /// GET.
    Get,
    /// POST with this JSON.
    Post(Vec<u8>),
}

/// An answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PinnedAnswer {
    /// The HTTP status.
    pub status: u16,
    /// The whole body.
    pub body: Vec<u8>,
}

/// The reason why no answer came.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PinnedError {
    /// No answer.
    #[error(transparent)]
    Unreachable(Unreachable),
    /// The other end does not accept our certificate.
    #[error(transparent)]
    Refused(Refused),
    /// An answer that cannot be read.
    #[error(transparent)]
    Malformed(Malformed),
}

impl PinnedClient {
    /// A client that shows `own`, of servers that show the first certificate of the file `server`.
    /// Reads the files and makes no connection.
    ///
    /// # Errors
    /// Every problem of the files and of the timeout.
    pub fn new(
        server: PathBuf,
        own: IdentityFiles,
        request_timeout: Duration,
    ) -> Result<PinnedClient, Vec<Problem>> {
        let situation = Situation {
            plain_http: false,
            connect_timeout: connect_timeout(request_timeout),
            request_timeout,
        };
        let pool = Pool { connect_timeout: situation.connect_timeout, idle: IDLE };
        let settings = TlsSettings { trust: Trust::Peer { file: server }, cert: own.cert, key: own.key };
        let problem = check_timeout(request_timeout);
        match Clients::new(Some(settings), pool) {
            Ok(clients) if problem.is_none() => Ok(PinnedClient { clients, situation }),
            clients => Err(problem.into_iter().chain(clients.err().into_iter().flatten()).collect()),
        }
    }

    /// Asks for `path`, for an answer of at most `limit` bytes. No redirect is followed.
    ///
    /// # Errors
    /// The reason why there is no complete answer. A status of failure is an answer.
    pub async fn ask(
        &self,
        endpoint: &Endpoint,
        path: &str,
        request: PinnedRequest,
        limit: usize,
    ) -> Result<PinnedAnswer, PinnedError> {
        let timeout = self.situation.request_timeout;
        let answer = tokio::time::timeout(timeout, self.send(endpoint, path, request, limit)).await;
        answer.unwrap_or(Err(PinnedError::Unreachable(Unreachable::AnswerTimeout(timeout))))
    }

    async fn send(
        &self,
        endpoint: &Endpoint,
        path: &str,
        request: PinnedRequest,
        limit: usize,
    ) -> Result<PinnedAnswer, PinnedError> {
        let client = self.clients.current().await;
        let url = format!("https://{endpoint}{path}");
        let request = match request {
            PinnedRequest::Get => client.get(url),
            PinnedRequest::Post(body) => {
                client.post(url).header("content-type", "application/json").body(body)
            }
        };
        let response = request.send().await.map_err(|error| Failure::of_request(&error, self.situation))?;
        let status = response.status().as_u16();
        Ok(PinnedAnswer { status, body: read_body(response, limit, self.situation).await? })
    }
}

impl PinnedServer {
    /// A server that shows `own`, to clients with the key of this hash. Reads the files.
    ///
    /// # Errors
    /// Every problem of the files.
    pub fn new(own: IdentityFiles, client: KeyHash) -> Result<PinnedServer, Vec<Problem>> {
        // As a server it trusts no CA: the verifier knows the key.
        let settings = TlsSettings { trust: Trust::Loopback, cert: own.cert, key: own.key };
        pinned_servers(settings, client).map(PinnedServer)
    }

    /// The configuration for a new connection.
    pub async fn current(&self) -> Arc<ServerConfig> {
        self.0.current().await
    }
}

impl From<Failure> for PinnedError {
    fn from(failure: Failure) -> PinnedError {
        match failure {
            Failure::Unreachable(cause) => PinnedError::Unreachable(cause),
            Failure::Refused(cause) => PinnedError::Refused(cause),
            Failure::Malformed(cause) => PinnedError::Malformed(cause),
            // No AK is read here.
            Failure::UnusableAk(_) => PinnedError::Malformed(Malformed::CutShort),
        }
    }
}
