//! The two public keys that the registrar holds of a node's TPM.

use std::fmt;

use ring::digest;
use tss_esapi::attributes::ObjectAttributes;
use tss_esapi::interface_types::algorithm::HashingAlgorithm;
use tss_esapi::interface_types::ecc::EccCurve;
use tss_esapi::structures::{
    EccPoint, EccScheme, HashScheme, Public, PublicBuffer, PublicEccParameters, PublicKeyRsa,
    PublicRsaParameters, RsaScheme,
};

use crate::name::Name;
use crate::tpm::{self, NoHashAlg, SignatureAlgorithm, SignatureScheme, unmarshal_whole};
use crate::{Code, HashAlg};

/// Largest `TPM2B_PUBLIC` in bytes. One of an RSA 4096 key has less than 600.
const PUBLIC_MAX_LEN: usize = 1024;

/// 65537, big endian: the only exponent that is taken. TPMs make no RSA keys of another by default.
pub(crate) const RSA_EXPONENT: &[u8] = &[1, 0, 1];

/// A node's attestation key (AK), as its TPM describes it in a `TPM2B_PUBLIC` (TPM 2.0 Library,
/// Part 2, 12.2.5; Keylime's `aik_tpm`).
///
/// The attributes are checked: the TPM made the key itself, it never leaves that TPM, and it signs
/// only what the TPM made. That the description is true, and that the TPM is a real one, is not
/// proven here: the registrar proved it when the node registered (TPM2_MakeCredential against the
/// EK, and the EK's certificate).
#[derive(Clone, PartialEq, Eq)]
pub struct AttestationKey {
    public: Box<[u8]>,
    name: Option<Name>,
    pub(crate) scheme: SignatureScheme,
    pub(crate) verifying: VerifyingKey,
}

/// A node's endorsement key (EK): its `TPM2B_PUBLIC` (Keylime's `ek_tpm`). Its hash is a selector,
/// and its name is part of what a quote is signed by.
#[derive(Clone, PartialEq, Eq)]
pub struct EndorsementKey {
    public: Box<[u8]>,
    name: Option<Name>,
}

/// A public key in the form in which ring checks signatures.
#[derive(Clone, PartialEq, Eq)]
pub(crate) enum VerifyingKey {
    /// The modulus, big endian, without leading zeros. The exponent is [`RSA_EXPONENT`].
    Rsa(Box<[u8]>),
    /// An uncompressed point: 4, x, y.
    P256(Box<[u8]>),
    /// An uncompressed point: 4, x, y.
    P384(Box<[u8]>),
}

/// The reason why an AK is not accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidAttestationKey {
    /// Larger than 1,024 bytes; not parsed.
    #[error("the registered AK has {length} bytes; at most {PUBLIC_MAX_LEN} are allowed")]
    TooLarge {
        /// The size in bytes.
        length: usize,
    },
    /// Bytes that are not one `TPM2B_PUBLIC` and nothing else.
    #[error("the registered AK is not a TPM2B_PUBLIC structure and nothing else")]
    Malformed,
    /// `restricted` is not set: the key would sign what its owner makes up as well.
    #[error(
        "the registered AK is not restricted: it may sign what no TPM made; let the Keylime agent register an AK of its own"
    )]
    NotRestricted,
    /// `sign` is not set.
    #[error("the registered AK is not a signing key; let the Keylime agent register an AK of its own")]
    NotSigning,
    /// `decrypt` is set.
    #[error("the registered AK is also a decryption key; let the Keylime agent register an AK of its own")]
    Decrypts,
    /// `fixedTPM` is not set: the key may be copied to another TPM.
    #[error(
        "the registered AK may leave its TPM (fixedTPM is not set); let the Keylime agent register an AK of its own"
    )]
    NotFixedTpm,
    /// `fixedParent` is not set: the key may be copied to another parent.
    #[error(
        "the registered AK may leave its parent (fixedParent is not set); let the Keylime agent register an AK of its own"
    )]
    NotFixedParent,
    /// `sensitiveDataOrigin` is not set: the private key may be known outside the TPM, even with
    /// `fixedTPM`.
    #[error(
        "the registered AK was not made by its TPM (sensitiveDataOrigin is not set); let the Keylime agent register an AK of its own"
    )]
    NotMadeByTpm,
    /// Neither RSA nor ECC, or a curve, size or exponent that is not supported.
    #[error(
        "the registered AK is {came}; RSA of 2048, 3072 or 4096 bits with exponent 65537, P-256 or P-384 is expected"
    )]
    UnsupportedKey {
        /// The kind of key.
        came: &'static str,
    },
    /// The public key does not fit its own parameters.
    #[error("the registered AK is inconsistent: {problem}")]
    Inconsistent {
        /// The parameter that does not fit.
        problem: &'static str,
    },
    /// No scheme, or one that is not supported.
    #[error(
        "the registered AK signs by {came}; RSASSA, RSAPSS or ECDSA is expected (tpm_signing_alg of the Keylime agent)"
    )]
    UnsupportedScheme {
        /// The key's scheme.
        came: &'static str,
    },
    /// The scheme's hash is SHA-1.
    #[error(
        "the registered AK signs with sha1, which is too weak; set tpm_hash_alg of the Keylime agent to sha256 or better"
    )]
    WeakHash,
    /// The key's name is made with SHA-1, or with nothing: another key may be given the same name.
    #[error(
        "the registered AK has a name by {came} (nameAlg), which is too weak; let the Keylime agent register an AK with nameAlg sha256"
    )]
    WeakName {
        /// The hash that the name is made with.
        came: &'static str,
    },
    /// The scheme's hash is not supported.
    #[error("the registered AK signs with a hash other than sha256, sha384 and sha512")]
    UnsupportedHash,
    /// ECDSA with SHA-512, which ring does not do for P-256 and P-384.
    #[error("the registered AK signs by ECDSA with sha512, which is not supported; use sha256 or sha384")]
    EcdsaSha512,
}

/// The reason why an EK is not accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "the registered EK of {length} bytes is not a TPM2B_PUBLIC structure of at most {PUBLIC_MAX_LEN} bytes and nothing else"
)]
pub struct InvalidEndorsementKey {
    length: usize,
}

impl AttestationKey {
    /// Parses a marshalled `TPM2B_PUBLIC` (big endian, with its size in front) and checks
    /// attributes, algorithm and scheme.
    ///
    /// # Errors
    /// [`InvalidAttestationKey`] with the check that failed.
    pub fn from_tpm2b_public(bytes: &[u8]) -> Result<Self, InvalidAttestationKey> {
        if bytes.len() > PUBLIC_MAX_LEN {
            return Err(InvalidAttestationKey::TooLarge { length: bytes.len() });
        }
        let public = public(bytes).ok_or(InvalidAttestationKey::Malformed)?;
        check_attributes(public.object_attributes())?;
        check_name(public.name_hashing_algorithm())?;
        // The key before its scheme: another scheme helps no key that is refused all the same.
        let (verifying, scheme) = match &public {
            Public::Rsa { parameters, unique, .. } => (rsa_key(parameters, unique)?, rsa_scheme(parameters)?),
            Public::Ecc { parameters, unique, .. } => (ecc_key(parameters, unique)?, ecc_scheme(parameters)?),
            Public::KeyedHash { .. } | Public::SymCipher { .. } => {
                return Err(InvalidAttestationKey::UnsupportedKey { came: "a symmetric key" });
            }
        };
        let name = Name::of(&public, bytes);
        Ok(Self { public: bytes.into(), name, scheme, verifying })
    }

    /// The `TPM2B_PUBLIC`, as the registrar holds it.
    pub fn public_bytes(&self) -> &[u8] {
        &self.public
    }

    /// SHA-256 over [`public_bytes`](Self::public_bytes), 64 digits of lower case hex.
    pub fn sha256(&self) -> String {
        sha256_hex(&self.public)
    }

    /// The key's qualified name below this EK, as its TPM makes it. [`None`] where one of the two
    /// is named by a hash that is weak or not supported.
    pub(crate) fn qualified_name(&self, ek: &EndorsementKey) -> Option<Box<[u8]>> {
        Some(self.name.as_ref()?.below(ek.name.as_ref()?))
    }
}

impl EndorsementKey {
    /// Parses a marshalled `TPM2B_PUBLIC` of any algorithm.
    ///
    /// # Errors
    /// [`InvalidEndorsementKey`] for more than 1,024 bytes, or anything but exactly one such
    /// structure.
    pub fn from_tpm2b_public(bytes: &[u8]) -> Result<Self, InvalidEndorsementKey> {
        let invalid = InvalidEndorsementKey { length: bytes.len() };
        if bytes.len() > PUBLIC_MAX_LEN {
            return Err(invalid);
        }
        let name = Name::of(&public(bytes).ok_or(invalid)?, bytes);
        Ok(Self { public: bytes.into(), name })
    }

    /// The `TPM2B_PUBLIC`, as the registrar holds it.
    pub fn public_bytes(&self) -> &[u8] {
        &self.public
    }

    /// SHA-256 over [`public_bytes`](Self::public_bytes), 64 digits of lower case hex.
    pub fn sha256(&self) -> String {
        sha256_hex(&self.public)
    }
}

impl fmt::Debug for AttestationKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "AttestationKey({}, sha256 {})", self.scheme, self.sha256())
    }
}

impl fmt::Debug for EndorsementKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "EndorsementKey(sha256 {})", self.sha256())
    }
}

impl InvalidAttestationKey {
    /// A short stable name, for logs and metrics.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::TooLarge { .. } => "ak_too_large",
            Self::Malformed => "ak_malformed",
            Self::NotRestricted => "ak_not_restricted",
            Self::NotSigning => "ak_not_signing",
            Self::Decrypts => "ak_decrypts",
            Self::NotFixedTpm => "ak_not_fixed_tpm",
            Self::NotFixedParent => "ak_not_fixed_parent",
            Self::NotMadeByTpm => "ak_not_made_by_tpm",
            Self::UnsupportedKey { .. } => "ak_unsupported_key",
            Self::Inconsistent { .. } => "ak_inconsistent",
            Self::UnsupportedScheme { .. } => "ak_unsupported_scheme",
            Self::WeakHash => "ak_weak_hash",
            Self::WeakName { .. } => "ak_weak_name",
            Self::UnsupportedHash => "ak_unsupported_hash",
            Self::EcdsaSha512 => "ak_ecdsa_sha512",
        }
    }

    /// Bytes that are no key say nothing about the node; a key that is not accepted does.
    pub(crate) fn code(&self) -> Code {
        match self {
            Self::TooLarge { .. } | Self::Malformed => Code::Unavailable,
            _ => Code::PermissionDenied,
        }
    }
}

fn public(bytes: &[u8]) -> Option<Public> {
    let buffer: PublicBuffer = unmarshal_whole(bytes)?;
    Public::try_from(buffer).ok()
}

/// Checks the attributes. Keylime's AKs have 0x50072: these, and userWithAuth, which says only how
/// the key's use is authorized.
///
/// `sensitiveDataOrigin` is not implied by `fixedTPM`: a key derived (TPM2_CreateLoaded) from a
/// parent whose seed its owner chose is fixed to the TPM and still known to the owner. The TPM
/// never sets `sensitiveDataOrigin` on such a key.
fn check_attributes(attributes: ObjectAttributes) -> Result<(), InvalidAttestationKey> {
    let checks = [
        (attributes.restricted(), InvalidAttestationKey::NotRestricted),
        (attributes.sign_encrypt(), InvalidAttestationKey::NotSigning),
        (!attributes.decrypt(), InvalidAttestationKey::Decrypts),
        (attributes.fixed_tpm(), InvalidAttestationKey::NotFixedTpm),
        (attributes.fixed_parent(), InvalidAttestationKey::NotFixedParent),
        (attributes.sensitive_data_origin(), InvalidAttestationKey::NotMadeByTpm),
    ];
    match checks.into_iter().find(|(holds, _)| !holds) {
        Some((_, error)) => Err(error),
        None => Ok(()),
    }
}

/// Checks the hash of the key's name. The registrar proved the key by its name: whoever can make
/// another key of the same name has it proven too.
fn check_name(algorithm: HashingAlgorithm) -> Result<(), InvalidAttestationKey> {
    match algorithm {
        HashingAlgorithm::Sha1 => Err(InvalidAttestationKey::WeakName { came: "sha1" }),
        HashingAlgorithm::Null => Err(InvalidAttestationKey::WeakName { came: "no hash" }),
        _ => Ok(()),
    }
}

fn rsa_scheme(parameters: &PublicRsaParameters) -> Result<SignatureScheme, InvalidAttestationKey> {
    match parameters.rsa_scheme() {
        RsaScheme::RsaSsa(hash) => scheme(SignatureAlgorithm::RsaSsa, hash),
        RsaScheme::RsaPss(hash) => scheme(SignatureAlgorithm::RsaPss, hash),
        RsaScheme::RsaEs | RsaScheme::Oaep(_) => unsupported_scheme("an encryption scheme"),
        RsaScheme::Null => unsupported_scheme("no scheme of its own"),
    }
}

fn ecc_scheme(parameters: &PublicEccParameters) -> Result<SignatureScheme, InvalidAttestationKey> {
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

fn rsa_key(
    parameters: &PublicRsaParameters,
    unique: &PublicKeyRsa,
) -> Result<VerifyingKey, InvalidAttestationKey> {
    use tss_esapi::interface_types::key_bits::RsaKeyBits;
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

fn ecc_key(
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

fn sha256_hex(bytes: &[u8]) -> String {
    hex::encode(digest::digest(&digest::SHA256, bytes))
}
