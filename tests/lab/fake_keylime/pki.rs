//! Certificates as Keylime's: a CA, servers' and clients' certificates of it, written as PEM files.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use anyhow::Result;
use rcgen::{
    BasicConstraints, CertificateParams, CustomExtension, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer,
    KeyPair, KeyUsagePurpose, date_time_ymd,
};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::ClientCertVerifier;
use rustls::version::{TLS12, TLS13};
use rustls::{RootCertStore, ServerConfig, SupportedProtocolVersion};

/// A certificate authority. All of them have the same name, as Keylime's have.
pub struct Ca {
    issuer: Issuer<'static, KeyPair>,
    pem: String,
    der: CertificateDer<'static>,
}

/// A certificate with its key.
pub struct Leaf {
    /// The certificate, PEM.
    pub cert_pem: String,
    /// The key, PEM (PKCS#8).
    pub key_pem: String,
    /// The certificate, DER.
    pub cert_der: CertificateDer<'static>,
    key_der: Vec<u8>,
}

/// The PEM files of one client.
#[derive(Debug, Clone)]
pub struct Files {
    /// The CA certificate.
    pub ca: PathBuf,
    /// The client certificate.
    pub cert: PathBuf,
    /// The key of the client certificate.
    pub key: PathBuf,
}

/// When a certificate counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Validity {
    /// Now.
    Now,
    /// Until 2001.
    Expired,
    /// From 2999.
    NotYet,
}

/// Which client certificates a server asks for.
#[derive(Clone, Copy)]
pub enum Clients<'a> {
    /// One of this CA, or none at all: verifier and registrar.
    Optional(&'a Ca),
    /// One of this CA: agents.
    Required(&'a Ca),
}

impl Ca {
    /// A new CA.
    pub fn new() -> Result<Ca> {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, "Keylime Certificate Authority");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let key = KeyPair::generate()?;
        let certificate = params.self_signed(&key)?;
        Ok(Ca { pem: certificate.pem(), der: certificate.der().clone(), issuer: Issuer::new(params, key) })
    }

    /// The CA's certificate, PEM.
    pub fn pem(&self) -> &str {
        &self.pem
    }

    /// A server's certificate for `names` (DNS names and addresses).
    pub fn server(&self, names: &[&str], validity: Validity) -> Result<Leaf> {
        self.sign(names, "server", ExtendedKeyUsagePurpose::ServerAuth, validity)
    }

    /// A server's certificate for 127.0.0.1, but for what `change` makes of it.
    pub fn server_with(&self, change: impl FnOnce(&mut CertificateParams)) -> Result<Leaf> {
        let key = KeyPair::generate()?;
        let mut params = params(&["127.0.0.1"], "server", Validity::Now)?;
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        change(&mut params);
        let certificate = params.signed_by(&key, &self.issuer)?;
        Ok(Leaf::new(certificate.der().clone(), certificate.pem(), &key))
    }

    /// A client's certificate with a new key.
    pub fn client(&self) -> Result<Leaf> {
        self.sign(&[], "client", ExtendedKeyUsagePurpose::ClientAuth, Validity::Now)
    }

    /// A client's certificate with a new key, which ends at a time.
    pub fn client_until(&self, end: SystemTime) -> Result<Leaf> {
        let key = KeyPair::generate()?;
        let mut params = params(&[], "client", Validity::Now)?;
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        params.not_after = end.into();
        let certificate = params.signed_by(&key, &self.issuer)?;
        Ok(Leaf::new(certificate.der().clone(), certificate.pem(), &key))
    }

    /// A client's certificate, PEM, for a key made elsewhere.
    pub fn client_for(&self, key: &KeyPair) -> Result<String> {
        let mut params = params(&[], "client", Validity::Now)?;
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        Ok(params.signed_by(key, &self.issuer)?.pem())
    }

    /// Writes `cacert.crt`, `client-cert.crt` and `client-private.pem` with a new client
    /// certificate into `dir`.
    pub fn write_client(&self, dir: &Path) -> Result<Files> {
        self.client()?.write(dir, self)
    }

    fn sign(
        &self,
        names: &[&str],
        common_name: &str,
        usage: ExtendedKeyUsagePurpose,
        validity: Validity,
    ) -> Result<Leaf> {
        let key = KeyPair::generate()?;
        let mut params = params(names, common_name, validity)?;
        params.extended_key_usages = vec![usage];
        let certificate = params.signed_by(&key, &self.issuer)?;
        Ok(Leaf::new(certificate.der().clone(), certificate.pem(), &key))
    }
}

impl Leaf {
    /// A self-signed certificate whose signature does not verify, as that of Keylime's Rust agent.
    pub fn with_broken_signature(names: &[&str]) -> Result<Leaf> {
        let key = KeyPair::generate()?;
        let mut params = params(names, "agent", Validity::Now)?;
        params.custom_extensions =
            vec![CustomExtension::from_oid_content(&[1, 3, 6, 1, 4, 1, 99999, 1], b"\x0c\x01a".to_vec())];
        let good = params.self_signed(&key)?;
        // The extension's last byte is part of what was signed.
        let mut der = good.der().to_vec();
        let at = der
            .windows(3)
            .position(|window| window == b"\x0c\x01a")
            .ok_or_else(|| anyhow::anyhow!("no extension"))?;
        if let Some(byte) = der.get_mut(at + 2) {
            *byte = b'b';
        }
        let der = CertificateDer::from(der);
        let pem = pem(&der);
        Ok(Leaf::new(der, pem, &key))
    }

    fn new(cert_der: CertificateDer<'static>, cert_pem: String, key: &KeyPair) -> Leaf {
        Leaf { cert_pem, cert_der, key_pem: key.serialize_pem(), key_der: key.serialize_der() }
    }

    /// Writes the CA's certificate, this one and its key into `dir`, under the names that Keylime
    /// gives them.
    pub fn write(&self, dir: &Path, ca: &Ca) -> Result<Files> {
        fs::create_dir_all(dir)?;
        let files = Files {
            ca: dir.join("cacert.crt"),
            cert: dir.join("client-cert.crt"),
            key: dir.join("client-private.pem"),
        };
        fs::write(&files.ca, ca.pem())?;
        fs::write(&files.cert, &self.cert_pem)?;
        fs::write(&files.key, &self.key_pem)?;
        Ok(files)
    }

    /// The TLS side of a server that shows this certificate, with TLS 1.2 and 1.3.
    pub fn server_config(&self, clients: Clients<'_>) -> Result<ServerConfig> {
        self.config(clients, &[&TLS13, &TLS12])
    }

    /// The same with TLS 1.2 only.
    pub fn tls12_config(&self, clients: Clients<'_>) -> Result<ServerConfig> {
        self.config(clients, &[&TLS12])
    }

    fn config(
        &self,
        clients: Clients<'_>,
        versions: &[&'static SupportedProtocolVersion],
    ) -> Result<ServerConfig> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(self.key_der.clone()));
        Ok(ServerConfig::builder_with_provider(provider.clone())
            .with_protocol_versions(versions)?
            .with_client_cert_verifier(clients.verifier(provider)?)
            .with_single_cert(vec![self.cert_der.clone()], key)?)
    }
}

impl Clients<'_> {
    fn verifier(self, provider: Arc<CryptoProvider>) -> Result<Arc<dyn ClientCertVerifier>> {
        let (ca, optional) = match self {
            Clients::Optional(ca) => (ca, true),
            Clients::Required(ca) => (ca, false),
        };
        let mut roots = RootCertStore::empty();
        roots.add(ca.der.clone())?;
        let builder = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
        Ok(if optional { builder.allow_unauthenticated().build()? } else { builder.build()? })
    }
}

fn params(names: &[&str], common_name: &str, validity: Validity) -> Result<CertificateParams> {
    let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    let mut params = CertificateParams::new(names)?;
    params.distinguished_name.push(DnType::CommonName, common_name);
    (params.not_before, params.not_after) = match validity {
        Validity::Now => (date_time_ymd(2000, 1, 1), date_time_ymd(3000, 1, 1)),
        Validity::Expired => (date_time_ymd(2000, 1, 1), date_time_ymd(2001, 1, 1)),
        Validity::NotYet => (date_time_ymd(2999, 1, 1), date_time_ymd(3000, 1, 1)),
    };
    Ok(params)
}

fn pem(der: &CertificateDer<'_>) -> String {
    use base64::Engine;
    let body = base64::engine::general_purpose::STANDARD.encode(der);
    let lines: Vec<&str> =
        body.as_bytes().chunks(64).filter_map(|line| std::str::from_utf8(line).ok()).collect();
    format!("-----BEGIN CERTIFICATE-----\n{}\n-----END CERTIFICATE-----\n", lines.join("\n"))
}
