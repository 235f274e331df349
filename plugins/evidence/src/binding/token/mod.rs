//! The token of a service account of Kubernetes.

use std::fmt;
use std::str::FromStr;

/// A service account's token: three parts of base64url, as every signed JWT. Its signature and
/// claims are the apiserver's to judge.
///
/// Whoever has it is that account until it expires, so that neither `Debug` nor an error shows any
/// of it.
#[derive(Clone, PartialEq, Eq)]
pub struct ServiceAccountToken(Box<str>);

/// The rule of [`ServiceAccountToken`] that a text breaks. Never repeats the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidServiceAccountToken {
    /// An empty text.
    #[error("the service account token is empty")]
    Empty,
    /// More than [`ServiceAccountToken::MAX_LEN`] bytes.
    #[error("the service account token has {length} bytes; at most 2560 are allowed")]
    TooLong {
        /// The length in bytes.
        length: usize,
    },
    /// Anything but a signed JWT in its compact form.
    #[error(
        "the service account token is not of the expected form: three parts of A-Z a-z 0-9 - _ with dots between them (a signed JWT)"
    )]
    Form,
}

impl ServiceAccountToken {
    /// Longest token in bytes: with the longest agent id it still fits into a payload.
    pub const MAX_LEN: usize = 2560;

    /// Checks `token` and takes a copy.
    ///
    /// # Errors
    /// The rule that the text breaks.
    pub fn new(token: &str) -> Result<Self, InvalidServiceAccountToken> {
        if token.is_empty() {
            return Err(InvalidServiceAccountToken::Empty);
        }
        if token.len() > Self::MAX_LEN {
            return Err(InvalidServiceAccountToken::TooLong { length: token.len() });
        }
        match token.split('.').collect::<Vec<_>>().as_slice() {
            [header, claims, signature]
                if [header, claims, signature].into_iter().all(|part| is_part(part)) =>
            {
                Ok(Self(token.into()))
            }
            _ => Err(InvalidServiceAccountToken::Form),
        }
    }

    /// The token as text. Not for logs.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for ServiceAccountToken {
    type Err = InvalidServiceAccountToken;

    fn from_str(token: &str) -> Result<Self, Self::Err> {
        Self::new(token)
    }
}

impl fmt::Debug for ServiceAccountToken {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("ServiceAccountToken(not shown)")
    }
}

fn is_part(part: &str) -> bool {
    !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
}

#[cfg(test)]
mod tests;
