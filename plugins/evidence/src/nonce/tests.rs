use std::collections::{BTreeMap, BTreeSet};

use ring::rand::SystemRandom;

use super::*;

const OURS: Purpose<'_> = Purpose { trust_domain: "example.org", payload: b"{}" };

#[test]
fn a_nonce_is_for_one_trust_domain_and_one_payload() {
    let nonce = Nonce::generate(&SystemRandom::new(), OURS).unwrap();
    assert_eq!(nonce.check(OURS), Ok(()));
    for other in [
        Purpose { trust_domain: "example.com", ..OURS },
        Purpose { payload: b"{} ", ..OURS },
        Purpose { trust_domain: "example.org{", payload: b"}" },
    ] {
        assert_eq!(nonce.check(other), Err(NonceOfAnother), "{other:?}");
    }
}

#[test]
fn every_character_of_a_bound_nonce_counts() {
    let nonce = Nonce::generate(&SystemRandom::new(), OURS).unwrap();
    for place in MARK.len()..nonce.as_str().len() {
        let mut changed = nonce.as_str().as_bytes().to_vec();
        changed[place] = if changed[place] == b'A' { b'B' } else { b'A' };
        assert_eq!(Nonce::parse(&changed).unwrap().check(OURS), Err(NonceOfAnother), "{place}");
    }
}

#[test]
fn a_nonce_that_is_not_bound_is_good_for_all() {
    for nonce in ["MFRGGZDFMZTWQ2LKNNWG23TPOBYXE43U", "A", "k0", "k0short", &format!("k0{}", "A".repeat(31))]
    {
        assert_eq!(Nonce::parse(nonce.as_bytes()).unwrap().check(OURS), Ok(()), "{nonce}");
    }
}

#[test]
fn at_least_128_bits_of_a_nonce_are_random() {
    assert!(62_f64.log2() * RANDOM_LEN as f64 >= 128.0);
    assert_eq!(Nonce::GENERATED_LEN, 32);
}

#[test]
fn a_generated_nonce_has_32_letters_and_digits_and_is_not_repeated() {
    let random = SystemRandom::new();
    let nonces: BTreeSet<String> =
        (0..200).map(|_| Nonce::generate(&random, OURS).unwrap().as_str().to_owned()).collect();
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
    let drawn = draw(|bytes| {
        bytes.fill(source.next().unwrap_or(61));
        bytes[0] = 0;
        Ok(())
    });
    assert_eq!(drawn.unwrap(), format!("AA{}", "9".repeat(20)));
}

#[test]
fn no_random_bytes_no_nonce() {
    assert_eq!(draw(|_bytes| Err(NonceError)), Err(NonceError));
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
