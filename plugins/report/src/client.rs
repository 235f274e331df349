//! The operator's end.

use std::path::PathBuf;
use std::time::Duration;

use keylime::{Endpoint, HttpsAnswer, HttpsError, HttpsRequest, IdentityFiles, PinnedClient, Problem};
use serde_json::json;

use crate::{MAX_REPORT, REATTEST_PATH, REPORT_PATH, Reattest, Rejection, Report, VERSION};

/// The longest answer to a request that changes something, in bytes.
const MAX_ANSWER: usize = 64 * 1024;

/// Longest part of the plugin's own text in an error, in characters.
const MAX_TEXT: usize = 500;

/// A client of server plugins that show one certificate.
#[derive(Debug)]
pub struct Client(PinnedClient);

/// The reason why a server plugin gave no usable answer.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No answer came.
    #[error(
        "failed to ask the SPIRE server plugin at {endpoint}: {cause}; it must show the certificate of the Secret for Keylime, and be configured with the hash of this client's key"
    )]
    NoAnswer {
        /// The plugin's address.
        endpoint: Endpoint,
        /// The cause.
        cause: HttpsError,
    },
    /// The plugin refuses the request, or failed to carry it out.
    #[error("failed to ask the SPIRE server plugin at {endpoint}: it answered {status}: {text}")]
    Rejected {
        /// The plugin's address.
        endpoint: Endpoint,
        /// The HTTP status.
        status: u16,
        /// The plugin's own text.
        text: String,
    },
    /// The answer is no report of this version.
    #[error(
        "failed to read the report of the SPIRE server plugin at {endpoint}: {detail}; use plugin and operator of one version"
    )]
    NoReport {
        /// The plugin's address.
        endpoint: Endpoint,
        /// The problem.
        detail: String,
    },
}

impl Client {
    /// A client that shows `own`, of plugins that show the certificate of the file `server`. Reads
    /// the files and makes no connection.
    ///
    /// # Errors
    /// Every problem of the files.
    pub fn new(
        server: PathBuf,
        own: IdentityFiles,
        request_timeout: Duration,
    ) -> Result<Client, Vec<Problem>> {
        PinnedClient::new(server, own, request_timeout).map(Client)
    }

    /// Asks for the report.
    ///
    /// # Errors
    /// [`Error`] when there is none that can be used.
    pub async fn report(&self, endpoint: &Endpoint) -> Result<Report, Error> {
        let answer = self.ask(endpoint, REPORT_PATH, HttpsRequest::Get, MAX_REPORT).await?;
        let no_report = |detail: String| Error::NoReport { endpoint: endpoint.clone(), detail };
        let report: Report =
            serde_json::from_slice(&answer.body).map_err(|error| no_report(excerpt(&error.to_string())))?;
        match report.version {
            VERSION => Ok(report),
            other => Err(no_report(format!("expected version {VERSION}, got {other}"))),
        }
    }

    /// Has SPIRE's server evict an agent of another attestation type, so that it attests anew. An
    /// agent that is gone already is no error.
    ///
    /// # Errors
    /// [`Error`] when the plugin refuses it or fails.
    pub async fn reattest(&self, endpoint: &Endpoint, spiffe_id: &str) -> Result<(), Error> {
        let body = json!(Reattest { spiffe_id: spiffe_id.to_owned() }).to_string().into_bytes();
        self.ask(endpoint, REATTEST_PATH, HttpsRequest::Post(body), MAX_ANSWER).await.map(drop)
    }

    async fn ask(
        &self,
        endpoint: &Endpoint,
        path: &str,
        request: HttpsRequest,
        limit: usize,
    ) -> Result<HttpsAnswer, Error> {
        let answer = self.0.ask(endpoint, path, request, limit).await;
        let answer = answer.map_err(|cause| Error::NoAnswer { endpoint: endpoint.clone(), cause })?;
        if answer.status == 200 {
            return Ok(answer);
        }
        let text = serde_json::from_slice(&answer.body)
            .map_or_else(|_| "no reason given".to_owned(), |rejection: Rejection| excerpt(&rejection.error));
        Err(Error::Rejected { endpoint: endpoint.clone(), status: answer.status, text })
    }
}

fn excerpt(text: &str) -> String {
    text.chars().take(MAX_TEXT).collect()
}
