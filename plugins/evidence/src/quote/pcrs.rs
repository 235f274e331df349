//! The third part of a quote: the values of the PCRs, in the layout that tpm2-tools writes to a
//! file.
//!
//! C structures as they lie in memory, little endian, each array with its full length (tpm2-tools 4
//! and 5, `pcr_fwrite_serialized`; the Rust agent writes the same):
//!
//! ```text
//! TPML_PCR_SELECTION   count u32, then 16 times: hash u16, sizeofSelect u8, pcrSelect [u8; 4], one byte of padding
//! count u32            of the lists that follow
//! TPML_DIGEST          count u32, then 8 times: size u16, buffer [u8; 64]
//! ```
//!
//! A list holds the result of one TPM2_PCR_Read: 8 digests, or fewer. Unused places are not signed.
//! They must be zero, so that nothing can hide there.

use tss_esapi::interface_types::algorithm::HashingAlgorithm;

use crate::HashAlg;
use crate::quote::{InvalidQuote, QuotePart};
use crate::tpm::{self, NoHashAlg};

const MALFORMED: InvalidQuote = InvalidQuote::Malformed { part: QuotePart::Pcrs };

/// `TPM2_NUM_PCR_BANKS`: the room for banks in a selection.
const BANKS: usize = 16;
/// The room for digests in a list, and for bytes in a digest.
const DIGESTS: usize = 8;
const DIGEST_ROOM: usize = 64;

/// PCRs of one bank. At least one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct PcrSelection {
    pub(crate) bank: HashAlg,
    /// `sizeofSelect`: the bytes of `bits` in the quote.
    size: u8,
    /// Bit n stands for PCR n.
    bits: u32,
}

/// The values of the selected PCRs, in order.
pub(crate) struct PcrValues {
    selection: PcrSelection,
    values: Vec<Vec<u8>>,
}

impl PcrSelection {
    pub(crate) fn new(bank: HashAlg, size: u8, bits: u32) -> Result<Self, InvalidQuote> {
        if bits == 0 {
            return Err(InvalidQuote::NoPcrs);
        }
        Ok(Self { bank, size, bits })
    }
}

impl PcrValues {
    pub(crate) fn parse(bytes: &[u8]) -> Result<Self, InvalidQuote> {
        let mut reader = Reader { rest: bytes };
        let selection = selection(&mut reader)?;
        let mut values = Vec::new();
        for _ in 0..reader.u32()? {
            list(&mut reader, selection.bank, &mut values)?;
        }
        let selected = usize::try_from(selection.bits.count_ones());
        if !reader.rest.is_empty() || selected != Ok(values.len()) {
            return Err(MALFORMED);
        }
        Ok(Self { selection, values })
    }

    pub(crate) fn selection(&self) -> &PcrSelection {
        &self.selection
    }

    pub(crate) fn values(&self) -> impl Iterator<Item = &[u8]> {
        self.values.iter().map(Vec::as_slice)
    }
}

/// The bank of a TPM's hash algorithm.
pub(crate) fn bank(algorithm: HashingAlgorithm) -> Result<HashAlg, InvalidQuote> {
    tpm::hash_alg(algorithm).map_err(|no| match no {
        NoHashAlg::Weak => InvalidQuote::WeakBank,
        NoHashAlg::Unsupported => InvalidQuote::UnsupportedBank,
    })
}

fn selection(reader: &mut Reader<'_>) -> Result<PcrSelection, InvalidQuote> {
    let count = reader.u32()?;
    if count != 1 {
        return Err(InvalidQuote::Banks { came: usize::try_from(count).unwrap_or(usize::MAX) });
    }
    let algorithm =
        HashingAlgorithm::try_from(reader.u16()?).map_err(|_unknown| InvalidQuote::UnsupportedBank)?;
    let [size] = reader.array()?;
    let bits = u32::from_le_bytes(reader.array()?);
    let used_bits = match size {
        1..=3 => 8 * u32::from(size),
        4 => 32,
        _ => return Err(MALFORMED),
    };
    if bits.checked_shr(used_bits).is_some_and(|unused| unused != 0) {
        return Err(MALFORMED);
    }
    let padding_and_other_banks = 1 + (BANKS - 1) * 8;
    reader.zeros(padding_and_other_banks)?;
    PcrSelection::new(bank(algorithm)?, size, bits)
}

fn list(reader: &mut Reader<'_>, bank: HashAlg, values: &mut Vec<Vec<u8>>) -> Result<(), InvalidQuote> {
    let count = usize::try_from(reader.u32()?).map_err(|_too_large| MALFORMED)?;
    if !(1..=DIGESTS).contains(&count) {
        return Err(MALFORMED);
    }
    let length = bank.digest_len();
    for _ in 0..count {
        if usize::from(reader.u16()?) != length {
            return Err(MALFORMED);
        }
        values.push(reader.take(length)?.to_vec());
        reader.zeros(DIGEST_ROOM - length)?;
    }
    reader.zeros((DIGESTS - count) * (2 + DIGEST_ROOM))
}

/// Reads from the front, and never beyond the end.
struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    fn take(&mut self, length: usize) -> Result<&'a [u8], InvalidQuote> {
        let (taken, rest) = self.rest.split_at_checked(length).ok_or(MALFORMED)?;
        self.rest = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], InvalidQuote> {
        let (taken, rest) = self.rest.split_first_chunk().ok_or(MALFORMED)?;
        self.rest = rest;
        Ok(*taken)
    }

    fn u16(&mut self) -> Result<u16, InvalidQuote> {
        self.array().map(u16::from_le_bytes)
    }

    fn u32(&mut self) -> Result<u32, InvalidQuote> {
        self.array().map(u32::from_le_bytes)
    }

    fn zeros(&mut self, length: usize) -> Result<(), InvalidQuote> {
        match self.take(length)?.iter().all(|byte| *byte == 0) {
            true => Ok(()),
            false => Err(MALFORMED),
        }
    }
}
