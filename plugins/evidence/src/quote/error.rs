//! The reasons why a quote is refused.

use super::QuotePart;
use crate::{Code, HashAlg, Quote, SignatureScheme};

/// The reason why a quote is refused. Repeats nothing of the quote but names of algorithms and
/// lengths.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidQuote {
    /// Longer than the limit; not parsed.
    #[error("the quote has {length} bytes; at most {} are allowed", Quote::MAX_LEN)]
    TooLarge {
        /// The length in bytes.
        length: usize,
    },
    /// The first character is not `r`.
    #[error("the quote does not start with r, as Keylime's do; the Keylime agent is too old or is none")]
    Prefix,
    /// Fewer or more than three parts.
    #[error("the quote has not three parts (attest, signature, PCR values) divided by two colons")]
    Parts,
    /// A part that is not canonical base64.
    #[error("the {part} in the quote is not base64 (standard alphabet, padded)")]
    Base64 {
        /// The part.
        part: QuotePart,
    },
    /// A part longer than its limit.
    #[error("the {part} in the quote has {length} bytes; at most {} are allowed", part.max_len())]
    PartTooLarge {
        /// The part.
        part: QuotePart,
        /// The length in bytes.
        length: usize,
    },
    /// A part that is not exactly the structure it should be.
    #[error("the {part} in the quote is malformed: it is not exactly one {}", part.structure())]
    Malformed {
        /// The part.
        part: QuotePart,
    },
    /// The magic is not the one that only a TPM can sign.
    #[error("the attest in the quote was not made by a TPM: its magic is not TPM_GENERATED_VALUE")]
    Magic,
    /// The TPM attested something other than PCRs.
    #[error(
        "the attest in the quote is not of the type TPM_ST_ATTEST_QUOTE: the TPM attested something else"
    )]
    NotAQuote,
    /// PCRs of no bank or of several.
    #[error("the quote selects PCRs of {came} banks; exactly one is expected")]
    Banks {
        /// The number of banks.
        came: usize,
    },
    /// The bank is of SHA-1.
    #[error(
        "the quote is over PCRs of the sha1 bank, which is too weak; set tpm_hash_alg of the Keylime agent to sha256 or better"
    )]
    WeakBank,
    /// The bank is of an algorithm that is not supported.
    #[error("the quote is over PCRs of a bank other than sha256, sha384 and sha512")]
    UnsupportedBank,
    /// No PCR is selected. Keylime always quotes PCR 16 at least.
    #[error("the quote selects no PCR")]
    NoPcrs,
    /// The signature's hash is SHA-1.
    #[error(
        "the quote is signed with sha1, which is too weak; set tpm_hash_alg of the Keylime agent to sha256 or better"
    )]
    WeakSignatureHash,
    /// The signature's algorithm or hash is not supported.
    #[error(
        "the quote is signed by an algorithm that is not supported; RSASSA, RSAPSS or ECDSA with sha256, sha384 or sha512 is expected"
    )]
    UnsupportedSignature,
    /// The signature is by another scheme than the AK's own. A restricted key cannot do that.
    #[error("the quote is signed by {came}, but the AK that Keylime's registrar holds signs by {expected}")]
    Scheme {
        /// The scheme of the signature.
        came: SignatureScheme,
        /// The scheme of the AK.
        expected: SignatureScheme,
    },
    /// The signature is not one of the AK over the attest.
    #[error(
        "the quote's signature is not by the AK that Keylime's registrar holds of this agent: another TPM answered, the quote was changed, or the agent has to register again"
    )]
    Signature,
    /// The attest holds another nonce.
    #[error(
        "the quote does not answer the nonce of this attestation: it is an old one, or was made for somebody else"
    )]
    Nonce,
    /// The bank is another one than claimed.
    #[error("the quote is over PCRs of the {came} bank; {expected} is expected")]
    Bank {
        /// The bank that was quoted.
        came: HashAlg,
        /// The bank that was claimed.
        expected: HashAlg,
    },
    /// The PCR values are of other PCRs than the quoted ones.
    #[error("the PCR values in the quote are of other PCRs than those that the TPM signed")]
    Selection,
    /// The PCR values are not the quoted ones.
    #[error("the PCR values in the quote are not those that the TPM signed")]
    PcrDigest,
    /// The AK does not sit below the EK that is registered with it.
    #[error(
        "the key that signed the quote is not below the EK that Keylime's registrar holds for the agent; find out whose EK that is, then register the agent anew"
    )]
    Signer,
}

impl InvalidQuote {
    /// A short stable name, for logs and metrics.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::TooLarge { .. } => "quote_too_large",
            Self::Prefix => "quote_prefix",
            Self::Parts => "quote_parts",
            Self::Base64 { .. } => "quote_base64",
            Self::PartTooLarge { .. } => "quote_part_too_large",
            Self::Malformed { part } => part.malformed(),
            Self::Magic => "quote_magic",
            Self::NotAQuote => "quote_type",
            Self::Banks { .. } => "quote_banks",
            Self::WeakBank => "quote_weak_bank",
            Self::UnsupportedBank => "quote_unsupported_bank",
            Self::NoPcrs => "quote_no_pcrs",
            Self::WeakSignatureHash => "quote_weak_signature_hash",
            Self::UnsupportedSignature => "quote_unsupported_signature",
            Self::Scheme { .. } => "quote_scheme",
            Self::Signature => "quote_signature",
            Self::Nonce => "quote_nonce",
            Self::Bank { .. } => "quote_bank",
            Self::Selection => "quote_selection",
            Self::PcrDigest => "quote_pcr_digest",
            Self::Signer => "quote_signer",
        }
    }

    /// The status for SPIRE: bytes that are no quote are an invalid argument, a quote that proves
    /// too little is evidence against the node.
    pub(crate) fn code(&self) -> Code {
        match self {
            Self::TooLarge { .. }
            | Self::Prefix
            | Self::Parts
            | Self::Base64 { .. }
            | Self::PartTooLarge { .. }
            | Self::Malformed { .. } => Code::InvalidArgument,
            Self::Magic
            | Self::NotAQuote
            | Self::Banks { .. }
            | Self::WeakBank
            | Self::UnsupportedBank
            | Self::NoPcrs
            | Self::WeakSignatureHash
            | Self::UnsupportedSignature
            | Self::Scheme { .. }
            | Self::Signature
            | Self::Nonce
            | Self::Bank { .. }
            | Self::Selection
            | Self::PcrDigest
            | Self::Signer => Code::PermissionDenied,
        }
    }
}
