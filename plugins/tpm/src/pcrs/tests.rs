use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::*;

/// The third part of a quote that a real agent gave, of PCR 16 alone: all but the selection.
#[test]
fn the_layout_is_that_of_a_real_agent() {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/testdata/keylime/agent-identity-quote.json");
    let answer: serde_json::Value = serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap();
    let quote = answer["results"]["quote"].as_str().unwrap();
    let mut real = STANDARD.decode(quote.rsplit(':').next().unwrap()).unwrap();
    let value = real[142..174].to_vec();
    // Bits of PCR 16: the third byte. Ours are of PCR 0: the first.
    assert_eq!(real[6..11], [3, 0, 0, 1, 0]);
    real[7..10].copy_from_slice(&[1, 0, 0]);
    assert_eq!(layout_of_pcr_0(HashAlg::Sha256, &value), real);
}
