use std::fs;

use serde_json::{Value, json};

use super::*;

/// A P-256 AK as a software TPM made it, and 64 bytes in place of its private part.
fn data() -> Value {
    let record: Value = serde_json::from_str(REGISTERED).unwrap();
    let ak = base64::Engine::decode(
        &base64::engine::general_purpose::STANDARD,
        record["results"]["aik_tpm"].as_str().unwrap(),
    )
    .unwrap();
    json!({
        "ak_hash_alg": "Sha256",
        "ak_sign_alg": "RsaSsa",
        "ak_public": ak[2..],
        "ak_private": vec![7; 64],
        "ek_hash": "ab".repeat(32).into_bytes(),
    })
}

const REGISTERED: &str = include_str!("../../../../tests/testdata/keylime/registrar-push-agent.json");

#[test]
fn the_file_of_keylimes_agent_is_read() {
    let data = AgentData::parse(data().to_string().as_bytes()).unwrap();
    assert_eq!(data.bank(), HashAlg::Sha256);
    assert_eq!(data.ek_hash().unwrap().as_str(), "ab".repeat(32));
    assert!(!format!("{data:?}").contains("private"), "{data:?}");
}

#[test]
fn every_start_of_the_file_is_half_written() {
    let text = serde_json::to_string_pretty(&data()).unwrap();
    for end in (0..text.len()).step_by(7) {
        assert_eq!(AgentData::parse(&text.as_bytes()[..end]).unwrap_err(), DataError::HalfWritten, "{end}");
    }
}

#[test]
fn what_breaks_a_rule_is_refused_by_it() {
    let with = |member: &str, value: Value| {
        let mut data = data();
        data[member] = value;
        AgentData::parse(data.to_string().as_bytes()).unwrap_err()
    };
    assert!(matches!(with("ak_hash_alg", json!("Sha1")), DataError::Bank(_)));
    assert!(matches!(with("ak_hash_alg", json!("Sm3_256")), DataError::Bank(_)));
    assert!(matches!(with("ak_public", json!([])), DataError::Key(_)));
    assert!(matches!(with("ak_public", json!([1, 2, 3])), DataError::Key(_)));
    assert!(matches!(with("ak_public", json!([256])), DataError::Malformed { .. }));
    assert!(matches!(with("ak_public", json!(vec![0; 0x10000])), DataError::TooLarge { .. }));
    assert_eq!(with("ak_private", json!([])), DataError::Part { part: "ak_private" });
    assert_eq!(with("ak_private", json!(vec![1; 10_000])), DataError::Part { part: "ak_private" });
    assert!(matches!(AgentData::parse(b"[]").unwrap_err(), DataError::Malformed { .. }));
    assert!(matches!(AgentData::parse(&[b' '; MAX_LEN + 1]).unwrap_err(), DataError::TooLarge { .. }));
}

/// tpm2-tss 4.1.3 takes such a key for a whole one; only what is marshalled again tells.
#[test]
fn a_public_part_with_more_behind_it_or_less_is_refused() {
    let whole: Vec<Value> = data()["ak_public"].as_array().unwrap().clone();
    for length in 0..whole.len() {
        let mut data = data();
        data["ak_public"] = whole[..length].into();
        assert!(AgentData::parse(data.to_string().as_bytes()).is_err(), "{length} bytes");
    }
    let mut data = data();
    data["ak_public"] = [whole, vec![0.into()]].concat().into();
    assert!(AgentData::parse(data.to_string().as_bytes()).is_err());
}

#[test]
fn only_a_hash_is_an_id() {
    for (bytes, expected) in [("", None), ("abc", None), (&"zz".repeat(32), None)] {
        let mut data = data();
        data["ek_hash"] = bytes.as_bytes().into();
        assert_eq!(AgentData::parse(data.to_string().as_bytes()).unwrap().ek_hash(), expected);
    }
}

#[test]
fn a_file_is_read_again_only_when_its_content_changed() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("agent_data.json");
    let mut file = DataFile::at(path.clone());
    assert_eq!(file.changed().unwrap_err(), DataError::Missing);
    fs::write(&path, data().to_string()).unwrap();
    assert!(file.changed().unwrap().is_some());
    fs::write(&path, data().to_string()).unwrap();
    assert!(file.changed().unwrap().is_none());
    fs::write(&path, serde_json::to_vec_pretty(&data()).unwrap()).unwrap();
    assert!(file.changed().unwrap().is_some());
    file.forget();
    assert!(file.changed().unwrap().is_some());
    fs::write(&path, "{\"ak_hash_alg\": \"Sha").unwrap();
    assert_eq!(file.changed().unwrap_err(), DataError::HalfWritten);
    let folder = DataFile::at(dir.path().into()).changed().unwrap_err();
    assert!(folder.to_string().contains("cannot be read"), "{folder}");
}
