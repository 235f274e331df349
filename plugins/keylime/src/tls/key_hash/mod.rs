//! The hash of a public key, by which a certificate is known whatever else is in it.

use std::fmt;
use std::str::FromStr;

use ring::digest::{SHA256, digest};
use rustls::Error;
use rustls::pki_types::CertificateDer;
use rustls::server::ParsedCertificate;

/// SHA-256 of a certificate's public key (SubjectPublicKeyInfo, DER). Written in hexadecimal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeyHash([u8; 32]);

/// A text that is no hash of a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "expected the SHA-256 of a client certificate's public key (SubjectPublicKeyInfo, DER) as 64 hexadecimal digits"
)]
pub struct InvalidKeyHash;

impl KeyHash {
    /// The hash of a certificate's key.
    ///
    /// # Errors
    /// For a certificate that cannot be read.
    pub fn of(certificate: &CertificateDer<'_>) -> Result<Self, Error> {
        let key = ParsedCertificate::try_from(certificate)?.subject_public_key_info();
        let mut hash = [0; 32];
        hash.copy_from_slice(digest(&SHA256, &key).as_ref());
        Ok(Self(hash))
    }
}

impl FromStr for KeyHash {
    type Err = InvalidKeyHash;

    fn from_str(text: &str) -> Result<Self, InvalidKeyHash> {
        let mut hash = [0; 32];
        hex::decode_to_slice(text, &mut hash).map_err(|_| InvalidKeyHash)?;
        Ok(Self(hash))
    }
}

impl fmt::Display for KeyHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

#[cfg(test)]
mod tests;
