//! The two public keys that the registrar holds of a node's TPM.

mod error;
mod parameters;

use std::fmt;

use ring::digest;
use tss_esapi::attributes::ObjectAttributes;
use tss_esapi::interface_types::algorithm::HashingAlgorithm;
use tss_esapi::structures::{Public, PublicBuffer};

pub use error::{InvalidAttestationKey, InvalidEndorsementKey};
use parameters::{ecc_key, ecc_scheme, rsa_key, rsa_scheme};

use crate::name::Name;
use crate::tpm::{SignatureScheme, unmarshal_whole};

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

fn sha256_hex(bytes: &[u8]) -> String {
    hex::encode(digest::digest(&digest::SHA256, bytes))
}
