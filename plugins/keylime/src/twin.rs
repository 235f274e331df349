//! Connections between two programs that hold the same certificate and key: each accepts only who
//! shows that very certificate, byte for byte, and proves to have its key. Another certificate of
//! the same CA is not enough.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use rustls::ServerConfig;

use crate::error::{Malformed, Refused, Unreachable};
use crate::http::{Failure, Situation, connect_timeout, read_body};
use crate::tls::{Clients, Followed, Pool, Problem, TlsSettings, Trust, twin_servers};
use crate::{Endpoint, check_timeout};

/// How long an unused connection is kept.
const IDLE: Duration = Duration::from_secs(60);

/// The files that both ends hold. Followed on disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TwinFiles {
    /// The certificate (PEM).
    pub cert: PathBuf,
    /// Its key: PEM, PKCS#8, PKCS#1 or SEC 1, not encrypted.
    pub key: PathBuf,
}

/// The end that asks, over HTTPS.
#[derive(Debug)]
pub struct TwinClient {
    clients: Clients,
    situation: Situation,
}

/// The end that is asked.
#[derive(Debug)]
pub struct TwinServer(Followed<Arc<ServerConfig>>);

/// What is asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TwinRequest {
    /// GET.
    Get,
    /// POST of this JSON.
    Post(Vec<u8>),
}

/// What came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TwinAnswer {
    /// The HTTP status.
    pub status: u16,
    /// The whole body.
    pub body: Vec<u8>,
}

/// Why no answer came.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TwinError {
    /// No answer came.
    #[error(transparent)]
    Unreachable(Unreachable),
    /// The other end does not accept our certificate.
    #[error(transparent)]
    Refused(Refused),
    /// What came cannot be read.
    #[error(transparent)]
    Malformed(Malformed),
}

impl TwinClient {
    /// Reads the files and makes no connection. All that is wrong with them is reported at once.
    pub fn new(files: TwinFiles, request_timeout: Duration) -> Result<TwinClient, Vec<Problem>> {
        let situation = Situation {
            plain_http: false,
            connect_timeout: connect_timeout(request_timeout),
            request_timeout,
        };
        let pool = Pool { connect_timeout: situation.connect_timeout, idle: IDLE };
        let problem = check_timeout(request_timeout);
        match Clients::new(Some(files.into()), pool) {
            Ok(clients) if problem.is_none() => Ok(TwinClient { clients, situation }),
            clients => Err(problem.into_iter().chain(clients.err().into_iter().flatten()).collect()),
        }
    }

    /// Asks for `path`, for an answer of at most `limit` bytes. No redirect is followed.
    pub async fn ask(
        &self,
        endpoint: &Endpoint,
        path: &str,
        request: TwinRequest,
        limit: usize,
    ) -> Result<TwinAnswer, TwinError> {
        let timeout = self.situation.request_timeout;
        let answer = tokio::time::timeout(timeout, self.send(endpoint, path, request, limit)).await;
        answer.unwrap_or(Err(TwinError::Unreachable(Unreachable::AnswerTimeout(timeout))))
    }

    async fn send(
        &self,
        endpoint: &Endpoint,
        path: &str,
        request: TwinRequest,
        limit: usize,
    ) -> Result<TwinAnswer, TwinError> {
        let client = self.clients.current().await;
        let url = format!("https://{endpoint}{path}");
        let request = match request {
            TwinRequest::Get => client.get(url),
            TwinRequest::Post(body) => client.post(url).header("content-type", "application/json").body(body),
        };
        let response = request.send().await.map_err(|error| Failure::of_request(&error, self.situation))?;
        let status = response.status().as_u16();
        Ok(TwinAnswer { status, body: read_body(response, limit, self.situation).await? })
    }
}

impl TwinServer {
    /// Reads the files. All that is wrong with them is reported at once.
    pub fn new(files: TwinFiles) -> Result<TwinServer, Vec<Problem>> {
        twin_servers(files.into()).map(TwinServer)
    }

    /// The configuration for a connection that comes in now.
    pub async fn current(&self) -> Arc<ServerConfig> {
        self.0.current().await
    }
}

impl From<TwinFiles> for TlsSettings {
    fn from(files: TwinFiles) -> TlsSettings {
        TlsSettings { trust: Trust::Twin, cert: files.cert, key: files.key }
    }
}

impl From<Failure> for TwinError {
    fn from(failure: Failure) -> TwinError {
        match failure {
            Failure::Unreachable(cause) => TwinError::Unreachable(cause),
            Failure::Refused(cause) => TwinError::Refused(cause),
            Failure::Malformed(cause) => TwinError::Malformed(cause),
            // No AK is read here.
            Failure::UnusableAk(_) => TwinError::Malformed(Malformed::CutShort),
        }
    }
}
