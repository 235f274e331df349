//! The key and the signature scheme in the parameters of an AK.

use tss_esapi::interface_types::algorithm::HashingAlgorithm;
use tss_esapi::interface_types::ecc::EccCurve;
use tss_esapi::interface_types::key_bits::RsaKeyBits;
use tss_esapi::structures::{
    EccPoint, EccScheme, HashScheme, PublicEccParameters, PublicKeyRsa, PublicRsaParameters, RsaScheme,
};

use super::{InvalidAttestationKey, VerifyingKey};
use crate::HashAlg;
use crate::tpm::{self, NoHashAlg, SignatureAlgorithm, SignatureScheme};

pub(super) fn rsa_scheme(parameters: &PublicRsaParameters) -> Result<SignatureScheme, InvalidAttestationKey> {
    match parameters.rsa_scheme() {
        RsaScheme::RsaSsa(hash) => scheme(SignatureAlgorithm::RsaSsa, hash),
        RsaScheme::RsaPss(hash) => scheme(SignatureAlgorithm::RsaPss, hash),
        RsaScheme::RsaEs | RsaScheme::Oaep(_) => unsupported_scheme("an encryption scheme"),
        RsaScheme::Null => unsupported_scheme("no scheme of its own"),
    }
}

pub(super) fn ecc_scheme(parameters: &PublicEccParameters) -> Result<SignatureScheme, InvalidAttestationKey> {
    match parameters.ecc_scheme() {
        EccScheme::EcDsa(hash) => {
            let scheme = scheme(SignatureAlgorithm::EcDsa, hash)?;
            if scheme.hash == HashAlg::Sha512 {
                return Err(InvalidAttestationKey::EcdsaSha512);
            }
            Ok(scheme)
        }
        EccScheme::EcSchnorr(_) => unsupported_scheme("ECSCHNORR"),
        EccScheme::EcDaa(_) => unsupported_scheme("ECDAA"),
        EccScheme::Sm2(_) => unsupported_scheme("SM2"),
        EccScheme::EcDh(_) | EccScheme::EcMqv(_) => unsupported_scheme("a key exchange"),
        EccScheme::Null => unsupported_scheme("no scheme of its own"),
    }
}

fn unsupported_scheme(came: &'static str) -> Result<SignatureScheme, InvalidAttestationKey> {
    Err(InvalidAttestationKey::UnsupportedScheme { came })
}

fn scheme(algorithm: SignatureAlgorithm, hash: HashScheme) -> Result<SignatureScheme, InvalidAttestationKey> {
    let hash: HashingAlgorithm = hash.hashing_algorithm();
    let hash = tpm::hash_alg(hash).map_err(|no| match no {
        NoHashAlg::Weak => InvalidAttestationKey::WeakHash,
        NoHashAlg::Unsupported => InvalidAttestationKey::UnsupportedHash,
    })?;
    Ok(SignatureScheme { algorithm, hash })
}

pub(super) fn rsa_key(
    parameters: &PublicRsaParameters,
    unique: &PublicKeyRsa,
) -> Result<VerifyingKey, InvalidAttestationKey> {
    let length = match parameters.key_bits() {
        RsaKeyBits::Rsa2048 => 2048 / 8,
        RsaKeyBits::Rsa3072 => 3072 / 8,
        RsaKeyBits::Rsa4096 => 4096 / 8,
        RsaKeyBits::Rsa1024 => {
            return Err(InvalidAttestationKey::UnsupportedKey { came: "RSA of 1024 bits" });
        }
    };
    // 0 means the default, 65537 (TPM 2.0 Library, Part 2, 12.2.3.5).
    if !matches!(parameters.exponent().value(), 0 | 65537) {
        return Err(InvalidAttestationKey::UnsupportedKey { came: "RSA with another exponent" });
    }
    let modulus = unique.value();
    if modulus.len() != length || modulus.first().is_none_or(|first| first & 0x80 == 0) {
        return Err(InvalidAttestationKey::Inconsistent {
            problem: "the modulus has not the size of the key",
        });
    }
    Ok(VerifyingKey::Rsa(modulus.into()))
}

pub(super) fn ecc_key(
    parameters: &PublicEccParameters,
    unique: &EccPoint,
) -> Result<VerifyingKey, InvalidAttestationKey> {
    match parameters.ecc_curve() {
        EccCurve::NistP256 => Ok(VerifyingKey::P256(uncompressed(unique, 32)?)),
        EccCurve::NistP384 => Ok(VerifyingKey::P384(uncompressed(unique, 48)?)),
        EccCurve::NistP521 => {
            Err(InvalidAttestationKey::UnsupportedKey { came: "on P-521: P-521 is not supported" })
        }
        _ => Err(InvalidAttestationKey::UnsupportedKey { came: "ECC on another curve" }),
    }
}

/// The point in the form of SEC 1. TPMs may leave out leading zeros. That it is on the curve, ring
/// checks.
fn uncompressed(point: &EccPoint, length: usize) -> Result<Box<[u8]>, InvalidAttestationKey> {
    let mut bytes = vec![4_u8];
    for coordinate in [point.x().value(), point.y().value()] {
        let Some(zeros) = length.checked_sub(coordinate.len()) else {
            return Err(InvalidAttestationKey::Inconsistent {
                problem: "a coordinate is longer than the curve allows",
            });
        };
        bytes.extend(std::iter::repeat_n(0, zeros));
        bytes.extend_from_slice(coordinate);
    }
    Ok(bytes.into())
}
