//! Connections between two programs that hold the same certificate and key: each accepts only a
//! peer that shows that very certificate, byte for byte, and proves to have its key. Another
//! certificate of the same CA is not enough.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use rustls::ServerConfig;

use crate::error::{Malformed, Refused, Unreachable};
use crate::http::{Failure, Situation, connect_timeout, read_body};
use crate::tls::{Clients, Followed, Pool, Problem, TlsSettings, Trust, shared_cert_servers};
use crate::{Endpoint, check_timeout};

/// The time that an unused connection is kept.
const IDLE: Duration = Duration::from_secs(60);

/// The files that both ends hold. Followed on disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SharedCertFiles {
    /// The certificate (PEM).
    pub cert: PathBuf,
    /// Its key: PEM, PKCS#8, PKCS#1 or SEC 1, not encrypted.
    pub key: PathBuf,
}

/// The client, over HTTPS.
#[derive(Debug)]
pub struct SharedCertClient {
    clients: Clients,
    situation: Situation,
}

/// The TLS of the server.
#[derive(Debug)]
pub struct SharedCertServer(Followed<Arc<ServerConfig>>);

/// A request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SharedCertRequest {
    /// GET.
    Get,
    /// POST with this JSON.
    Post(Vec<u8>),
}

/// An answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SharedCertAnswer {
    /// The HTTP status.
    pub status: u16,
    /// The whole body.
    pub body: Vec<u8>,
}

/// The reason why no answer came.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SharedCertError {
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

impl SharedCertClient {
    /// Reads the files and makes no connection.
    ///
    /// # Errors
    /// Every problem of the files and of the timeout.
    pub fn new(files: SharedCertFiles, request_timeout: Duration) -> Result<SharedCertClient, Vec<Problem>> {
        let situation = Situation {
            plain_http: false,
            connect_timeout: connect_timeout(request_timeout),
            request_timeout,
        };
        let pool = Pool { connect_timeout: situation.connect_timeout, idle: IDLE };
        let problem = check_timeout(request_timeout);
        match Clients::new(Some(files.into()), pool) {
            Ok(clients) if problem.is_none() => Ok(SharedCertClient { clients, situation }),
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
        request: SharedCertRequest,
        limit: usize,
    ) -> Result<SharedCertAnswer, SharedCertError> {
        let timeout = self.situation.request_timeout;
        let answer = tokio::time::timeout(timeout, self.send(endpoint, path, request, limit)).await;
        answer.unwrap_or(Err(SharedCertError::Unreachable(Unreachable::AnswerTimeout(timeout))))
    }

    async fn send(
        &self,
        endpoint: &Endpoint,
        path: &str,
        request: SharedCertRequest,
        limit: usize,
    ) -> Result<SharedCertAnswer, SharedCertError> {
        let client = self.clients.current().await;
        let url = format!("https://{endpoint}{path}");
        let request = match request {
            SharedCertRequest::Get => client.get(url),
            SharedCertRequest::Post(body) => {
                client.post(url).header("content-type", "application/json").body(body)
            }
        };
        let response = request.send().await.map_err(|error| Failure::of_request(&error, self.situation))?;
        let status = response.status().as_u16();
        Ok(SharedCertAnswer { status, body: read_body(response, limit, self.situation).await? })
    }
}

impl SharedCertServer {
    /// Reads the files.
    ///
    /// # Errors
    /// Every problem of the files.
    pub fn new(files: SharedCertFiles) -> Result<SharedCertServer, Vec<Problem>> {
        shared_cert_servers(files.into()).map(SharedCertServer)
    }

    /// The configuration for a new connection.
    pub async fn current(&self) -> Arc<ServerConfig> {
        self.0.current().await
    }
}

impl From<SharedCertFiles> for TlsSettings {
    fn from(files: SharedCertFiles) -> TlsSettings {
        TlsSettings { trust: Trust::SharedCert, cert: files.cert, key: files.key }
    }
}

impl From<Failure> for SharedCertError {
    fn from(failure: Failure) -> SharedCertError {
        match failure {
            Failure::Unreachable(cause) => SharedCertError::Unreachable(cause),
            Failure::Refused(cause) => SharedCertError::Refused(cause),
            Failure::Malformed(cause) => SharedCertError::Malformed(cause),
            // No AK is read here.
            Failure::UnusableAk(_) => SharedCertError::Malformed(Malformed::CutShort),
        }
    }
}
