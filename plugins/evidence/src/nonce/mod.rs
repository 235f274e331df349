//! The nonce, which makes a quote fresh, and binds it to the attestation that asked for it.

use std::fmt;

use ring::digest::{Context, SHA256};
use ring::rand::SecureRandom;

/// The characters of a nonce: all that Keylime's agents accept.
const ALPHABET: &[u8; 62] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";

/// The first characters of a bound nonce. The Go plugin's nonces are of base32, which has neither.
const MARK: &str = "k0";

/// The random characters of a bound nonce: 130 bits.
const RANDOM_LEN: usize = 22;

/// The characters of a bound nonce that say what it is for: 47 bits.
const TAG_LEN: usize = 8;

/// A nonce. The TPM signs its bytes, as they are, as `extraData`.
///
/// One from [`generate`](Self::generate) has 32 characters: a mark, 22 characters from the operating
/// system, hence 130 bits, and 8 that are made of them and of the attestation that it is for. The
/// node's side checks these with [`check`](Self::check) before it has anything quoted. So a server
/// that passes on a nonce that it was given as an agent gets no quote for it. Never shown by
/// `Debug`.
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

/// The attestation that a nonce is for.
#[derive(Clone, Copy, Debug)]
pub struct Purpose<'a> {
    /// SPIRE's trust domain.
    pub trust_domain: &'a str,
    /// The payload by which the attestation began, to the byte.
    pub payload: &'a [u8],
}

/// A nonce that is for another attestation. Never repeats it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "the nonce is for another trust domain or another attestation: nothing was quoted for it; find out who runs the SPIRE server that this agent is connected to"
)]
pub struct NonceOfAnother;

/// The error of an operating system that gives no random bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("failed to make a nonce: the operating system gave no random bytes")]
pub struct NonceError;

impl Nonce {
    /// Longest nonce that a Keylime agent accepts, in bytes.
    pub const MAX_LEN: usize = 64;
    /// Length of a generated nonce, in bytes.
    pub const GENERATED_LEN: usize = MARK.len() + RANDOM_LEN + TAG_LEN;

    /// Makes a nonce for an attestation. Its random characters are each of the 62 equally likely.
    ///
    /// # Errors
    /// [`NonceError`] when `random` gives no bytes.
    pub fn generate(random: &dyn SecureRandom, purpose: Purpose<'_>) -> Result<Self, NonceError> {
        let drawn = draw(|bytes| random.fill(bytes).map_err(|_unspecified| NonceError))?;
        Ok(Self(format!("{MARK}{drawn}{}", purpose.tag(&drawn)).into()))
    }

    /// Refuses a bound nonce that is for another attestation. One that is not bound, such as the Go
    /// plugin's, is good for all: no server that binds its nonces takes a quote of it.
    ///
    /// # Errors
    /// [`NonceOfAnother`].
    pub fn check(&self, purpose: Purpose<'_>) -> Result<(), NonceOfAnother> {
        let bound = self.0.strip_prefix(MARK).filter(|_| self.0.len() == Self::GENERATED_LEN);
        match bound.and_then(|bound| bound.split_at_checked(RANDOM_LEN)) {
            Some((drawn, tag)) if tag != purpose.tag(drawn) => Err(NonceOfAnother),
            Some(_) | None => Ok(()),
        }
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
}

impl Purpose<'_> {
    /// The characters that tie random ones to this attestation. The parts have their lengths before
    /// them, so that no two purposes give one text.
    fn tag(&self, drawn: &str) -> String {
        let mut context = Context::new(&SHA256);
        context.update(b"keylime-attestor nonce 1");
        for part in [self.trust_domain.as_bytes(), self.payload, drawn.as_bytes()] {
            context.update(&part.len().to_be_bytes());
            context.update(part);
        }
        // Of a digest's bytes 31 in 32 stand for a character. With fewer than eight of them, once
        // in 10^31 nonces, the nonce is shorter, and good for all.
        context.finish().as_ref().iter().copied().filter_map(character).take(TAG_LEN).collect()
    }
}

fn draw(mut fill: impl FnMut(&mut [u8]) -> Result<(), NonceError>) -> Result<String, NonceError> {
    let mut drawn = String::with_capacity(RANDOM_LEN);
    let mut bytes = [0_u8; RANDOM_LEN];
    while drawn.len() < RANDOM_LEN {
        fill(&mut bytes)?;
        let missing = RANDOM_LEN - drawn.len();
        drawn.extend(bytes.iter().copied().filter_map(character).take(missing));
    }
    Ok(drawn)
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
