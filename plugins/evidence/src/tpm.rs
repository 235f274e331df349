//! The TPM's own structures, unmarshalled by the TCG's stack.

use std::fmt;

use tss_esapi::interface_types::algorithm::HashingAlgorithm;
use tss_esapi::traits::{Marshall, UnMarshall};

use crate::HashAlg;

/// Unmarshals a structure that fills `bytes`.
///
/// The stack ignores bytes that follow a structure, and bits that it does not know. So the
/// structure is marshalled again, and refused unless it is the same, byte for byte. Hence a
/// structure has one encoding only, and nothing can hide behind it.
pub(crate) fn unmarshal_whole<T: Marshall + UnMarshall>(bytes: &[u8]) -> Option<T> {
    let structure = T::unmarshall(bytes).ok()?;
    (structure.marshall().ok()? == bytes).then_some(structure)
}

/// A TPM's signature scheme: an algorithm and the hash of the signed bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SignatureScheme {
    pub(crate) algorithm: SignatureAlgorithm,
    pub(crate) hash: HashAlg,
}

/// `TPM_ALG_RSASSA` (PKCS#1 v1.5), `TPM_ALG_RSAPSS`, `TPM_ALG_ECDSA`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SignatureAlgorithm {
    RsaSsa,
    RsaPss,
    EcDsa,
}

impl fmt::Display for SignatureScheme {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let algorithm = match self.algorithm {
            SignatureAlgorithm::RsaSsa => "RSASSA",
            SignatureAlgorithm::RsaPss => "RSAPSS",
            SignatureAlgorithm::EcDsa => "ECDSA",
        };
        write!(formatter, "{algorithm} with {}", self.hash)
    }
}

/// The reason why a TPM's hash algorithm is not accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NoHashAlg {
    Weak,
    Unsupported,
}

pub(crate) fn hash_alg(algorithm: HashingAlgorithm) -> Result<HashAlg, NoHashAlg> {
    match algorithm {
        HashingAlgorithm::Sha256 => Ok(HashAlg::Sha256),
        HashingAlgorithm::Sha384 => Ok(HashAlg::Sha384),
        HashingAlgorithm::Sha512 => Ok(HashAlg::Sha512),
        HashingAlgorithm::Sha1 => Err(NoHashAlg::Weak),
        HashingAlgorithm::Sm3_256
        | HashingAlgorithm::Sha3_256
        | HashingAlgorithm::Sha3_384
        | HashingAlgorithm::Sha3_512
        | HashingAlgorithm::Null => Err(NoHashAlg::Unsupported),
    }
}
