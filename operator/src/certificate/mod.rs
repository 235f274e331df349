//! Statements of a certificate in a Secret or a file: whom it is of, and until when it counts.
//! Pure.

use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::jiff::Timestamp;
use rustls::crypto::ring::default_provider;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, UnixTime};
use rustls::server::WebPkiClientVerifier;
use rustls::sign::CertifiedKey;
use rustls::{CertificateError, Error, RootCertStore};
use x509_parser::parse_x509_certificate;

/// A certificate that ends within this time is told of.
pub(crate) const SOON: Duration = Duration::from_secs(30 * 24 * 60 * 60);

/// A certificate with the chain behind it.
#[derive(Clone, Debug)]
pub(crate) struct Certificate {
    pub(crate) subject: String,
    pub(crate) not_before: Timestamp,
    pub(crate) not_after: Timestamp,
    chain: Vec<CertificateDer<'static>>,
}

/// How long a certificate still counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Validity {
    Valid,
    /// It ends within [`SOON`].
    EndsSoon,
    Ended,
    NotYet,
}

impl Certificate {
    /// The first one of a PEM text; [`None`] where it cannot be read. Nothing is said of the
    /// reason: it could repeat a key.
    pub(crate) fn read(pem: &[u8]) -> Option<Self> {
        let chain: Vec<_> = CertificateDer::pem_slice_iter(pem).collect::<Result<_, _>>().ok()?;
        let (_, first) = parse_x509_certificate(chain.first()?).ok()?;
        let time = |seconds| Timestamp::from_second(seconds).ok();
        Some(Self {
            subject: first.subject().to_string(),
            not_before: time(first.validity().not_before.timestamp())?,
            not_after: time(first.validity().not_after.timestamp())?,
            chain,
        })
    }

    pub(crate) fn validity(&self, now: Timestamp) -> Validity {
        let left = Duration::try_from(self.not_after.duration_since(now));
        match left {
            _ if now < self.not_before => Validity::NotYet,
            Err(_) => Validity::Ended,
            Ok(left) if left < SOON => Validity::EndsSoon,
            Ok(_) => Validity::Valid,
        }
    }

    /// True for the certificate of a key.
    pub(crate) fn fits(&self, key: &[u8]) -> bool {
        let key = PrivateKeyDer::from_pem_slice(key);
        key.is_ok_and(|key| CertifiedKey::from_der(self.chain.clone(), key, &default_provider()).is_ok())
    }

    /// True for a client's certificate that one of these CAs has issued, whether it counts now or
    /// not.
    pub(crate) fn is_issued_by(&self, cas: &[u8], now: Timestamp) -> bool {
        let mut roots = RootCertStore::empty();
        roots.add_parsable_certificates(CertificateDer::pem_slice_iter(cas).flatten());
        let verifier =
            WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::new(default_provider()));
        let (Ok(verifier), Some((first, above))) = (verifier.build(), self.chain.split_first()) else {
            return false;
        };
        let now = UnixTime::since_unix_epoch(Duration::from_secs(now.as_second().unsigned_abs()));
        match verifier.verify_client_cert(first, above, now) {
            Ok(_) => true,
            Err(Error::InvalidCertificate(error)) => matches!(
                error,
                CertificateError::Expired
                    | CertificateError::ExpiredContext { .. }
                    | CertificateError::NotValidYet
                    | CertificateError::NotValidYetContext { .. }
            ),
            Err(_) => false,
        }
    }
}

#[cfg(test)]
mod tests;
