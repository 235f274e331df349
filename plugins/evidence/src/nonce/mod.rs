//! The nonce, which makes a quote fresh.

use std::fmt;

use ring::rand::SecureRandom;

/// The characters of a nonce: all that Keylime's agents accept.
const ALPHABET: &[u8; 62] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";

/// A nonce. The TPM signs its bytes, as they are, as `extraData`.
///
/// One from [`generate`](Self::generate) has 32 characters, hence 190 bits from the operating
/// system. Never shown by `Debug`.
#[derive(Clone, PartialEq, Eq)]
pub struct Nonce(Box<str>);

/// The rule of [`Nonce`] that bytes break. Never repeats them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidNonce {
    /// An empty nonce, or one longer than Keylime's agents accept.
    #[error("the nonce has {length} bytes; 1 to 64 are expected")]
    Length {
        /// The length in bytes.
        length: usize,
    },
    /// Something other than a letter or digit of ASCII.
    #[error("the nonce has a byte other than A-Z a-z 0-9 at {position}")]
    Character {
        /// The byte at which it stands, counted from 0.
        position: usize,
    },
}

/// The error of an operating system that gives no random bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("failed to make a nonce: the operating system gave no random bytes")]
pub struct NonceError;

impl Nonce {
    /// Longest nonce that a Keylime agent accepts, in bytes.
    pub const MAX_LEN: usize = 64;
    /// Length of a generated nonce, in bytes.
    pub const GENERATED_LEN: usize = 32;

    /// Makes a nonce of 32 characters, each of the 62 equally likely.
    ///
    /// # Errors
    /// [`NonceError`] when `random` gives no bytes.
    pub fn generate(random: &dyn SecureRandom) -> Result<Self, NonceError> {
        Self::draw(|bytes| random.fill(bytes).map_err(|_unspecified| NonceError))
    }

    /// Parses a nonce from elsewhere: 1 to 64 bytes of `[A-Za-z0-9]`, which Keylime's agents can
    /// put into a quote.
    ///
    /// # Errors
    /// [`InvalidNonce`] with the rule that is broken.
    pub fn parse(bytes: &[u8]) -> Result<Self, InvalidNonce> {
        if bytes.is_empty() || bytes.len() > Self::MAX_LEN {
            return Err(InvalidNonce::Length { length: bytes.len() });
        }
        if let Some(position) = bytes.iter().position(|byte| !byte.is_ascii_alphanumeric()) {
            return Err(InvalidNonce::Character { position });
        }
        Ok(Self(bytes.iter().copied().map(char::from).collect()))
    }

    /// The nonce as text. Not for logs.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    fn draw(mut fill: impl FnMut(&mut [u8]) -> Result<(), NonceError>) -> Result<Self, NonceError> {
        let mut nonce = String::with_capacity(Self::GENERATED_LEN);
        let mut bytes = [0_u8; Self::GENERATED_LEN];
        while nonce.len() < Self::GENERATED_LEN {
            fill(&mut bytes)?;
            let missing = Self::GENERATED_LEN - nonce.len();
            nonce.extend(bytes.iter().copied().filter_map(character).take(missing));
        }
        Ok(Self(nonce.into()))
    }
}

impl fmt::Debug for Nonce {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Nonce(not shown)")
    }
}

/// The character for a random byte. Bytes beyond the last whole multiple of 62 have none: with them
/// some characters would be more likely than others.
fn character(byte: u8) -> Option<char> {
    const WHOLE: usize = 256 / ALPHABET.len() * ALPHABET.len();
    let index = usize::from(byte);
    if index >= WHOLE {
        return None;
    }
    ALPHABET.get(index % ALPHABET.len()).copied().map(char::from)
}

#[cfg(test)]
mod tests;
