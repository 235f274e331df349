//! The flaws of a certificate, ours or a server's, in texts that fit behind "it is" and "got".

use rustls::pki_types::CertificateDer;
use rustls::server::ParsedCertificate;
use rustls::{CertificateError, Error, OtherError};

/// A key on P-521, a curve that ring, the cryptography used here, does not have.
pub(super) const P521: &str =
    "one with a key on P-521, which is not supported: use RSA, P-256, P-384 or Ed25519";

const UNREADABLE: &str = "one that cannot be read: issue it anew";

/// secp521r1 (1.3.132.0.35), as DER.
const P521_OID: &[u8] = &[0x06, 0x05, 0x2b, 0x81, 0x04, 0x00, 0x23];

/// Checks that a certificate can be read.
pub(super) fn check(certificate: &CertificateDer<'_>) -> Result<(), &'static str> {
    ParsedCertificate::try_from(certificate).map(drop).map_err(|error| flaw_of(&error))
}

/// Checks that a certificate can be read, and its key be used by its owner.
pub(super) fn check_with_key(certificate: &CertificateDer<'_>) -> Result<(), &'static str> {
    let parsed = ParsedCertificate::try_from(certificate).map_err(|error| flaw_of(&error))?;
    if is_p521(&parsed.subject_public_key_info()) { Err(P521) } else { Ok(()) }
}

/// True for a key, public or private, on P-521.
pub(super) fn is_p521(key: &[u8]) -> bool {
    key.windows(P521_OID.len()).any(|window| window == P521_OID)
}

/// The flaw behind an error of rustls that is about a certificate.
pub(super) fn flaw_of(error: &Error) -> &'static str {
    match error {
        Error::InvalidCertificate(error) => flaw(error).unwrap_or(UNREADABLE),
        _ => UNREADABLE,
    }
}

/// The flaw; [`None`] for a sound certificate that is only the wrong one, here or now.
pub(crate) fn flaw(error: &CertificateError) -> Option<&'static str> {
    use webpki::Error as Cause;
    Some(match error {
        CertificateError::BadEncoding => UNREADABLE,
        CertificateError::UnhandledCriticalExtension => {
            "one with a critical extension that is not supported: issue it without"
        }
        CertificateError::UnsupportedSignatureAlgorithmContext { .. }
        | CertificateError::UnsupportedSignatureAlgorithmForPublicKeyContext { .. } => {
            "one with an algorithm that is not supported: use RSA, P-256 with SHA-256, P-384 with SHA-384 or Ed25519, \
             for its CA as well"
        }
        CertificateError::InvalidPurpose | CertificateError::InvalidPurposeContext { .. } => {
            "one for another purpose: issue it with the extended key usage serverAuth, or without any"
        }
        CertificateError::Other(OtherError(cause)) => match cause.downcast_ref::<Cause>()? {
            Cause::UnsupportedCertVersion => "an X.509 v1 certificate: issue it anew, with extensions (v3)",
            Cause::CaUsedAsEndEntity => {
                "a CA's certificate: show one that the CA has issued, and that one first in its chain"
            }
            Cause::EndEntityUsedAsCa => "one issued by a certificate that is not a CA's: let a CA issue it",
            Cause::NameConstraintViolation => "one for a name that its CA may not issue it for",
            Cause::PathLenConstraintViolated => "one with more CAs above it than these allow",
            Cause::UnsupportedCriticalExtension => {
                "one with a critical extension that is not supported: issue it without"
            }
            _ => UNREADABLE,
        },
        _ => return None,
    })
}
