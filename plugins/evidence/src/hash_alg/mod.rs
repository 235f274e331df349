//! The hash algorithms that are strong enough, in Keylime's spelling.

use std::fmt;
use std::str::FromStr;

use ring::digest;

use crate::excerpt::excerpt;

/// A hash algorithm for a PCR bank or a signature.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum HashAlg {
    /// `sha256`
    Sha256,
    /// `sha384`
    Sha384,
    /// `sha512`
    Sha512,
}

/// The reason why a name is no [`HashAlg`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidHashAlg {
    /// SHA-1: collisions can be made.
    #[error(
        "the hash algorithm is sha1, which is too weak; set sha256, sha384 or sha512 as tpm_hash_alg of the Keylime agent"
    )]
    Sha1,
    /// An algorithm that is not supported.
    #[error(
        "the hash algorithm is {came}; sha256, sha384 or sha512 is expected as tpm_hash_alg of the Keylime agent"
    )]
    Unsupported {
        /// The start of the name, quoted.
        came: String,
    },
}

impl HashAlg {
    /// Keylime's spelling: `sha256`, `sha384`, `sha512`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Sha256 => "sha256",
            Self::Sha384 => "sha384",
            Self::Sha512 => "sha512",
        }
    }

    /// Length of a digest in bytes.
    pub fn digest_len(self) -> usize {
        self.ring().output_len()
    }

    pub(crate) fn ring(self) -> &'static digest::Algorithm {
        match self {
            Self::Sha256 => &digest::SHA256,
            Self::Sha384 => &digest::SHA384,
            Self::Sha512 => &digest::SHA512,
        }
    }
}

impl fmt::Display for HashAlg {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

impl FromStr for HashAlg {
    type Err = InvalidHashAlg;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        match name {
            "sha256" => Ok(Self::Sha256),
            "sha384" => Ok(Self::Sha384),
            "sha512" => Ok(Self::Sha512),
            "sha1" => Err(InvalidHashAlg::Sha1),
            other => Err(InvalidHashAlg::Unsupported { came: excerpt(other) }),
        }
    }
}

#[cfg(test)]
mod tests;
