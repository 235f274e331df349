//! The three parts of a quote.

use std::fmt;

/// One of the three parts of a quote.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum QuotePart {
    /// The attest, which the TPM signed.
    Attest,
    /// The signature over the attest.
    Signature,
    /// The values of the PCRs.
    Pcrs,
}

impl QuotePart {
    /// Longest part in bytes, after base64. Real attests have about 150, signatures up to 520, PCR
    /// values up to 2,300.
    pub(crate) fn max_len(self) -> usize {
        match self {
            Self::Attest | Self::Signature => 1024,
            Self::Pcrs => 18 * 1024,
        }
    }

    pub(super) fn structure(self) -> &'static str {
        match self {
            Self::Attest => "TPMS_ATTEST",
            Self::Signature => "TPMT_SIGNATURE",
            Self::Pcrs => "PCR selection and its values, as tpm2-tools writes them",
        }
    }

    pub(super) fn malformed(self) -> &'static str {
        match self {
            Self::Attest => "quote_attest_malformed",
            Self::Signature => "quote_signature_malformed",
            Self::Pcrs => "quote_pcrs_malformed",
        }
    }
}

impl fmt::Display for QuotePart {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Attest => "attest",
            Self::Signature => "signature",
            Self::Pcrs => "PCR values part",
        })
    }
}
