//! The name of the trust domain that the plugin works for.

use std::fmt;

/// Longest name of a trust domain that SPIFFE allows, in bytes.
const MAX_LENGTH: usize = 255;

/// A trust domain's name, valid by the rules of the SPIFFE ID specification: 1 to 255 characters of
/// `a-z`, `0-9`, `.`, `-` and `_`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct TrustDomain(String);

/// The reason why a text is not the name of a trust domain.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidTrustDomain {
    /// An empty name.
    #[error("trust domain is empty: expected a name such as example.org")]
    Empty,
    /// The name is too long.
    #[error("trust domain has {0} bytes: at most {MAX_LENGTH} are allowed")]
    TooLong(usize),
    /// The name has a character that is not allowed.
    #[error("trust domain has the character {0:?}: only a-z, 0-9, '.', '-' and '_' are allowed")]
    Character(char),
}

impl TrustDomain {
    /// Takes a bare name such as `example.org`, without `spiffe://`.
    ///
    /// # Errors
    /// When SPIFFE does not allow the name.
    pub fn parse(name: &str) -> Result<Self, InvalidTrustDomain> {
        if name.is_empty() {
            return Err(InvalidTrustDomain::Empty);
        }
        if name.len() > MAX_LENGTH {
            return Err(InvalidTrustDomain::TooLong(name.len()));
        }
        match name.chars().find(|c| !matches!(c, 'a'..='z' | '0'..='9' | '.' | '-' | '_')) {
            Some(character) => Err(InvalidTrustDomain::Character(character)),
            None => Ok(Self(name.to_owned())),
        }
    }

    /// The bare name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for TrustDomain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests;
