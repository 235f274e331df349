//! A key's name, and its qualified name by its place in a hierarchy (TPM 2.0 Library, Part 1, 16).

use ring::digest;
use tss_esapi::structures::Public;

use crate::{HashAlg, tpm};

/// `TPM_RH_ENDORSEMENT`: a hierarchy's name is its handle.
const ENDORSEMENT: [u8; 4] = [0x40, 0, 0, 0x0b];

/// A key's name: its algorithm, and the digest of its public area.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Name {
    hash: HashAlg,
    bytes: Box<[u8]>,
}

impl Name {
    /// The name of a key whose `TPM2B_PUBLIC` is `bytes`. [`None`] where it is named by a hash that
    /// is weak or not supported.
    pub(crate) fn of(public: &Public, bytes: &[u8]) -> Option<Name> {
        let hash = tpm::hash_alg(public.name_hashing_algorithm()).ok()?;
        let area = bytes.get(2..)?;
        Some(Name { hash, bytes: named(hash, &[area]) })
    }

    /// The qualified name of this key below `parent`, a primary key of the endorsement hierarchy.
    pub(crate) fn below(&self, parent: &Name) -> Box<[u8]> {
        let parent = named(parent.hash, &[&ENDORSEMENT, &parent.bytes]);
        named(self.hash, &[&parent, &self.bytes])
    }
}

/// The TPM's number of the hash, then the digest.
fn named(hash: HashAlg, parts: &[&[u8]]) -> Box<[u8]> {
    let mut context = digest::Context::new(hash.ring());
    parts.iter().for_each(|part| context.update(part));
    let number: u16 = match hash {
        HashAlg::Sha256 => 0x000b,
        HashAlg::Sha384 => 0x000c,
        HashAlg::Sha512 => 0x000d,
    };
    [&number.to_be_bytes(), context.finish().as_ref()].concat().into()
}
