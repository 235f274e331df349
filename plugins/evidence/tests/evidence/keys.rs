//! The AKs that are accepted, and the errors of all others.

use evidence::{AttestationKey, EndorsementKey, HashAlg, InvalidAttestationKey};
use lab::soft_ak::{AK_ATTRIBUTES, RSAPSS, RSASSA, SHA1, SHA256, SHA512, SoftAk};

use crate::{recorded, verify};

/// The offsets of the fields in a `TPM2B_PUBLIC` of an RSA key without a policy.
const KEY_BITS: usize = 18;
const EXPONENT: usize = 20;
const MODULUS_SIZE: usize = 24;
const MODULUS: usize = 26;

fn rsa() -> SoftAk {
    SoftAk::rsa(2048, RSASSA, SHA256).unwrap()
}

fn taken(public: &[u8]) -> Result<(), InvalidAttestationKey> {
    AttestationKey::from_tpm2b_public(public).map(drop)
}

fn changed(change: impl FnOnce(&mut Vec<u8>)) -> Result<(), InvalidAttestationKey> {
    let mut public = rsa().tpm2b_public();
    change(&mut public);
    taken(&public)
}

#[test]
fn every_attribute_that_makes_an_ak_is_needed() {
    let with = |attributes: u32| {
        let mut soft = rsa();
        soft.public.attributes = attributes;
        taken(&soft.tpm2b_public())
    };
    assert_eq!(with(AK_ATTRIBUTES), Ok(()));
    for (bit, expected) in [
        (1, InvalidAttestationKey::NotFixedTpm),
        (4, InvalidAttestationKey::NotFixedParent),
        (5, InvalidAttestationKey::NotMadeByTpm),
        (16, InvalidAttestationKey::NotRestricted),
        (17, InvalidAttestationKey::Decrypts),
        (18, InvalidAttestationKey::NotSigning),
    ] {
        assert_eq!(with(AK_ATTRIBUTES ^ (1 << bit)), Err(expected), "bit {bit}");
    }
    // userWithAuth, noDA: how the key's use is authorized.
    assert_eq!(with(AK_ATTRIBUTES ^ (1 << 6) ^ (1 << 10)), Ok(()));
}

#[test]
fn schemes_and_hashes_that_are_not_taken_are_named() {
    let with = |scheme, hash| {
        let mut soft = SoftAk::p256().unwrap();
        soft.public.scheme = scheme;
        soft.public.hash = hash;
        taken(&soft.tpm2b_public())
    };
    assert_eq!(with(0x0018, SHA1), Err(InvalidAttestationKey::WeakHash));
    assert_eq!(with(0x0018, 0x0027), Err(InvalidAttestationKey::UnsupportedHash));
    assert_eq!(with(0x0018, SHA512), Err(InvalidAttestationKey::EcdsaSha512));
    assert_eq!(with(0x001c, SHA256), Err(InvalidAttestationKey::UnsupportedScheme { came: "ECSCHNORR" }));
    let mut soft = rsa();
    soft.public.hash = SHA1;
    for scheme in [RSASSA, RSAPSS] {
        soft.public.scheme = scheme;
        assert_eq!(taken(&soft.tpm2b_public()), Err(InvalidAttestationKey::WeakHash));
    }
    // A key without a scheme has no hash either.
    let null = changed(|public| {
        public.splice(14..18, [0x00, 0x10]);
        public[1] -= 2;
    });
    assert_eq!(null, Err(InvalidAttestationKey::UnsupportedScheme { came: "no scheme of its own" }));
}

#[test]
fn rsa_keys_have_their_size_and_the_usual_exponent() {
    let exponent = |exponent: u32| {
        changed(|public| public[EXPONENT..MODULUS_SIZE].copy_from_slice(&exponent.to_be_bytes()))
    };
    assert_eq!(exponent(65537), Ok(()));
    for other in [1, 3, 65536, u32::MAX] {
        assert!(matches!(exponent(other), Err(InvalidAttestationKey::UnsupportedKey { .. })), "{other}");
    }
    let small = changed(|public| {
        public[KEY_BITS..EXPONENT].copy_from_slice(&1024_u16.to_be_bytes());
        public[MODULUS_SIZE..MODULUS].copy_from_slice(&128_u16.to_be_bytes());
        public.truncate(MODULUS + 128);
        let size = u16::try_from(public.len() - 2).unwrap();
        public[..2].copy_from_slice(&size.to_be_bytes());
    });
    assert_eq!(small, Err(InvalidAttestationKey::UnsupportedKey { came: "RSA of 1024 bits" }));
    let other_bits = changed(|public| public[KEY_BITS..EXPONENT].copy_from_slice(&3072_u16.to_be_bytes()));
    assert!(matches!(other_bits, Err(InvalidAttestationKey::Inconsistent { .. })));
    let small_modulus = changed(|public| public[MODULUS] = 0x7f);
    assert!(matches!(small_modulus, Err(InvalidAttestationKey::Inconsistent { .. })));
}

#[test]
fn ecc_keys_are_on_p256_or_p384() {
    let mut public = SoftAk::p256().unwrap().tpm2b_public();
    assert_eq!(taken(&public), Ok(()));
    // type, nameAlg, attributes, policy, symmetric, scheme, hash: then the curve.
    for curve in [1, 2, 5, 0x10] {
        public[19] = curve;
        assert!(matches!(taken(&public), Err(InvalidAttestationKey::UnsupportedKey { .. })), "{curve}");
    }
    public[19] = 4;
    assert_eq!(taken(&public), Ok(()), "shorter coordinates have leading zeros");
    let mut public = SoftAk::p384().unwrap().tpm2b_public();
    public[19] = 3;
    assert!(matches!(taken(&public), Err(InvalidAttestationKey::Inconsistent { .. })));
}

#[test]
fn p521_is_named_before_its_scheme_is_judged() {
    let public = include_bytes!("p521-ecdsa-sha512.tpm2b");
    let expected = InvalidAttestationKey::UnsupportedKey { came: "on P-521: P-521 is not supported" };
    assert_eq!(taken(&public[..public.len()]), Err(expected));
    assert!(expected.to_string().contains("P-521 is not supported"), "{expected}");
}

#[test]
fn a_key_whose_name_is_made_with_a_weak_hash_is_refused() {
    for (name_alg, expected) in [
        ([0x00, 0x0b], Ok(())),
        ([0x00, 0x0c], Ok(())),
        ([0x00, 0x04], Err(InvalidAttestationKey::WeakName { came: "sha1" })),
        ([0x00, 0x10], Err(InvalidAttestationKey::WeakName { came: "no hash" })),
    ] {
        assert_eq!(changed(|public| public[4..6].copy_from_slice(&name_alg)), expected, "{name_alg:?}");
    }
}

#[test]
fn a_coordinate_may_lack_its_leading_zeros() {
    // One key in 128 has one.
    let soft = (0..10_000)
        .map(|_| SoftAk::p256().unwrap())
        .find(|soft| soft.tpm2b_public()[24] == 0)
        .expect("no key with a leading zero in 10,000");
    let mut public = soft.tpm2b_public();
    public.remove(24);
    public[1] -= 1;
    public[23] -= 1;
    let ak = AttestationKey::from_tpm2b_public(&public).unwrap();
    let quote = soft.quote(b"nonce").unwrap().to_string();
    assert!(verify(&quote, &ak, "nonce", HashAlg::Sha256).is_ok());
}

#[test]
fn keys_of_other_kinds_are_refused() {
    // A sealed object: keyedhash, no scheme, a digest.
    let attributes = AK_ATTRIBUTES.to_be_bytes();
    let keyed_hash =
        [&[0x00, 0x08, 0x00, 0x0b][..], &attributes, &[0, 0, 0x00, 0x10, 0, 32], &[1; 32]].concat();
    let public = [&[0, u8::try_from(keyed_hash.len()).unwrap()][..], &keyed_hash].concat();
    assert_eq!(taken(&public), Err(InvalidAttestationKey::UnsupportedKey { came: "a symmetric key" }));
}

#[test]
fn only_one_whole_structure_is_taken() {
    let public = rsa().tpm2b_public();
    for length in 0..public.len() {
        assert_eq!(taken(&public[..length]), Err(InvalidAttestationKey::Malformed), "{length}");
        assert!(EndorsementKey::from_tpm2b_public(&public[..length]).is_err());
    }
    assert_eq!(changed(|public| public.push(0)), Err(InvalidAttestationKey::Malformed));
    // The size says that one byte more belongs to it.
    let longer = changed(|public| {
        public.push(0);
        public[1] += 1;
    });
    assert_eq!(longer, Err(InvalidAttestationKey::Malformed));
    assert_eq!(taken(&[0; 1025]), Err(InvalidAttestationKey::TooLarge { length: 1025 }));
    assert!(EndorsementKey::from_tpm2b_public(&[0; 1025]).is_err());
}

#[test]
fn an_ek_is_no_ak() {
    let ek = recorded::ek();
    assert_eq!(taken(ek.public_bytes()), Err(InvalidAttestationKey::NotSigning));
}

#[test]
fn debug_shows_hashes_only() {
    let (ak, ek) = (recorded::ak(), recorded::ek());
    assert_eq!(format!("{ak:?}"), format!("AttestationKey(RSASSA with sha256, sha256 {})", ak.sha256()));
    assert_eq!(format!("{ek:?}"), format!("EndorsementKey(sha256 {})", ek.sha256()));
}
