//! Whom the report answers, and whom its client asks.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use anyhow::{Context as _, Result};
use keylime::{Endpoint, HttpsError, Unreachable};
use lab::fake_keylime::pki::{Ca, Files};
use report::{Client, Error, REPORT_PATH};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::ring::{default_provider, sign::any_supported_type};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::{ClientConfig, DigitallySignedStruct, SignatureScheme};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::super::World;
use super::{Reporting, TIMEOUT, identity, until};

/// A certificate and a key, which need not be its own.
struct Shown {
    chain: Vec<CertificateDer<'static>>,
    key: Arc<PrivateKeyDer<'static>>,
}

impl Shown {
    fn read(files: &Files) -> Result<Self> {
        let chain = CertificateDer::pem_file_iter(&files.cert)?.collect::<Result<_, _>>()?;
        Ok(Self { chain, key: Arc::new(PrivateKeyDer::from_pem_file(&files.key)?) })
    }

    /// Another certificate of the same key: self-signed, for another name, and long over.
    fn with_another_certificate(&self, files: &Files) -> Result<Self> {
        let key = rcgen::KeyPair::from_pem(&std::fs::read_to_string(&files.key)?)?;
        let mut params = rcgen::CertificateParams::new(["another.example".to_owned()])?;
        params.not_before = rcgen::date_time_ymd(2000, 1, 1);
        params.not_after = rcgen::date_time_ymd(2001, 1, 1);
        Ok(Self { chain: vec![params.self_signed(&key)?.der().clone()], key: Arc::clone(&self.key) })
    }

    fn certified(&self) -> Result<CertifiedKey> {
        Ok(CertifiedKey::new(self.chain.clone(), any_supported_type(&self.key)?))
    }
}

#[tokio::test]
async fn only_the_pinned_key_is_answered() -> Result<()> {
    let reporting = Reporting::new(World::new(&["a"], &[]).await?, "").await?;
    let site = &reporting.world.site;
    let folder = tempfile::tempdir()?;
    let same_ca = site.keylime.ca.write_client(&folder.path().join("same-ca"))?;
    let other_ca = Ca::new()?.write_client(&folder.path().join("other-ca"))?;
    let own = Shown::read(&reporting.own)?;

    let answered = get(&reporting, Some(&own)).await?;
    assert!(answered.starts_with("HTTP/1.1 200"), "{answered}");
    // The key says who it is, and no name or date.
    let renewed = own.with_another_certificate(&reporting.own)?;
    let answered = get(&reporting, Some(&renewed)).await?;
    assert!(answered.starts_with("HTTP/1.1 200"), "{answered}");

    let [admin, same_ca, other_ca] =
        [Shown::read(&site.files)?, Shown::read(&same_ca)?, Shown::read(&other_ca)?];
    // Whoever has seen the certificate has not its key.
    let copied = Shown { chain: own.chain.clone(), key: other_ca.key.clone() };
    // Nor does the certificate count behind another one.
    let behind = Shown { chain: [admin.chain.clone(), own.chain.clone()].concat(), key: admin.key.clone() };
    for client in [&admin, &same_ca, &other_ca, &copied, &behind].map(Some).into_iter().chain([None]) {
        let refused = get(&reporting, client).await.expect_err("another client was answered");
        let text = format!("{refused:#}");
        assert!(text.contains("alert"), "{text}");
    }
    // And it is still there for us.
    reporting.report().await?;
    Ok(())
}

#[tokio::test]
async fn the_client_speaks_with_nobody_else() -> Result<()> {
    let reporting = Reporting::new(World::new(&["a"], &[]).await?, "").await?;
    // Another server of the very same CA.
    let verifier = &reporting.world.site.keylime.verifier;
    let other = Endpoint::new("127.0.0.1", verifier.port())?;
    let error = reporting.client.report(&other).await.expect_err("another server was asked");
    assert!(
        matches!(&error, Error::NoAnswer { cause: HttpsError::Unreachable(Unreachable::NotPinned), .. }),
        "{error}"
    );
    assert_eq!(verifier.targets().iter().filter(|target| target.contains("report")).count(), 0);
    Ok(())
}

#[tokio::test]
async fn both_ends_follow_the_plugins_certificate() -> Result<()> {
    let reporting = Reporting::new(World::new(&["a"], &[]).await?, "").await?;
    reporting.report().await?;
    let folder = tempfile::tempdir()?;
    let files = &reporting.world.site.files;
    let old = folder.path().join("old.crt");
    std::fs::copy(&files.cert, &old)?;
    let old = Client::new(old, identity(&reporting.own), TIMEOUT).expect("the old files are good");

    reporting
        .world
        .site
        .keylime
        .ca
        .client()?
        .write(files.cert.parent().context("no folder")?, &reporting.world.site.keylime.ca)?;
    // The files are checked once a second on either side, by a connection that begins then.
    let refused = async { while old.report(&reporting.endpoint()).await.is_ok() {} };
    tokio::time::timeout(lab::host::PATIENCE, refused).await.context("the old certificate is still shown")?;
    until(&reporting, |_| true).await?;
    Ok(())
}

/// Asks for the report as a client that does not mind whom it asks, with this certificate and key,
/// or with none.
async fn get(reporting: &Reporting, client: Option<&Shown>) -> Result<String> {
    let provider = Arc::new(default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Anyone));
    let config = match client {
        Some(shown) => {
            builder.with_client_cert_resolver(Arc::new(SingleCertAndKey::from(shown.certified()?)))
        }
        None => builder.with_no_client_auth(),
    };
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, reporting.port.number()));
    let stream = TcpStream::connect(address).await?;
    let name = ServerName::try_from("127.0.0.1")?;
    let mut stream = TlsConnector::from(Arc::new(config)).connect(name, stream).await?;
    let request = format!("GET {REPORT_PATH} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await?;
    Ok(answer)
}

#[derive(Debug)]
struct Anyone;

impl ServerCertVerifier for Anyone {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        default_provider().signature_verification_algorithms.supported_schemes()
    }
}
