//! The two checks of a server's certificate.

use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{VerifierBuilderError, WebPkiServerVerifier, verify_server_name};
use rustls::crypto::{
    CryptoProvider, WebPkiSupportedAlgorithms, verify_tls12_signature, verify_tls13_signature,
};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{CertificateError, DigitallySignedStruct, Error, RootCertStore, SignatureScheme};

/// Accepts a certificate that webpki accepts under the given CAs, for a name that may differ from
/// the host dialled.
///
/// Only the check gets the other name. SNI and the Host header still have the host dialled, and
/// connections are still pooled under it, so that verifier and registrar may share one name and one
/// client.
#[derive(Debug)]
pub(super) struct CaVerifier {
    webpki: Arc<WebPkiServerVerifier>,
    name: Option<ServerName<'static>>,
}

impl CaVerifier {
    pub(super) fn new(
        roots: Arc<RootCertStore>,
        name: Option<ServerName<'static>>,
        provider: Arc<CryptoProvider>,
    ) -> Result<CaVerifier, VerifierBuilderError> {
        Ok(CaVerifier { webpki: WebPkiServerVerifier::builder_with_provider(roots, provider).build()?, name })
    }
}

impl ServerCertVerifier for CaVerifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        dialled: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let name = self.name.as_ref().unwrap_or(dialled);
        self.webpki.verify_server_cert(end_entity, intermediates, name, ocsp_response, now).map_err(|error| {
            match error {
                // All of Keylime's CAs have one name: another one of them is a bad signature to
                // webpki.
                Error::InvalidCertificate(CertificateError::BadSignature) => {
                    CertificateError::UnknownIssuer.into()
                }
                other => other,
            }
        })
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.webpki.verify_tls12_signature(message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.webpki.verify_tls13_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.webpki.supported_verify_schemes()
    }
}

/// Accepts one certificate, or any, whose key the other side proves to hold.
///
/// Keylime's Rust agent signs its certificate and then changes it, so that its own signature does
/// not verify and it is no trust anchor either. Pinned, it is compared byte for byte, which is
/// stronger than a signature by an unknown key; then the server name and the handshake are checked
/// by rustls's own functions. Its validity period is not checked: the pin says how long it counts.
///
/// Without a pin only the handshake is checked, which proves that the other side holds the key of
/// the certificate it shows, and not who it is. The caller allows that for a loopback host only.
#[derive(Debug)]
pub(super) struct PinVerifier {
    pin: Option<CertificateDer<'static>>,
    by_name: bool,
    algorithms: WebPkiSupportedAlgorithms,
}

impl PinVerifier {
    pub(super) fn pinned(pin: CertificateDer<'static>, provider: &CryptoProvider) -> PinVerifier {
        let algorithms = provider.signature_verification_algorithms;
        PinVerifier { pin: Some(pin), by_name: true, algorithms }
    }

    /// The verifier of a certificate that names no host.
    pub(super) fn peer(pin: CertificateDer<'static>, provider: &CryptoProvider) -> PinVerifier {
        PinVerifier { by_name: false, ..PinVerifier::pinned(pin, provider) }
    }

    pub(super) fn any(provider: &CryptoProvider) -> PinVerifier {
        let algorithms = provider.signature_verification_algorithms;
        PinVerifier { pin: None, by_name: false, algorithms }
    }
}

impl ServerCertVerifier for PinVerifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        if self.pin.as_ref().is_some_and(|pin| pin != end_entity) {
            return Err(CertificateError::ApplicationVerificationFailure.into());
        }
        if self.by_name {
            verify_server_name(&ParsedCertificate::try_from(end_entity)?, server_name)?;
        }
        Ok(ServerCertVerified::assertion())
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

#[cfg(test)]
mod tests;
