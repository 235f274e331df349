//! Certificates: a CA for the nodes, and client certificates of a CA.

use std::time::{Duration, SystemTime};

use anyhow::{Context as _, Result, anyhow, ensure};
use k8s_openapi::jiff::Timestamp;
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose,
};

use crate::certificate::{Certificate, Validity};

/// How long a CA counts. Replacing one means a change at every Keylime agent.
const CA_LIFETIME: Duration = Duration::from_secs(10 * 365 * 24 * 60 * 60);
/// Clocks of others may be behind.
const BACKDATED: Duration = Duration::from_secs(60 * 60);

/// A certificate with its key, both PEM.
pub(super) struct Pair {
    pub(super) certificate: String,
    pub(super) key: String,
}

/// A certificate authority.
pub(super) struct Authority {
    issuer: Issuer<'static, KeyPair>,
    /// PEM.
    pub(super) certificate: String,
    not_after: Timestamp,
}

impl Authority {
    /// One that exists.
    ///
    /// # Errors
    /// A certificate or key that cannot be used, or that do not belong together. Nothing of a key is
    /// told.
    pub(super) fn new(certificate: &str, key: &str) -> Result<Self> {
        let read = Certificate::read(certificate.as_bytes())
            .context("its certificate cannot be read: expected PEM")?;
        ensure!(read.fits(key.as_bytes()), "its key cannot be read, or is not that of its certificate");
        let validity = read.validity(Timestamp::now());
        ensure!(
            matches!(validity, Validity::Valid | Validity::EndsSoon),
            "its certificate counts from {} to {}: a certificate of it would not be trusted",
            read.not_before,
            read.not_after
        );
        let key = KeyPair::from_pem(key)
            .map_err(|_| anyhow!("its key cannot sign: expected PKCS#8, RSA or ECDSA"))?;
        let issuer = Issuer::from_ca_cert_pem(certificate, key).context("its certificate cannot issue")?;
        Ok(Self { issuer, certificate: certificate.to_owned(), not_after: read.not_after })
    }

    /// A new one for the nodes' client certificates.
    pub(super) fn make() -> Result<Pair> {
        let mut params = params("Keylime Attestor node CA", CA_LIFETIME);
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let key = KeyPair::generate()?;
        Ok(Pair { certificate: params.self_signed(&key)?.pem(), key: key.serialize_pem() })
    }

    /// A client's certificate with a new key, which ends no later than the CA.
    pub(super) fn issue(&self, name: &str, lifetime: Duration) -> Result<Pair> {
        let left = Duration::try_from(self.not_after.duration_since(Timestamp::now())).unwrap_or_default();
        let mut params = params(name, lifetime.min(left));
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.use_authority_key_identifier_extension = true;
        let key = KeyPair::generate()?;
        Ok(Pair { certificate: params.signed_by(&key, &self.issuer)?.pem(), key: key.serialize_pem() })
    }
}

fn params(name: &str, lifetime: Duration) -> CertificateParams {
    let mut params = CertificateParams::default();
    let now = SystemTime::now();
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    params.not_before = (now - BACKDATED).into();
    params.not_after = (now + lifetime).into();
    params
}
