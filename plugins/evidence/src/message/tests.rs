//! The messages, against what Go's `encoding/json` writes and reads.

use super::*;
use crate::Code;

const PAYLOAD: &[u8] =
    br#"{"AgentID":"ZDQzMmZiYjMtZDJmMS00YTk3LTllZjctNzViZDgxYzAwMDAx","HashAlg":"c2hhMjU2"}"#;

fn payload() -> Payload {
    let agent_id = AgentId::new("d432fbb3-d2f1-4a97-9ef7-75bd81c00001").unwrap();
    Payload { agent_id, hash_alg: Some(HashAlg::Sha256), service_account_token: None }
}

fn problem<T: fmt::Debug>(result: Result<T, MessageError>) -> MessageProblem {
    result.unwrap_err().problem
}

#[test]
fn messages_are_those_of_the_go_plugin() {
    assert_eq!(Payload::from_json(PAYLOAD), Ok(payload()));
    assert_eq!(payload().to_json(), PAYLOAD);

    let challenge = Challenge { nonce: Nonce::parse(b"ABC123").unwrap() };
    assert_eq!(challenge.to_json(), br#"{"Nonce":"QUJDMTIz"}"#);
    assert_eq!(Challenge::from_json(br#"{"Nonce":"QUJDMTIz"}"#), Ok(challenge));

    let response = Response { quote: "rAA==:AA==:AA==".to_owned() };
    assert_eq!(response.to_json(), br#"{"TPMQuote":"ckFBPT06QUE9PTpBQT09"}"#);
    assert_eq!(Response::from_json(&response.to_json()), Ok(response));
}

#[test]
fn no_hash_alg_is_told_in_three_ways() {
    for json in [
        br#"{"AgentID":"YQ=="}"#.as_slice(),
        br#"{"AgentID":"YQ==","HashAlg":null}"#,
        br#"{"AgentID":"YQ==","HashAlg":""}"#,
    ] {
        assert_eq!(Payload::from_json(json).unwrap().hash_alg, None);
    }
    let agent_id = AgentId::new("a").unwrap();
    let json = Payload { agent_id, hash_alg: None, service_account_token: None }.to_json();
    assert_eq!(json, br#"{"AgentID":"YQ==","HashAlg":""}"#);
}

#[test]
fn a_token_is_a_member_of_its_own_and_the_longest_fits() {
    let token = format!("a.b.{}", "c".repeat(ServiceAccountToken::MAX_LEN - 4));
    let with_token = Payload {
        agent_id: AgentId::longest(),
        hash_alg: Some(HashAlg::Sha256),
        service_account_token: Some(token.parse().unwrap()),
    };
    let json = with_token.to_json();
    assert!(json.len() <= Payload::MAX_LEN, "{}", json.len());
    assert_eq!(Payload::from_json(&json), Ok(with_token));

    let json = |token: &str| format!(r#"{{"AgentID":"YQ==","ServiceAccountToken":{token}}}"#);
    for absent in ["null", "\"\""] {
        assert_eq!(Payload::from_json(json(absent).as_bytes()).unwrap().service_account_token, None);
    }
    let error = Payload::from_json(json("\"U0VDUkVU\"").as_bytes()).unwrap_err();
    assert_eq!((error.reason(), error.code()), ("malformed_token", Code::InvalidArgument));
    assert!(!error.to_string().contains("SECRET") && !error.to_string().contains("U0VD"), "{error}");
    let plain = Payload::from_json(json("\"a.b.c\"").as_bytes());
    assert_eq!(problem(plain), MessageProblem::Base64("ServiceAccountToken"));
}

#[test]
fn members_that_are_not_known_are_ignored_and_a_known_one_stands_once() {
    let json = br#"{"AgentID":"YQ==","Later":[{"x":1}],"later":1,"Later":2}"#;
    assert_eq!(Payload::from_json(json).unwrap().agent_id.as_str(), "a");
    let twice = br#"{"AgentID":"YQ==","AgentID":"Yg=="}"#;
    assert!(matches!(problem(Payload::from_json(twice)), MessageProblem::Json(_)));
}

#[test]
fn names_are_exact() {
    let json = br#"{"agentid":"YQ==","HashAlg":"c2hhMjU2"}"#;
    assert_eq!(problem(Payload::from_json(json)), MessageProblem::Missing("AgentID"));
}

#[test]
fn sizes_are_checked_before_anything_is_parsed() {
    let too_large = |length, limit| MessageProblem::TooLarge { length, limit };
    assert_eq!(problem(Payload::from_json(&[b'['; 4097])), too_large(4097, 4096));
    assert_eq!(problem(Challenge::from_json(&[b'['; 4097])), too_large(4097, 4096));
    assert_eq!(problem(Response::from_json(&[b'['; 65537])), too_large(65537, 65536));

    let mut padded = PAYLOAD.to_vec();
    padded.resize(4096, b' ');
    assert_eq!(Payload::from_json(&padded), Ok(payload()));
}

#[test]
fn what_is_no_object_is_refused() {
    let deep = "[".repeat(4000);
    for json in ["", " ", "null", "[\"YQ==\",\"\"]", "\"YQ==\"", "{", "{}x", "{\"AgentID\":1}", &deep] {
        let problem = problem(Payload::from_json(json.as_bytes()));
        assert!(matches!(problem, MessageProblem::Json(_)), "{json}: {problem:?}");
    }
    assert!(Payload::from_json(format!("{{\"x\":{deep}").as_bytes()).is_err());
    assert!(Payload::from_json(b"{\"AgentID\":\"\xff\"}").is_err());
}

#[test]
fn byte_strings_are_strict_base64_of_text() {
    for value in ["YQ", "YQ=", "YR==", "YQ==\\n", "Y Q==", "_w==", "/w=="] {
        let json = format!("{{\"AgentID\":\"{value}\"}}");
        assert_eq!(
            problem(Payload::from_json(json.as_bytes())),
            MessageProblem::Base64("AgentID"),
            "{value}"
        );
    }
    assert_eq!(problem(Payload::from_json(b"{}")), MessageProblem::Missing("AgentID"));
    assert_eq!(problem(Response::from_json(b"{\"TPMQuote\":null}")), MessageProblem::Missing("TPMQuote"));
}

#[test]
fn values_are_parsed_and_each_kind_of_wrong_one_has_its_reason_and_code() {
    let payload = |agent_id: &str, hash_alg: &str| {
        let json = format!(
            r#"{{"AgentID":"{}","HashAlg":"{}"}}"#,
            STANDARD.encode(agent_id),
            STANDARD.encode(hash_alg)
        );
        let error = Payload::from_json(json.as_bytes()).unwrap_err();
        (error.reason(), error.code())
    };
    assert_eq!(payload("../version", "sha256"), ("invalid_agent_id", Code::InvalidArgument));
    assert_eq!(payload("a", "sha1"), ("weak_hash_alg", Code::PermissionDenied));
    assert_eq!(payload("a", "md5"), ("unsupported_hash_alg", Code::InvalidArgument));
    assert_eq!(payload("", "sha256"), ("malformed_payload", Code::InvalidArgument));
    assert_eq!(Response::from_json(b"").unwrap_err().reason(), "malformed_response");
    assert_eq!(Challenge::from_json(b"{\"Nonce\":\"YSA=\"}").unwrap_err().reason(), "malformed_challenge");
}

#[test]
fn neither_a_nonce_nor_a_quote_is_shown() {
    let challenge = Challenge { nonce: Nonce::parse(b"SECRET").unwrap() };
    let response = Response { quote: "SECRET".to_owned() };
    assert!(!format!("{challenge:?} {response:?}").contains("SECRET"));
    let wrong = format!(r#"{{"Nonce":"{}"}}"#, STANDARD.encode("SECRET "));
    let error = Challenge::from_json(wrong.as_bytes()).unwrap_err();
    assert!(
        !error.to_string().contains("SECRET") && !error.to_string().contains(&STANDARD.encode("SECRET "))
    );
}
