//! The reasons why a key is not accepted.

use super::PUBLIC_MAX_LEN;
use crate::Code;

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
    pub(super) length: usize,
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
