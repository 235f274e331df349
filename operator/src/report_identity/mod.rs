//! The operator's own certificate, by whose key the plugins in SPIRE's server pods know the
//! operator. Issued by the operator for itself: nobody else has to hold it, and no CA to sign it.

use std::collections::BTreeMap;
use std::fmt;

use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use keylime::KeyHash;
use keylime_attestor_api::names::secret_key;
use rcgen::{CertificateParams, DnType, ExtendedKeyUsagePurpose, KeyPair};
use rustls::crypto::ring::default_provider;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;

const NAME: &str = "keylime-attestor-operator";

/// A certificate with its key, checked to belong together.
#[derive(Clone)]
pub(crate) struct ReportIdentity {
    certificate: Vec<u8>,
    key: Vec<u8>,
    key_hash: KeyHash,
}

impl ReportIdentity {
    /// A new one, for a key on P-256. Without an end: whoever knows it knows its key, and a deleted
    /// Secret makes another.
    pub(crate) fn new() -> Result<Self, rcgen::Error> {
        let key = KeyPair::generate()?;
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, NAME);
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        let certificate = params.self_signed(&key)?.pem().into_bytes();
        Self::parse(certificate, key.serialize_pem().into_bytes())
            .ok_or(rcgen::Error::CouldNotParseCertificate)
    }

    /// The one in a Secret; [`None`] where there is none that can be used. Nothing is said of the
    /// reason: it could repeat a key.
    pub(crate) fn read(secret: &Secret) -> Option<Self> {
        let entry = |key| secret.data.as_ref()?.get(key).map(|bytes: &ByteString| bytes.0.clone());
        Self::parse(entry(secret_key::CERTIFICATE)?, entry(secret_key::PRIVATE_KEY)?)
    }

    fn parse(certificate: Vec<u8>, key: Vec<u8>) -> Option<Self> {
        let chain: Vec<_> = CertificateDer::pem_slice_iter(&certificate).collect::<Result<_, _>>().ok()?;
        let key_hash = KeyHash::of(chain.first()?).ok()?;
        let private = PrivateKeyDer::from_pem_slice(&key).ok()?;
        CertifiedKey::from_der(chain, private, &default_provider()).ok()?;
        Some(Self { certificate, key, key_hash })
    }

    /// The entries of a Secret with it.
    pub(crate) fn data(&self) -> BTreeMap<String, ByteString> {
        let entry = |key: &str, content: &[u8]| (key.to_owned(), ByteString(content.to_vec()));
        [entry(secret_key::CERTIFICATE, &self.certificate), entry(secret_key::PRIVATE_KEY, &self.key)].into()
    }

    /// The certificate, PEM.
    pub(crate) fn certificate(&self) -> &[u8] {
        &self.certificate
    }

    /// Its key, PEM.
    pub(crate) fn key(&self) -> &[u8] {
        &self.key
    }

    /// The hash that the plugins are configured with.
    pub(crate) const fn key_hash(&self) -> KeyHash {
        self.key_hash
    }
}

impl fmt::Debug for ReportIdentity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReportIdentity").field("key_hash", &self.key_hash).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
