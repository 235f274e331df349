//! The first part of a quote: the attest, which the TPM signed.

use tss_esapi::structures::{Attest, AttestInfo, PcrSelection as TpmPcrSelection};

use crate::quote::pcrs::{self, PcrSelection};
use crate::quote::{InvalidQuote, QuotePart};
use crate::tpm::unmarshal_whole;

/// `TPM_GENERATED_VALUE`, big endian. A TPM never lets a restricted key sign anything from outside
/// that starts with it.
const MAGIC: [u8; 4] = [0xff, b'T', b'C', b'G'];

/// A `TPMS_ATTEST` of the type quote (TPM 2.0 Library, Part 2, 10.12.12).
pub(crate) struct QuoteAttest {
    bytes: Vec<u8>,
    signer: Vec<u8>,
    extra_data: Vec<u8>,
    selection: PcrSelection,
    pcr_digest: Vec<u8>,
}

impl QuoteAttest {
    pub(crate) fn parse(bytes: Vec<u8>) -> Result<Self, InvalidQuote> {
        // Before the stack, which checks the magic as well, but does not name it in its error.
        if bytes.first_chunk().is_some_and(|magic| *magic != MAGIC) {
            return Err(InvalidQuote::Magic);
        }
        let attest: Attest =
            unmarshal_whole(&bytes).ok_or(InvalidQuote::Malformed { part: QuotePart::Attest })?;
        let AttestInfo::Quote { info } = attest.attested() else {
            return Err(InvalidQuote::NotAQuote);
        };
        let selection = selection(info.pcr_selection().get_selections())?;
        let signer = attest.qualified_signer().value().to_vec();
        let extra_data = attest.extra_data().value().to_vec();
        let pcr_digest = info.pcr_digest().value().to_vec();
        Ok(Self { bytes, signer, extra_data, selection, pcr_digest })
    }

    /// The signed bytes.
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The qualified name of the key that signed.
    pub(crate) fn signer(&self) -> &[u8] {
        &self.signer
    }

    /// The data from the TPM's caller: the nonce.
    pub(crate) fn extra_data(&self) -> &[u8] {
        &self.extra_data
    }

    pub(crate) fn selection(&self) -> &PcrSelection {
        &self.selection
    }

    pub(crate) fn pcr_digest(&self) -> &[u8] {
        &self.pcr_digest
    }
}

fn selection(selections: &[TpmPcrSelection]) -> Result<PcrSelection, InvalidQuote> {
    let [selection] = selections else {
        return Err(InvalidQuote::Banks { came: selections.len() });
    };
    let size = selection.size_of_select().as_u8();
    let bits = selection.selected().into_iter().fold(0, |bits, slot| bits | u32::from(slot));
    PcrSelection::new(pcrs::bank(selection.hashing_algorithm())?, size, bits)
}
