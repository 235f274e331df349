//! The server's side of a connection with a client that is known by its key alone.

use std::sync::Arc;

use rustls::client::danger::HandshakeSignatureValid;
use rustls::crypto::{WebPkiSupportedAlgorithms, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::server::NoServerSessionStorage;
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::version::{TLS12, TLS13};
use rustls::{
    CertificateError, DigitallySignedStruct, DistinguishedName, Error, ServerConfig, SignatureScheme,
};

use super::files::Contents;
use super::problem::{Problem, Setting};
use super::{Followed, IdentityFiles, KeyHash, TlsSettings, Trust, provider};

/// The TLS configurations of a server that accepts only a client with this key. The files are read
/// now.
pub(crate) fn servers(
    own: IdentityFiles,
    client: KeyHash,
) -> Result<Followed<Arc<ServerConfig>>, Vec<Problem>> {
    // As a server it trusts no CA: the verifier knows the key.
    let settings = TlsSettings { trust: Trust::Loopback, identity: Some(own.clone()) };
    Followed::of_files(settings, move |_settings, contents| server_config(&own, contents, client))
}

fn server_config(
    own: &IdentityFiles,
    contents: &Contents,
    client: KeyHash,
) -> Result<Arc<ServerConfig>, Vec<Problem>> {
    let provider = provider();
    let identity = contents.identity(own, &provider)?;
    let algorithms = provider.signature_verification_algorithms;
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&TLS13, &TLS12])
        .map_err(|error| vec![Problem::new(Setting::CertFile, error)])?
        .with_client_cert_verifier(Arc::new(KeyVerifier { pin: client, algorithms }))
        .with_cert_resolver(identity);
    // A resumed session would skip the certificate check.
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    Ok(Arc::new(config))
}

/// Accepts any certificate with one key, which the other side proves to hold. Its names and dates
/// say nothing: whoever holds the key could make it anew with others.
#[derive(Debug)]
struct KeyVerifier {
    pin: KeyHash,
    algorithms: WebPkiSupportedAlgorithms,
}

impl ClientCertVerifier for KeyVerifier {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        if KeyHash::of(end_entity)? == self.pin {
            Ok(ClientCertVerified::assertion())
        } else {
            Err(CertificateError::ApplicationVerificationFailure.into())
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, certificate, signature, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signature, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}
