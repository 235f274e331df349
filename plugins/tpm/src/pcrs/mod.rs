//! PCR values in the layout that tpm2-tools write to a file, and Keylime into its quotes.
//!
//! C structures as they lie in memory, little endian, each array with its full length; the crate
//! `evidence` reads the same, and describes it (`quote/pcrs.rs`).

use evidence::HashAlg;

/// `TPM2_NUM_PCR_BANKS`: the room for banks in a selection, 8 bytes each.
const BANKS: usize = 16;
/// The room for digests in a list, and for bytes in a digest.
const DIGESTS: usize = 8;
const DIGEST_ROOM: usize = 64;

/// The layout of PCR 0 alone.
pub(crate) fn layout_of_pcr_0(bank: HashAlg, value: &[u8]) -> Vec<u8> {
    let algorithm: u16 = match bank {
        HashAlg::Sha256 => 0x000b,
        HashAlg::Sha384 => 0x000c,
        HashAlg::Sha512 => 0x000d,
    };
    let mut layout = Vec::new();
    // One selection: its hash, three bytes of bits, of which the first is set, and padding.
    layout.extend(1_u32.to_le_bytes());
    layout.extend(algorithm.to_le_bytes());
    layout.extend([3, 1, 0, 0, 0, 0]);
    layout.resize(layout.len() + (BANKS - 1) * 8, 0);
    // One list, of one digest.
    layout.extend(1_u32.to_le_bytes());
    layout.extend(1_u32.to_le_bytes());
    layout.extend(u16::try_from(value.len()).unwrap_or_default().to_le_bytes());
    layout.extend(value);
    layout.resize(layout.len() + DIGEST_ROOM.saturating_sub(value.len()), 0);
    layout.resize(layout.len() + (DIGESTS - 1) * (2 + DIGEST_ROOM), 0);
    layout
}

#[cfg(test)]
mod tests;
