//! The probe of a running operator: `helm test` starts it in a pod, where the image has no other
//! client.

use std::time::{Duration, Instant};

use anyhow::{Context as _, anyhow};
use reqwest::{Client, StatusCode};
use rustls::crypto::ring;
use rustls::version::TLS13;
use rustls::{ClientConfig, RootCertStore};

/// The longest time for an operator to become ready.
const PATIENCE: Duration = Duration::from_secs(60);
const PAUSE: Duration = Duration::from_secs(1);

/// Returns when `url` (plain http) answers 200.
///
/// # Errors
/// The last answer, when there is no 200 within a minute.
pub(crate) async fn probe(url: &str) -> anyhow::Result<()> {
    let client = client()?;
    let begun = Instant::now();
    loop {
        let answer = match client.get(url).send().await {
            Ok(answer) if answer.status() == StatusCode::OK => return Ok(()),
            Ok(answer) => anyhow!("expected status 200, got {}", answer.status()),
            Err(error) => error.into(),
        };
        if begun.elapsed() >= PATIENCE {
            return Err(answer.context(format!("{url} is not ready after {} s", PATIENCE.as_secs())));
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// A client that trusts no certificate: none is needed for plain http, and reqwest would look for
/// the system's, which an image from scratch has not.
fn client() -> anyhow::Result<Client> {
    let tls = ClientConfig::builder_with_provider(ring::default_provider().into())
        .with_protocol_versions(&[&TLS13])?
        .with_root_certificates(RootCertStore::empty())
        .with_no_client_auth();
    let client = Client::builder().tls_backend_preconfigured(tls).no_proxy().timeout(Duration::from_secs(5));
    client.build().context("failed to make an HTTP client")
}
