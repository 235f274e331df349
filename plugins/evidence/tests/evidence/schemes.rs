//! Quotes of a software AK: every scheme that is taken, and every single thing that can be wrong
//! with a quote that is well signed.

use evidence::{AttestationKey, HashAlg, InvalidQuote, QuotePart, Verified};
use lab::soft_ak::{
    Attest, RSAPSS, RSASSA, SHA1, SHA256, SHA384, SHA512, SoftAk, SoftQuote, hash, pcr_values, pcrs_part,
};

use crate::verify;

const NONCE: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZ123456";
const BANKS: [(u16, HashAlg); 3] =
    [(SHA256, HashAlg::Sha256), (SHA384, HashAlg::Sha384), (SHA512, HashAlg::Sha512)];

#[test]
fn every_scheme_key_and_bank_verifies() {
    let mut aks = vec![SoftAk::p256().unwrap(), SoftAk::p384().unwrap()];
    for bits in [2048, 3072, 4096] {
        for scheme in [RSASSA, RSAPSS] {
            for hash in [SHA256, SHA384, SHA512] {
                aks.push(SoftAk::rsa(bits, scheme, hash).unwrap());
            }
        }
    }
    for soft in &aks {
        for (bank, hash_alg) in BANKS {
            let quote = soft.quote_pcrs(NONCE.as_bytes(), bank, &[0, 7, 10, 16, 23]).unwrap();
            let verified = verify(&quote.to_string(), &ak(soft), NONCE, hash_alg);
            assert_eq!(verified.map(|verified| verified.hash_alg()), Ok(hash_alg), "{:?}", soft.public);
        }
    }
}

#[test]
fn a_signature_by_another_scheme_than_the_aks_own_is_refused() {
    let ssa = SoftAk::rsa(2048, RSASSA, SHA256).unwrap();
    let quote = ssa.quote(NONCE.as_bytes()).unwrap().to_string();
    for (scheme, hash) in [(RSAPSS, SHA256), (RSASSA, SHA384), (RSAPSS, SHA512)] {
        // The same RSA key.
        let other = ak(&SoftAk::rsa(2048, scheme, hash).unwrap());
        let verified = verify(&quote, &other, NONCE, HashAlg::Sha256);
        assert!(matches!(verified, Err(InvalidQuote::Scheme { .. })), "{verified:?}");
    }
    let ecc = ak(&SoftAk::p256().unwrap());
    assert!(matches!(verify(&quote, &ecc, NONCE, HashAlg::Sha256), Err(InvalidQuote::Scheme { .. })));
}

#[test]
fn a_signature_by_a_key_of_another_curve_is_refused() {
    let soft = SoftAk::p256().unwrap();
    let quote = soft.quote(NONCE.as_bytes()).unwrap();
    let mut other = SoftAk::p384().unwrap();
    other.public.hash = SHA256;
    let verified = verify(&quote.to_string(), &ak(&other), NONCE, HashAlg::Sha256);
    assert_eq!(verified, Err(InvalidQuote::Signature));
}

#[test]
fn weak_and_unsupported_signatures_are_refused_by_name() {
    let (soft, good) = rsa();
    for (algorithm, hash, expected) in [
        (0x0014, 0x0004, InvalidQuote::WeakSignatureHash),
        (0x0016, 0x0004, InvalidQuote::WeakSignatureHash),
        (0x0014, 0x0027, InvalidQuote::UnsupportedSignature),
    ] {
        let mut quote = good.clone();
        quote.signature[..4].copy_from_slice(&[[0, algorithm], [0, hash]].concat());
        assert_eq!(verified(&soft, &quote), Err(expected));
    }
    let ecschnorr = [&[0x00, 0x1c, 0x00, 0x0b, 0, 32][..], &[1; 32], &[0, 32], &[1; 32]].concat();
    let hmac = [&[0x00, 0x05, 0x00, 0x0b][..], &[0; 32]].concat();
    for signature in [ecschnorr, hmac, vec![0x00, 0x10]] {
        let quote = SoftQuote { signature, ..good.clone() };
        assert_eq!(verified(&soft, &quote), Err(InvalidQuote::UnsupportedSignature));
    }
}

#[test]
fn what_no_tpm_made_is_refused() {
    let (soft, good) = rsa();
    for magic in [0, 0xff54_4346, u32::MAX] {
        let attest = Attest { magic, ..attest() };
        assert_eq!(signed(&soft, attest.marshal(), &good), Err(InvalidQuote::Magic));
    }
}

#[test]
fn what_a_tpm_attested_other_than_pcrs_is_refused() {
    let (soft, good) = rsa();
    let quote = attest().marshal();
    // All but the last 14 + 32 bytes is the same in every attest. What follows are a name and a
    // qualified name (TPMS_CERTIFY_INFO), and a clock, its safety and a firmware version
    // (TPMS_TIME_ATTEST_INFO).
    let same = quote.len() - 4 - 6 - 34;
    for (kind, info) in
        [(0x8017_u16, vec![0; 4]), (0x8019, [&[0; 8 + 8 + 4 + 4][..], &[1], &[0; 8]].concat())]
    {
        let mut attest = [&quote[..same], &info].concat();
        attest[4..6].copy_from_slice(&kind.to_be_bytes());
        assert_eq!(signed(&soft, attest, &good), Err(InvalidQuote::NotAQuote), "{kind:#x}");
    }
    let unknown = Attest { kind: 0x8000, ..attest() };
    let malformed = InvalidQuote::Malformed { part: QuotePart::Attest };
    assert_eq!(signed(&soft, unknown.marshal(), &good), Err(malformed));
}

#[test]
fn another_nonce_is_refused_whatever_its_length() {
    let (soft, good) = rsa();
    for nonce in ["", "A", &NONCE[..31], &format!("{NONCE}A"), &NONCE.to_lowercase(), &format!("{NONCE}\0")] {
        let attest = Attest { extra_data: nonce.into(), ..attest() };
        assert_eq!(signed(&soft, attest.marshal(), &good), Err(InvalidQuote::Nonce), "{nonce:?}");
    }
}

#[test]
fn exactly_one_good_bank_with_a_pcr_is_expected() {
    let (soft, good) = rsa();
    for (banks, expected) in [
        (vec![], InvalidQuote::Banks { came: 0 }),
        (vec![(SHA256, vec![16]), (SHA256, vec![16])], InvalidQuote::Banks { came: 2 }),
        (vec![(SHA1, vec![16])], InvalidQuote::WeakBank),
        (vec![(0x0027, vec![16])], InvalidQuote::UnsupportedBank),
        (vec![(SHA256, vec![])], InvalidQuote::NoPcrs),
    ] {
        let attest = Attest { banks, ..attest() };
        assert_eq!(signed(&soft, attest.marshal(), &good), Err(expected));
    }
}

#[test]
fn the_pcr_values_part_has_one_good_bank_with_a_pcr() {
    let (soft, good) = rsa();
    let with = |change: fn(&mut Vec<u8>)| {
        let mut quote = good.clone();
        change(&mut quote.pcrs);
        verified(&soft, &quote)
    };
    assert_eq!(with(|pcrs| pcrs[0] = 0), Err(InvalidQuote::Banks { came: 0 }));
    assert_eq!(with(|pcrs| pcrs[0] = 2), Err(InvalidQuote::Banks { came: 2 }));
    assert_eq!(with(|pcrs| pcrs[4] = 0x04), Err(InvalidQuote::WeakBank));
    assert_eq!(with(|pcrs| pcrs[4] = 0x27), Err(InvalidQuote::UnsupportedBank));
    assert_eq!(with(|pcrs| pcrs[5] = 0x27), Err(InvalidQuote::UnsupportedBank));
    assert_eq!(with(|pcrs| pcrs[9] = 0), Err(InvalidQuote::NoPcrs));
    let malformed = Err(InvalidQuote::Malformed { part: QuotePart::Pcrs });
    for (at, value) in
        [(6, 0), (6, 2), (6, 5), (10, 1), (11, 1), (12, 1), (131, 1), (132, 0), (132, 33), (136, 0), (136, 9)]
    {
        let mut quote = good.clone();
        quote.pcrs[at] = value;
        assert_eq!(verified(&soft, &quote), malformed, "{at}: {value}");
    }
}

#[test]
fn lists_of_pcr_values_may_be_short_but_not_empty() {
    let soft = SoftAk::p256().unwrap();
    let one_list = soft.quote_pcrs(NONCE.as_bytes(), SHA256, &[1, 2]).unwrap();
    let (head, list) = one_list.pcrs.split_at(4 + 16 * 8 + 4);
    let (mut head, list) = (head.to_vec(), list.to_vec());
    head[4 + 16 * 8] = 2;
    // Each of the two values in a list of its own.
    let (mut first, mut second) = (list.clone(), vec![0; list.len()]);
    first[0] = 1;
    first[4 + 66..4 + 2 * 66].fill(0);
    second[0] = 1;
    second[4..4 + 66].copy_from_slice(&list[4 + 66..4 + 2 * 66]);
    let quote = SoftQuote { pcrs: [&head[..], &first, &second].concat(), ..one_list.clone() };
    assert!(verified(&soft, &quote).is_ok());

    let quote = SoftQuote { pcrs: [&head[..], &list, &vec![0; list.len()]].concat(), ..one_list };
    assert_eq!(verified(&soft, &quote), Err(InvalidQuote::Malformed { part: QuotePart::Pcrs }));
}

#[test]
fn a_bank_other_than_the_claimed_one_is_refused() {
    let soft = SoftAk::p256().unwrap();
    let quote = soft.quote_pcrs(NONCE.as_bytes(), SHA384, &[16]).unwrap();
    let expected = InvalidQuote::Bank { came: HashAlg::Sha384, expected: HashAlg::Sha256 };
    assert_eq!(verified(&soft, &quote), Err(expected));
}

#[test]
fn values_of_other_pcrs_than_the_signed_ones_are_refused() {
    let soft = SoftAk::p256().unwrap();
    let values = pcr_values(SHA256, &[1, 2]).unwrap();
    let attest = Attest::new(NONCE.as_bytes(), SHA256, &[1, 2], hash(SHA256, &values.concat()).unwrap());
    let with = |bank, pcrs: &[u8], values: &[Vec<u8>]| {
        let quote = soft.sign(attest.marshal(), pcrs_part(bank, pcrs, values)).unwrap();
        verified(&soft, &quote).map(drop)
    };
    assert_eq!(with(SHA256, &[1, 2], &values), Ok(()));
    assert_eq!(with(SHA256, &[1, 3], &values), Err(InvalidQuote::Selection));
    assert_eq!(with(SHA384, &[1, 2], &pcr_values(SHA384, &[1, 2]).unwrap()), Err(InvalidQuote::Selection));
    let swapped = [values[1].clone(), values[0].clone()];
    assert_eq!(with(SHA256, &[1, 2], &swapped), Err(InvalidQuote::PcrDigest));
    let malformed = Err(InvalidQuote::Malformed { part: QuotePart::Pcrs });
    assert_eq!(with(SHA256, &[1, 2], &values[..1]), malformed);
    assert_eq!(with(SHA256, &[1, 2], &[values[0].clone(), values[1].clone(), values[1].clone()]), malformed);
    // The same bytes to hash, cut otherwise.
    let cut = [values.concat()[..31].to_vec(), values.concat()[31..].to_vec()];
    assert_eq!(with(SHA256, &[1, 2], &cut), malformed);
}

#[test]
fn the_digest_is_by_the_hash_of_the_signature_and_has_its_length() {
    let soft = SoftAk::p384().unwrap();
    let values = pcr_values(SHA256, &[16]).unwrap();
    let right = hash(SHA384, &values.concat()).unwrap();
    for (digest, expected) in [
        (right.clone(), Ok(())),
        (right[..47].to_vec(), Err(InvalidQuote::PcrDigest)),
        ([right.as_slice(), &[0]].concat(), Err(InvalidQuote::PcrDigest)),
        (vec![], Err(InvalidQuote::PcrDigest)),
        (hash(SHA256, &values.concat()).unwrap(), Err(InvalidQuote::PcrDigest)),
    ] {
        let attest = Attest::new(NONCE.as_bytes(), SHA256, &[16], digest);
        let quote = soft.sign(attest.marshal(), pcrs_part(SHA256, &[16], &values)).unwrap();
        assert_eq!(verified(&soft, &quote).map(drop), expected);
    }
}

#[test]
fn a_point_that_is_not_on_the_curve_verifies_nothing() {
    let soft = SoftAk::p256().unwrap();
    let quote = soft.quote(NONCE.as_bytes()).unwrap();
    let mut public = soft.tpm2b_public();
    *public.last_mut().unwrap() ^= 1;
    let ak = AttestationKey::from_tpm2b_public(&public).unwrap();
    assert_eq!(verify(&quote.to_string(), &ak, NONCE, HashAlg::Sha256), Err(InvalidQuote::Signature));
}

fn rsa() -> (SoftAk, SoftQuote) {
    let soft = SoftAk::rsa(2048, RSASSA, SHA256).unwrap();
    let good = soft.quote(NONCE.as_bytes()).unwrap();
    verified(&soft, &good).unwrap();
    (soft, good)
}

/// The values under a quote of [`rsa`].
fn attest() -> Attest {
    let digest = hash(SHA256, &pcr_values(SHA256, &[16]).unwrap().concat()).unwrap();
    Attest::new(NONCE.as_bytes(), SHA256, &[16], digest)
}

/// Signs another attest, and verifies it with the PCR values of a good quote.
fn signed(soft: &SoftAk, attest: Vec<u8>, good: &SoftQuote) -> Result<Verified, InvalidQuote> {
    verified(soft, &soft.sign(attest, good.pcrs.clone()).unwrap())
}

fn verified(soft: &SoftAk, quote: &SoftQuote) -> Result<Verified, InvalidQuote> {
    verify(&quote.to_string(), &ak(soft), NONCE, HashAlg::Sha256)
}

fn ak(soft: &SoftAk) -> AttestationKey {
    AttestationKey::from_tpm2b_public(&soft.tpm2b_public()).unwrap()
}
