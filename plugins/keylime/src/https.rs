//! A request over HTTPS to a program that is none of Keylime's.

use std::path::PathBuf;
use std::time::Duration;

use evidence::ServiceAccountToken;

use crate::error::{Malformed, Refused, Unreachable};
use crate::http::{Failure, Situation, Via, connect_timeout, read_body};
use crate::tls::{Clients, Pool, Problem, TlsSettings, Trust};
use crate::{Endpoint, check_timeout};

/// The time that an unused connection is kept.
const IDLE: Duration = Duration::from_secs(60);

/// A request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HttpsRequest {
    /// GET.
    Get,
    /// POST with this JSON.
    Post(Vec<u8>),
}

/// An answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpsAnswer {
    /// The HTTP status.
    pub status: u16,
    /// The whole body.
    pub body: Vec<u8>,
}

/// The reason why no answer came.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HttpsError {
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

/// A client of servers that go by tokens: it trusts the CAs of a file and shows no certificate.
#[derive(Debug)]
pub struct TokenClient(Https);

/// A client by the rules of [`TlsSettings`].
#[derive(Debug)]
pub(crate) struct Https {
    clients: Clients,
    situation: Situation,
}

impl TokenClient {
    /// A client of servers whose certificate a CA of the file signed for the host dialled. Reads
    /// the file, which is followed on disk, and makes no connection.
    ///
    /// # Errors
    /// Every problem of the file and of the timeout.
    pub fn new(ca: PathBuf, request_timeout: Duration) -> Result<TokenClient, Vec<Problem>> {
        let trust = Trust::Ca { file: ca, server_name: None };
        Https::new(TlsSettings { trust, identity: None }, request_timeout).map(TokenClient)
    }

    /// Asks for `path`, for an answer of at most `limit` bytes in JSON, in the name of the token's
    /// account. No redirect is followed. The request may be sent twice, where the server closed the
    /// connection that was kept for it.
    ///
    /// # Errors
    /// The reason why there is no complete answer. A status of failure is an answer.
    pub async fn ask(
        &self,
        endpoint: &Endpoint,
        path: &str,
        request: HttpsRequest,
        token: &ServiceAccountToken,
        limit: usize,
    ) -> Result<HttpsAnswer, HttpsError> {
        let Self(https) = self;
        let twice = async {
            match https.send(endpoint, path, request.clone(), Some(token), limit).await {
                Err(HttpsError::Unreachable(Unreachable::Closed { .. })) => {
                    https.send(endpoint, path, request, Some(token), limit).await
                }
                other => other,
            }
        };
        https.in_time(twice).await
    }
}

impl Https {
    pub(crate) fn new(settings: TlsSettings, request_timeout: Duration) -> Result<Https, Vec<Problem>> {
        let situation = Situation {
            via: Via::Network,
            plain_http: false,
            connect_timeout: connect_timeout(request_timeout),
            request_timeout,
        };
        let pool = Pool { connect_timeout: situation.connect_timeout, idle: IDLE, socket: None };
        let problem = check_timeout(request_timeout);
        match Clients::new(Some(settings), pool) {
            Ok(clients) if problem.is_none() => Ok(Https { clients, situation }),
            clients => Err(problem.into_iter().chain(clients.err().into_iter().flatten()).collect()),
        }
    }

    pub(crate) async fn in_time(
        &self,
        answer: impl Future<Output = Result<HttpsAnswer, HttpsError>>,
    ) -> Result<HttpsAnswer, HttpsError> {
        let timeout = self.situation.request_timeout;
        let answer = tokio::time::timeout(timeout, answer).await;
        answer.unwrap_or(Err(HttpsError::Unreachable(Unreachable::AnswerTimeout(timeout))))
    }

    pub(crate) async fn send(
        &self,
        endpoint: &Endpoint,
        path: &str,
        request: HttpsRequest,
        token: Option<&ServiceAccountToken>,
        limit: usize,
    ) -> Result<HttpsAnswer, HttpsError> {
        let client = self.clients.current().await;
        let url = format!("https://{endpoint}{path}");
        let mut request = match request {
            HttpsRequest::Get => client.get(url),
            HttpsRequest::Post(body) => {
                client.post(url).header("content-type", "application/json").body(body)
            }
        };
        if let Some(token) = token {
            request = request.header("accept", "application/json").bearer_auth(token.as_str());
        }
        let response = request.send().await.map_err(|error| Failure::of_request(&error, self.situation))?;
        let status = response.status().as_u16();
        Ok(HttpsAnswer { status, body: read_body(response, limit, self.situation).await? })
    }
}

impl From<Failure> for HttpsError {
    fn from(failure: Failure) -> HttpsError {
        match failure {
            Failure::Unreachable(cause) => HttpsError::Unreachable(cause),
            Failure::Refused(cause) => HttpsError::Refused(cause),
            Failure::Malformed(cause) => HttpsError::Malformed(cause),
            // No AK is read here, and no quoter asked.
            Failure::UnusableAk(_) | Failure::Unanswered(_) => HttpsError::Malformed(Malformed::CutShort),
        }
    }
}
