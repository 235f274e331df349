//! A good quote with anything changed is not a good quote.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use evidence::HashAlg;
use lab::soft_ak::{SoftAk, SoftQuote};

use crate::{recorded, verify};

#[test]
fn every_bit_counts() {
    for part in 0..3 {
        for at in 0..parts()[part].len() {
            for mask in [1, 2, 4, 8, 16, 32, 64, 128, 255] {
                assert_refused(part, &format!("byte {at} with {mask:#x}"), |bytes| bytes[at] ^= mask);
            }
        }
    }
}

#[test]
fn every_byte_of_every_part_is_needed_and_none_may_follow() {
    for part in 0..3 {
        let length = parts()[part].len();
        for at in 0..length {
            assert_refused(part, &format!("cut at {at}"), |bytes| bytes.truncate(at));
            assert_refused(part, &format!("without byte {at}"), |bytes| {
                bytes.remove(at);
            });
            assert_refused(part, &format!("zero before byte {at}"), |bytes| bytes.insert(at, 0));
        }
        for more in [1, 2, 4, 66, 132, 532, 668] {
            assert_refused(part, &format!("{more} zeros after"), |bytes| bytes.resize(length + more, 0));
        }
        assert_refused(part, "twice", |bytes| bytes.extend_from_within(..));
    }
}

#[test]
fn every_character_of_the_text_counts() {
    let (quote, ak) = (recorded::quote(), recorded::ak());
    for at in 0..quote.len() {
        let (before, after) = (&quote[..at], &quote[at + 1..]);
        assert!(verify(before, &ak, recorded::NONCE, HashAlg::Sha256).is_err(), "cut at {at}");
        for other in ["", "A", "B", "z", "+", "/", "-", "_", "=", ":", "r", " ", "\n", "\0", "é"] {
            let changed = format!("{before}{other}{after}");
            if changed != quote {
                let verified = verify(&changed, &ak, recorded::NONCE, HashAlg::Sha256);
                assert!(verified.is_err(), "{other:?} at {at}");
            }
        }
    }
    for changed in [format!(" {quote}"), format!("{quote}\n"), format!("{quote}="), format!("{quote}\0")] {
        assert!(verify(&changed, &ak, recorded::NONCE, HashAlg::Sha256).is_err());
    }
}

#[test]
fn parts_cannot_change_places() {
    let [attest, signature, pcrs] = parts();
    for parts in [[&signature, &attest, &pcrs], [&attest, &pcrs, &signature], [&pcrs, &signature, &attest]] {
        assert!(
            verify(&text(parts.map(Vec::as_slice)), &recorded::ak(), recorded::NONCE, HashAlg::Sha256)
                .is_err()
        );
    }
}

#[test]
fn every_bit_of_an_ecdsa_quote_counts() {
    for soft in [SoftAk::p256().unwrap(), SoftAk::p384().unwrap()] {
        let ak = evidence::AttestationKey::from_tpm2b_public(&soft.tpm2b_public()).unwrap();
        let good = soft.quote(b"nonce").unwrap();
        verify(&good.to_string(), &ak, "nonce", HashAlg::Sha256).unwrap();
        let refused = |what: String, changed: SoftQuote| {
            assert!(verify(&changed.to_string(), &ak, "nonce", HashAlg::Sha256).is_err(), "{what}");
        };
        for at in 0..good.signature.len() {
            for bit in 0..8 {
                let mut changed = good.clone();
                changed.signature[at] ^= 1 << bit;
                refused(format!("byte {at}, bit {bit}"), changed);
            }
            let mut cut = good.clone();
            cut.signature.truncate(at);
            refused(format!("cut at {at}"), cut);
        }
        // A zero before r is the same number, but not what a TPM writes.
        let mut extended = good.clone();
        extended.signature[5] += 1;
        extended.signature.insert(6, 0);
        refused("r extended".to_owned(), extended);
    }
}

fn assert_refused(part: usize, what: &str, change: impl FnOnce(&mut Vec<u8>)) {
    let mut parts = parts();
    let before = parts[part].clone();
    change(&mut parts[part]);
    if parts[part] != before {
        let quote = text(parts.each_ref().map(Vec::as_slice));
        let verified = verify(&quote, &recorded::ak(), recorded::NONCE, HashAlg::Sha256);
        assert!(verified.is_err(), "part {part}: {what}");
    }
}

fn parts() -> [Vec<u8>; 3] {
    let quote = recorded::quote();
    let parts: Vec<_> = quote[1..].split(':').map(|part| STANDARD.decode(part).unwrap()).collect();
    parts.try_into().unwrap()
}

fn text(parts: [&[u8]; 3]) -> String {
    let [attest, signature, pcrs] = parts.map(|part| STANDARD.encode(part));
    format!("r{attest}:{signature}:{pcrs}")
}
