//! The second part of a quote: the AK's signature.

use ring::signature::{
    ECDSA_P256_SHA256_ASN1, ECDSA_P256_SHA384_ASN1, ECDSA_P384_SHA256_ASN1, ECDSA_P384_SHA384_ASN1,
    RSA_PKCS1_2048_8192_SHA256, RSA_PKCS1_2048_8192_SHA384, RSA_PKCS1_2048_8192_SHA512,
    RSA_PSS_2048_8192_SHA256, RSA_PSS_2048_8192_SHA384, RSA_PSS_2048_8192_SHA512, RsaParameters,
    RsaPublicKeyComponents, UnparsedPublicKey, VerificationAlgorithm,
};
use tss_esapi::interface_types::algorithm::HashingAlgorithm;
use tss_esapi::structures::{EccSignature, RsaSignature, Signature};

use crate::HashAlg;
use crate::attestation_key::{AttestationKey, RSA_EXPONENT, VerifyingKey};
use crate::quote::{InvalidQuote, QuotePart};
use crate::tpm::{self, NoHashAlg, SignatureAlgorithm, SignatureScheme, unmarshal_whole};

/// A `TPMT_SIGNATURE` (TPM 2.0 Library, Part 2, 11.3.4) by a scheme that is supported.
pub(crate) struct QuoteSignature {
    scheme: SignatureScheme,
    value: Value,
}

enum Value {
    Rsa(Vec<u8>),
    /// r and s, big endian.
    EcDsa(Vec<u8>, Vec<u8>),
}

impl QuoteSignature {
    pub(crate) fn parse(bytes: &[u8]) -> Result<Self, InvalidQuote> {
        let signature: Signature =
            unmarshal_whole(bytes).ok_or(InvalidQuote::Malformed { part: QuotePart::Signature })?;
        match &signature {
            Signature::RsaSsa(rsa) => Self::rsa(SignatureAlgorithm::RsaSsa, rsa),
            Signature::RsaPss(rsa) => Self::rsa(SignatureAlgorithm::RsaPss, rsa),
            Signature::EcDsa(ecc) => Self::ecdsa(ecc),
            Signature::EcDaa(_)
            | Signature::Sm2(_)
            | Signature::EcSchnorr(_)
            | Signature::Hmac(_)
            | Signature::Null => Err(InvalidQuote::UnsupportedSignature),
        }
    }

    /// Verifies that `ak` made this signature over `message`.
    ///
    /// The scheme must be the AK's own: a restricted key signs by no other. Of RSAPSS, only
    /// signatures with a salt as long as the hash are accepted, as FIPS 186-4 demands and TPMs of
    /// today make them. Old ones fill the space with salt, which ring does not verify.
    pub(crate) fn verify(&self, ak: &AttestationKey, message: &[u8]) -> Result<(), InvalidQuote> {
        if self.scheme != ak.scheme {
            return Err(InvalidQuote::Scheme { came: self.scheme, expected: ak.scheme });
        }
        let verified = match (&ak.verifying, &self.value) {
            (VerifyingKey::Rsa(modulus), Value::Rsa(signature)) => {
                let parameters = rsa_parameters(self.scheme).ok_or(InvalidQuote::UnsupportedSignature)?;
                RsaPublicKeyComponents { n: &**modulus, e: RSA_EXPONENT }
                    .verify(parameters, message, signature)
            }
            (VerifyingKey::P256(point), Value::EcDsa(r, s)) => {
                let algorithm = p256(self.scheme.hash).ok_or(InvalidQuote::UnsupportedSignature)?;
                UnparsedPublicKey::new(algorithm, point).verify(message, &der::<32>(r, s)?)
            }
            (VerifyingKey::P384(point), Value::EcDsa(r, s)) => {
                let algorithm = p384(self.scheme.hash).ok_or(InvalidQuote::UnsupportedSignature)?;
                UnparsedPublicKey::new(algorithm, point).verify(message, &der::<48>(r, s)?)
            }
            // A key and a scheme of two kinds, which neither parser lets through.
            (VerifyingKey::Rsa(_), Value::EcDsa(..))
            | (VerifyingKey::P256(_) | VerifyingKey::P384(_), Value::Rsa(_)) => {
                return Err(InvalidQuote::Signature);
            }
        };
        verified.map_err(|_unspecified| InvalidQuote::Signature)
    }

    fn rsa(algorithm: SignatureAlgorithm, signature: &RsaSignature) -> Result<Self, InvalidQuote> {
        let scheme = scheme(algorithm, signature.hashing_algorithm())?;
        Ok(Self { scheme, value: Value::Rsa(signature.signature().value().to_vec()) })
    }

    fn ecdsa(signature: &EccSignature) -> Result<Self, InvalidQuote> {
        let scheme = scheme(SignatureAlgorithm::EcDsa, signature.hashing_algorithm())?;
        let (r, s) = (signature.signature_r().value(), signature.signature_s().value());
        Ok(Self { scheme, value: Value::EcDsa(r.to_vec(), s.to_vec()) })
    }
}

fn scheme(algorithm: SignatureAlgorithm, hash: HashingAlgorithm) -> Result<SignatureScheme, InvalidQuote> {
    let hash = tpm::hash_alg(hash).map_err(|no| match no {
        NoHashAlg::Weak => InvalidQuote::WeakSignatureHash,
        NoHashAlg::Unsupported => InvalidQuote::UnsupportedSignature,
    })?;
    Ok(SignatureScheme { algorithm, hash })
}

fn rsa_parameters(scheme: SignatureScheme) -> Option<&'static RsaParameters> {
    match (scheme.algorithm, scheme.hash) {
        (SignatureAlgorithm::RsaSsa, HashAlg::Sha256) => Some(&RSA_PKCS1_2048_8192_SHA256),
        (SignatureAlgorithm::RsaSsa, HashAlg::Sha384) => Some(&RSA_PKCS1_2048_8192_SHA384),
        (SignatureAlgorithm::RsaSsa, HashAlg::Sha512) => Some(&RSA_PKCS1_2048_8192_SHA512),
        (SignatureAlgorithm::RsaPss, HashAlg::Sha256) => Some(&RSA_PSS_2048_8192_SHA256),
        (SignatureAlgorithm::RsaPss, HashAlg::Sha384) => Some(&RSA_PSS_2048_8192_SHA384),
        (SignatureAlgorithm::RsaPss, HashAlg::Sha512) => Some(&RSA_PSS_2048_8192_SHA512),
        (SignatureAlgorithm::EcDsa, _) => None,
    }
}

/// The algorithm for a P-256 key. ring has no ECDSA with SHA-512 for these curves.
fn p256(hash: HashAlg) -> Option<&'static dyn VerificationAlgorithm> {
    match hash {
        HashAlg::Sha256 => Some(&ECDSA_P256_SHA256_ASN1),
        HashAlg::Sha384 => Some(&ECDSA_P256_SHA384_ASN1),
        HashAlg::Sha512 => None,
    }
}

fn p384(hash: HashAlg) -> Option<&'static dyn VerificationAlgorithm> {
    match hash {
        HashAlg::Sha256 => Some(&ECDSA_P384_SHA256_ASN1),
        HashAlg::Sha384 => Some(&ECDSA_P384_SHA384_ASN1),
        HashAlg::Sha512 => None,
    }
}

/// `ECDSA-Sig-Value` (RFC 3279, 2.2.3), of a curve whose numbers have `N` bytes: the only form in
/// which ring has every pair of curve and hash.
fn der<const N: usize>(r: &[u8], s: &[u8]) -> Result<Vec<u8>, InvalidQuote> {
    if r.len() > N || s.len() > N {
        return Err(InvalidQuote::Signature);
    }
    let mut integers = der_unsigned(r);
    integers.extend(der_unsigned(s));
    Ok(der_value(0x30, &integers))
}

/// A number that is not negative, in the fewest bytes.
fn der_unsigned(number: &[u8]) -> Vec<u8> {
    let zeros = number.iter().take_while(|byte| **byte == 0).count();
    let mut content = number.get(zeros..).unwrap_or_default().to_vec();
    if content.first().is_none_or(|first| first & 0x80 != 0) {
        content.insert(0, 0);
    }
    der_value(0x02, &content)
}

/// A DER value with a length of one byte: the two numbers of P-384 with their headers have at most
/// 102 bytes.
fn der_value(tag: u8, content: &[u8]) -> Vec<u8> {
    let mut value = vec![tag, u8::try_from(content.len()).unwrap_or(u8::MAX)];
    value.extend_from_slice(content);
    value
}
