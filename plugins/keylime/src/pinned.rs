//! Connections between two programs that know each other: the client accepts only one certificate,
//! byte for byte, and the server only one key. Another certificate of the same CA is not enough.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use rustls::ServerConfig;

use crate::Endpoint;
use crate::https::{Https, HttpsAnswer, HttpsError, HttpsRequest};
use crate::tls::{Followed, IdentityFiles, KeyHash, Problem, TlsSettings, Trust, pinned_servers};

/// The client, over HTTPS.
#[derive(Debug)]
pub struct PinnedClient(Https);

/// The TLS of the server.
#[derive(Debug)]
pub struct PinnedServer(Followed<Arc<ServerConfig>>);

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
        let settings = TlsSettings { trust: Trust::Peer { file: server }, identity: Some(own) };
        Https::new(settings, request_timeout).map(PinnedClient)
    }

    /// Asks for `path`, for an answer of at most `limit` bytes. No redirect is followed.
    ///
    /// # Errors
    /// The reason why there is no complete answer. A status of failure is an answer.
    pub async fn ask(
        &self,
        endpoint: &Endpoint,
        path: &str,
        request: HttpsRequest,
        limit: usize,
    ) -> Result<HttpsAnswer, HttpsError> {
        let Self(https) = self;
        https.in_time(https.send(endpoint, path, request, None, limit)).await
    }
}

impl PinnedServer {
    /// A server that shows `own`, to clients with the key of this hash. Reads the files.
    ///
    /// # Errors
    /// Every problem of the files.
    pub fn new(own: IdentityFiles, client: KeyHash) -> Result<PinnedServer, Vec<Problem>> {
        pinned_servers(own, client).map(PinnedServer)
    }

    /// The configuration for a new connection.
    pub async fn current(&self) -> Arc<ServerConfig> {
        self.0.current().await
    }
}
