//! The fresh number that makes a quote worth something now.

use std::fmt;

use ring::rand::SecureRandom;

/// The characters of a nonce. Keylime's agents take nothing else.
const ALPHABET: &[u8; 62] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";

/// A nonce: the TPM signs its bytes, just as they are written here, as `extraData`.
///
/// One that [`generate`](Self::generate) made has 32 characters, hence 190 bits from the operating
/// system. It is never shown by `Debug`.
#[derive(Clone, PartialEq, Eq)]
pub struct Nonce(Box<str>);

/// Why bytes are no [`Nonce`]. Never repeats them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidNonce {
    /// Nothing, or more than Keylime's agents take.
    #[error("the nonce has {length} bytes; 1 to 64 are expected")]
    Length {
        /// Its length in bytes.
        length: usize,
    },
    /// Something other than a letter or digit of ASCII.
    #[error("the nonce has a byte other than A-Z a-z 0-9 at {position}")]
    Character {
        /// Where, counted in bytes from 0.
        position: usize,
    },
}

/// The operating system gave no random bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("failed to make a nonce: the operating system gave no random bytes")]
pub struct NonceError;

impl Nonce {
    /// Longest nonce that a Keylime agent takes.
    pub const MAX_LEN: usize = 64;
    /// Length of the nonces made here.
    pub const GENERATED_LEN: usize = 32;

    /// Makes a nonce of 32 characters, each of the 62 equally likely.
    ///
    /// # Errors
    /// When `random` gives no bytes.
    pub fn generate(random: &dyn SecureRandom) -> Result<Self, NonceError> {
        Self::draw(|bytes| random.fill(bytes).map_err(|_unspecified| NonceError))
    }

    /// Takes a nonce that another made: 1 to 64 bytes of `[A-Za-z0-9]`, what Keylime's agents can
    /// put into a quote.
    ///
    /// # Errors
    /// Says which of the two rules is broken.
    pub fn parse(bytes: &[u8]) -> Result<Self, InvalidNonce> {
        if bytes.is_empty() || bytes.len() > Self::MAX_LEN {
            return Err(InvalidNonce::Length { length: bytes.len() });
        }
        if let Some(position) = bytes.iter().position(|byte| !byte.is_ascii_alphanumeric()) {
            return Err(InvalidNonce::Character { position });
        }
        Ok(Self(bytes.iter().copied().map(char::from).collect()))
    }

    /// The nonce. Not for logs.
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

/// The character that a random byte stands for. The bytes beyond the last whole multiple of 62
/// stand for none: taking them as well would make some characters more likely than others.
fn character(byte: u8) -> Option<char> {
    const WHOLE: usize = 256 / ALPHABET.len() * ALPHABET.len();
    let index = usize::from(byte);
    if index >= WHOLE {
        return None;
    }
    ALPHABET.get(index % ALPHABET.len()).copied().map(char::from)
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use ring::rand::SystemRandom;

    use super::*;

    #[test]
    fn a_generated_nonce_has_32_letters_and_digits_and_is_not_repeated() {
        let random = SystemRandom::new();
        let nonces: BTreeSet<String> =
            (0..200).map(|_| Nonce::generate(&random).unwrap().as_str().to_owned()).collect();
        assert_eq!(nonces.len(), 200);
        for nonce in nonces {
            assert_eq!(nonce.len(), 32);
            assert_eq!(Nonce::parse(nonce.as_bytes()).unwrap().as_str(), nonce);
        }
    }

    #[test]
    fn every_character_stands_for_the_same_number_of_bytes() {
        let mut counts = BTreeMap::new();
        for character in (0..=255).filter_map(character) {
            *counts.entry(character).or_insert(0) += 1;
        }
        assert_eq!(counts.len(), 62);
        assert!(counts.values().all(|count| *count == 4), "{counts:?}");
    }

    #[test]
    fn bytes_that_stand_for_no_character_are_drawn_again() {
        let mut source = [255, 247, 248].into_iter();
        let nonce = Nonce::draw(|bytes| {
            bytes.fill(source.next().unwrap_or(61));
            bytes[0] = 0;
            Ok(())
        });
        assert_eq!(nonce.unwrap().as_str(), format!("AA{}", "9".repeat(30)));
    }

    #[test]
    fn no_random_bytes_no_nonce() {
        assert_eq!(Nonce::draw(|_bytes| Err(NonceError)), Err(NonceError));
    }

    #[test]
    fn what_an_agent_would_not_take_is_refused() {
        assert_eq!(Nonce::parse(b""), Err(InvalidNonce::Length { length: 0 }));
        assert_eq!(Nonce::parse(&[b'A'; 65]), Err(InvalidNonce::Length { length: 65 }));
        assert!(Nonce::parse(&[b'A'; 64]).is_ok());
        assert_eq!(Nonce::parse(b"abc-def/"), Err(InvalidNonce::Character { position: 3 }));
        assert_eq!(Nonce::parse("é".as_bytes()), Err(InvalidNonce::Character { position: 0 }));
    }

    #[test]
    fn debug_does_not_show_a_nonce() {
        assert!(!format!("{:?}", Nonce::parse(b"SECRET").unwrap()).contains("SECRET"));
    }
}
