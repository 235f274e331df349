//! The crate from outside: keys and quotes of real TPMs, of a software AK, and of nobody.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test fails by panicking, also in what its functions call"
)]

mod arbitrary;
mod keys;
mod recorded;
mod refusals;
mod schemes;
mod selectors;
mod tampered;

use evidence::{AttestationKey, HashAlg, InvalidQuote, Nonce, Quote, Verified};

/// Parses and verifies in one step, as the server plugin does.
fn verify(quote: &str, ak: &AttestationKey, nonce: &str, bank: HashAlg) -> Result<Verified, InvalidQuote> {
    Quote::parse(quote)?.verify(ak, &Nonce::parse(nonce.as_bytes()).unwrap(), bank)
}
