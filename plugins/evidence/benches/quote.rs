//! The time that the server plugin works on one quote: parsing and verifying one from a real
//! Keylime agent.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a bench without its input is none")]

use std::hint::black_box;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use criterion::{Criterion, criterion_group, criterion_main};
use evidence::{AttestationKey, HashAlg, Nonce, Quote};
use serde_json::Value;

const QUOTE: &str = include_str!("../../../tests/testdata/keylime/agent-identity-quote.json");
const REGISTRATION: &str = include_str!("../../../tests/testdata/keylime/registrar-agent.json");

fn quote(criterion: &mut Criterion) {
    let quote = result(QUOTE, "quote");
    let public = STANDARD.decode(result(REGISTRATION, "aik_tpm")).unwrap();
    let ak = AttestationKey::from_tpm2b_public(&public).unwrap();
    let nonce = Nonce::parse(b"ABCDEFGHIJKLMNOPQRSTUVWXYZ123456").unwrap();
    let parsed = Quote::parse(&quote).unwrap();

    criterion.bench_function("quote/parse", |bencher| bencher.iter(|| Quote::parse(black_box(&quote))));
    criterion.bench_function("quote/verify", |bencher| {
        bencher.iter(|| black_box(&parsed).verify(&ak, &nonce, HashAlg::Sha256))
    });
    criterion.bench_function("quote/parse_key", |bencher| {
        bencher.iter(|| AttestationKey::from_tpm2b_public(black_box(&public)))
    });
}

fn result(answer: &str, member: &str) -> String {
    let answer: Value = serde_json::from_str(answer).unwrap();
    answer["results"][member].as_str().unwrap().to_owned()
}

criterion_group!(benches, quote);
criterion_main!(benches);
