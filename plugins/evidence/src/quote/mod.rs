//! A Keylime quote: its parts, and the proof that it is the registered AK's answer to our nonce.
//!
//! `r` + base64(`TPMS_ATTEST`) + `:` + base64(`TPMT_SIGNATURE`) + `:` + base64(PCR values)

mod attest;
mod error;
mod part;
mod pcrs;
mod signature;

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::digest;

use crate::{AttestationKey, EndorsementKey, HashAlg, Nonce};
use attest::QuoteAttest;
use pcrs::PcrValues;
use signature::QuoteSignature;

pub use error::InvalidQuote;
pub use part::QuotePart;

/// A quote of three well-formed parts. Proves nothing before [`verify`](Self::verify).
pub struct Quote {
    attest: QuoteAttest,
    signature: QuoteSignature,
    pcrs: PcrValues,
}

/// A quote that was verified.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verified {
    hash_alg: HashAlg,
    signer: Box<[u8]>,
}

impl Quote {
    /// Longest quote in bytes. One of an RSA 2048 key over one PCR has about 1,450.
    pub const MAX_LEN: usize = 32 * 1024;

    /// Parses a quote as a Keylime agent gives it. Strict, down to base64's unused bits and the
    /// padding of structures; nothing may follow a part.
    ///
    /// # Errors
    /// [`InvalidQuote`] with the part and its fault. Never repeats any of it.
    pub fn parse(quote: &str) -> Result<Self, InvalidQuote> {
        if quote.len() > Self::MAX_LEN {
            return Err(InvalidQuote::TooLarge { length: quote.len() });
        }
        let parts = quote.strip_prefix('r').ok_or(InvalidQuote::Prefix)?;
        let mut parts = parts.split(':');
        let (Some(attest), Some(signature), Some(pcrs), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(InvalidQuote::Parts);
        };
        Ok(Self {
            attest: QuoteAttest::parse(decode(QuotePart::Attest, attest)?)?,
            signature: QuoteSignature::parse(&decode(QuotePart::Signature, signature)?)?,
            pcrs: PcrValues::parse(&decode(QuotePart::Pcrs, pcrs)?)?,
        })
    }

    /// Verifies that the holder of `ak` answered `nonce` with this quote, over PCRs of the bank
    /// `hash_alg`, whose values are those in the quote.
    ///
    /// Proves that the TPM that holds `ak` made the quote after `nonce` was known. Does not prove:
    /// that the TPM is a real one (the registrar checked the EK), that the PCR values are good ones
    /// (the verifier's policy), or that the node which sent the quote is the one that the TPM sits
    /// in (a quote can be relayed).
    ///
    /// One field of the quote is left alone on purpose: `clockInfo.safe` tells if the TPM's clock
    /// may have run backwards; freshness rests on the nonce here, not on that clock.
    /// `qualifiedSigner` is checked by [`Verified::check_signer`].
    ///
    /// # Errors
    /// [`InvalidQuote`] with the first check that failed.
    pub fn verify(
        &self,
        ak: &AttestationKey,
        nonce: &Nonce,
        hash_alg: HashAlg,
    ) -> Result<Verified, InvalidQuote> {
        // The signature first: nothing else in the quote means anything before.
        self.signature.verify(ak, self.attest.bytes())?;
        if self.attest.extra_data() != nonce.as_str().as_bytes() {
            return Err(InvalidQuote::Nonce);
        }
        self.check_pcrs(ak.scheme.hash, hash_alg)?;
        Ok(Verified { hash_alg, signer: self.attest.signer().into() })
    }

    fn check_pcrs(&self, digest_hash: HashAlg, bank: HashAlg) -> Result<(), InvalidQuote> {
        let selection = self.attest.selection();
        if selection.bank != bank {
            return Err(InvalidQuote::Bank { came: selection.bank, expected: bank });
        }
        if self.pcrs.selection() != selection {
            return Err(InvalidQuote::Selection);
        }
        // TPM2_Quote hashes the values with the hash of the signing scheme, not with that of the
        // bank.
        let mut context = digest::Context::new(digest_hash.ring());
        self.pcrs.values().for_each(|value| context.update(value));
        if context.finish().as_ref() != self.attest.pcr_digest() {
            return Err(InvalidQuote::PcrDigest);
        }
        Ok(())
    }
}

impl Verified {
    /// The PCR bank that was quoted.
    pub fn hash_alg(&self) -> HashAlg {
        self.hash_alg
    }

    /// Checks that `ak`, by which the quote was verified, sits below `ek` in the endorsement
    /// hierarchy, as Keylime's agents make it.
    ///
    /// Proves that the TPM that made `ak` made it below that EK, so that nobody registers an AK of
    /// one TPM with the EK of another: the TPM itself puts the qualified name into each quote, and
    /// a restricted key signs no made-up one.
    ///
    /// # Errors
    /// [`InvalidQuote::Signer`] for an AK below another key.
    pub fn check_signer(&self, ak: &AttestationKey, ek: &EndorsementKey) -> Result<(), InvalidQuote> {
        match ak.qualified_name(ek) {
            Some(name) if name == self.signer => Ok(()),
            _ => Err(InvalidQuote::Signer),
        }
    }
}

impl fmt::Debug for Quote {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Quote").finish_non_exhaustive()
    }
}

fn decode(part: QuotePart, base64: &str) -> Result<Vec<u8>, InvalidQuote> {
    let bytes = STANDARD.decode(base64).map_err(|_decode_error| InvalidQuote::Base64 { part })?;
    if bytes.len() > part.max_len() {
        return Err(InvalidQuote::PartTooLarge { part, length: bytes.len() });
    }
    Ok(bytes)
}
