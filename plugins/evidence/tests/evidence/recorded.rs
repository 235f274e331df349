//! Quotes and registrar's records of a real Keylime (`tests/testdata/keylime`).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use evidence::{AttestationKey, EndorsementKey, HashAlg, InvalidQuote, QuotePart};
use serde_json::Value;

use crate::verify;

pub(crate) const NONCE: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZ123456";

/// Reads a recorded answer of tests/testdata/keylime.
macro_rules! recorded {
    ($name:literal) => {
        include_str!(concat!("../../../../tests/testdata/keylime/", $name, ".json"))
    };
}

/// Each recorded quote with its nonce and the record of the node that made it.
const QUOTES: [(&str, &str, &str); 9] = [
    (recorded!("agent-identity-quote"), NONCE, RUST),
    (recorded!("agent-identity-quote-partial"), NONCE, RUST),
    (recorded!("agent-identity-quote-v2.1"), NONCE, RUST),
    (recorded!("agent-nonce-64"), "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", RUST),
    (recorded!("agent-mtls-off-identity-quote"), NONCE, RUST_MTLS_OFF),
    (recorded!("pyagent-identity-quote"), NONCE, PYTHON),
    (recorded!("pyagent-identity-quote-v2.0"), NONCE, PYTHON),
    (recorded!("pyagent-identity-quote-v2.2"), NONCE, PYTHON),
    (recorded!("pyagent-identity-quote-v2.6"), NONCE, PYTHON),
];

const RUST: &str = recorded!("registrar-agent");
const RUST_MTLS_OFF: &str = recorded!("registrar-agent-mtls-off");
const PUSH: &str = recorded!("registrar-push-agent");
const PYTHON: &str = recorded!("pyagent-registrar-agent");
const RECORDS: [&str; 4] = [RUST, RUST_MTLS_OFF, PUSH, PYTHON];

/// The quote of the Rust agent, whose AK is [`ak`].
pub(crate) fn quote() -> String {
    result(recorded!("agent-identity-quote"), "quote")
}

pub(crate) fn ak() -> AttestationKey {
    ak_of(RUST)
}

pub(crate) fn ek() -> EndorsementKey {
    ek_of(RUST)
}

#[test]
fn every_quote_verifies_against_its_own_record_only() {
    for (answer, nonce, own) in QUOTES {
        let quote = result(answer, "quote");
        for record in RECORDS {
            let verified = verify(&quote, &ak_of(record), nonce, HashAlg::Sha256);
            if record == own {
                assert_eq!(verified.map(|verified| verified.hash_alg()), Ok(HashAlg::Sha256));
            } else {
                assert_eq!(verified, Err(InvalidQuote::Signature));
            }
        }
    }
}

#[test]
fn every_quote_is_signed_below_the_ek_of_its_own_record_only() {
    for (answer, nonce, own) in QUOTES {
        let quote = result(answer, "quote");
        let verified = verify(&quote, &ak_of(own), nonce, HashAlg::Sha256).unwrap();
        for record in RECORDS {
            let by_ek = verified.check_signer(&ak_of(own), &ek_of(record));
            let by_ak = verified.check_signer(&ak_of(record), &ek_of(own));
            let is_own = |key| result(record, key) == result(own, key);
            assert_eq!(by_ek.is_ok(), is_own("ek_tpm"), "{by_ek:?}");
            assert_eq!(by_ak.is_ok(), is_own("aik_tpm"), "{by_ak:?}");
        }
    }
}

#[test]
fn every_quote_verifies_for_its_own_nonce_and_bank_only() {
    for (answer, nonce, own) in QUOTES {
        let (quote, ak) = (result(answer, "quote"), ak_of(own));
        for other in [&nonce[1..], &nonce.to_lowercase(), &format!("{}B", &nonce[..nonce.len() - 1]), "A"] {
            assert_eq!(verify(&quote, &ak, other, HashAlg::Sha256), Err(InvalidQuote::Nonce), "{other}");
        }
        for bank in [HashAlg::Sha384, HashAlg::Sha512] {
            let came = HashAlg::Sha256;
            assert_eq!(verify(&quote, &ak, nonce, bank), Err(InvalidQuote::Bank { came, expected: bank }));
        }
    }
}

#[test]
fn quotes_for_nonces_that_nobody_sends_are_refused() {
    for answer in [recorded!("agent-nonce-empty"), recorded!("agent-nonce-nonascii")] {
        for nonce in [NONCE, "A"] {
            let verified = verify(&result(answer, "quote"), &ak(), nonce, HashAlg::Sha256);
            assert_eq!(verified, Err(InvalidQuote::Nonce));
        }
    }
}

#[test]
fn quotes_that_keylime_calls_malformed_are_refused() {
    let plus_became_space = quote().replacen('+', " ", 1);
    let pcr_changed = {
        let quote = quote();
        let (signed, pcrs) = quote.rsplit_once(':').unwrap();
        let mut pcrs = STANDARD.decode(pcrs).unwrap();
        pcrs[4 + 128 + 4 + 4 + 2] ^= 1;
        format!("{signed}:{}", STANDARD.encode(pcrs))
    };
    for (quote, expected) in [
        ("rAAAA", InvalidQuote::Parts),
        ("AAAA:AAAA:AAAA", InvalidQuote::Prefix),
        ("rAAAA:AAAA:AAAA", InvalidQuote::Malformed { part: QuotePart::Attest }),
        ("r!!:A:A", InvalidQuote::Base64 { part: QuotePart::Attest }),
        (&plus_became_space, InvalidQuote::Base64 { part: QuotePart::Attest }),
        (&pcr_changed, InvalidQuote::PcrDigest),
        ("", InvalidQuote::Prefix),
        ("r", InvalidQuote::Parts),
        ("r::", InvalidQuote::Malformed { part: QuotePart::Attest }),
        (&format!("{}:", quote()), InvalidQuote::Parts),
        (&"r".repeat(32 * 1024 + 1), InvalidQuote::TooLarge { length: 32 * 1024 + 1 }),
        (
            &format!("r{}::", "A".repeat(4 * 342)),
            InvalidQuote::PartTooLarge { part: QuotePart::Attest, length: 1026 },
        ),
    ] {
        assert_eq!(verify(quote, &ak(), NONCE, HashAlg::Sha256), Err(expected));
    }
}

#[test]
fn every_registered_key_is_taken() {
    for record in RECORDS {
        let ak = ak_of(record);
        assert_eq!(STANDARD.encode(ak.public_bytes()), result(record, "aik_tpm"));
        let ek = ek_of(record);
        assert_eq!(STANDARD.encode(ek.public_bytes()), result(record, "ek_tpm"));
    }
}

fn ak_of(record: &str) -> AttestationKey {
    AttestationKey::from_tpm2b_public(&STANDARD.decode(result(record, "aik_tpm")).unwrap()).unwrap()
}

fn ek_of(record: &str) -> EndorsementKey {
    EndorsementKey::from_tpm2b_public(&STANDARD.decode(result(record, "ek_tpm")).unwrap()).unwrap()
}

fn result(answer: &str, member: &str) -> String {
    let answer: Value = serde_json::from_str(answer).unwrap();
    answer["results"][member].as_str().unwrap().to_owned()
}
