//! Each refusal has its own reason and text, and the code that SPIRE needs.

use std::collections::BTreeSet;
use std::time::Duration;

use evidence::message::{MessageError, Payload, Response};
use evidence::{Code, HashAlg, InvalidAttestationKey, InvalidQuote, Mode, NonceError, QuotePart, Refusal};

const SECOND: Duration = Duration::from_secs(1);

fn message(json: &[u8]) -> MessageError {
    Payload::from_json(json).unwrap_err()
}

/// Every refusal that says no to the node, with its code as the wire has it.
fn refusals() -> Vec<(Refusal, Code)> {
    let (bad, denied, no_verdict) = (Code::InvalidArgument, Code::PermissionDenied, Code::Unavailable);
    let sha1 = message(br#"{"AgentID":"YQ==","HashAlg":"c2hhMQ=="}"#);
    let mut refusals = vec![
        (Refusal::Message(message(b"")), bad),
        (Refusal::Message(message(br#"{"AgentID":"Li4="}"#)), bad),
        (Refusal::Message(message(br#"{"AgentID":"YQ==","HashAlg":"bWQ1"}"#)), bad),
        (Refusal::Message(sha1), denied),
        (Refusal::Message(Response::from_json(b"{}").unwrap_err()), bad),
        (Refusal::NoHashAlg { mode: Mode::Pull }, bad),
        (Refusal::NotRegistered, denied),
        (Refusal::NotActivated, denied),
        (Refusal::NotEnrolled, denied),
        (Refusal::EnrolledTwice, denied),
        (Refusal::NodeFails { mode: Mode::Pull }, denied),
        (Refusal::NodeUnreachable, denied),
        (Refusal::NodePending { mode: Mode::Pull }, denied),
        (Refusal::NodeTimedOut, denied),
        (Refusal::NeverPassed, denied),
        (Refusal::Stale { age: SECOND, max_age: SECOND, interval: None }, denied),
        (Refusal::LastSuccessInFuture { ahead: SECOND }, denied),
        (Refusal::AlreadyAttested, denied),
        (Refusal::NoNonce(NonceError), Code::Internal),
        (Refusal::ChallengeTimedOut { timeout: SECOND, mode: Mode::Pull }, no_verdict),
        (Refusal::VerifierSaysInvalid, denied),
        (Refusal::StateChanged(Box::new(Refusal::NodeFails { mode: Mode::Pull })), denied),
    ];
    refusals.extend(malformed_quotes().into_iter().map(|error| (Refusal::Quote(error), bad)));
    refusals.extend(refused_quotes().into_iter().map(|error| (Refusal::Quote(error), denied)));
    refusals.extend(unreadable_keys().into_iter().map(|error| (Refusal::AttestationKey(error), no_verdict)));
    refusals.extend(refused_keys().into_iter().map(|error| (Refusal::AttestationKey(error), denied)));
    refusals
}

fn malformed_quotes() -> Vec<InvalidQuote> {
    vec![
        InvalidQuote::TooLarge { length: 1 },
        InvalidQuote::Prefix,
        InvalidQuote::Parts,
        InvalidQuote::Base64 { part: QuotePart::Attest },
        InvalidQuote::PartTooLarge { part: QuotePart::Attest, length: 1 },
        InvalidQuote::Malformed { part: QuotePart::Attest },
        InvalidQuote::Malformed { part: QuotePart::Signature },
        InvalidQuote::Malformed { part: QuotePart::Pcrs },
    ]
}

fn refused_quotes() -> Vec<InvalidQuote> {
    vec![
        InvalidQuote::Magic,
        InvalidQuote::NotAQuote,
        InvalidQuote::Banks { came: 2 },
        InvalidQuote::WeakBank,
        InvalidQuote::UnsupportedBank,
        InvalidQuote::NoPcrs,
        InvalidQuote::WeakSignatureHash,
        InvalidQuote::UnsupportedSignature,
        InvalidQuote::Signature,
        InvalidQuote::Nonce,
        InvalidQuote::Bank { came: HashAlg::Sha256, expected: HashAlg::Sha384 },
        InvalidQuote::Selection,
        InvalidQuote::PcrDigest,
    ]
}

fn unreadable_keys() -> Vec<InvalidAttestationKey> {
    vec![InvalidAttestationKey::TooLarge { length: 1 }, InvalidAttestationKey::Malformed]
}

fn refused_keys() -> Vec<InvalidAttestationKey> {
    vec![
        InvalidAttestationKey::NotRestricted,
        InvalidAttestationKey::NotSigning,
        InvalidAttestationKey::Decrypts,
        InvalidAttestationKey::NotFixedTpm,
        InvalidAttestationKey::NotFixedParent,
        InvalidAttestationKey::NotMadeByTpm,
        InvalidAttestationKey::UnsupportedKey { came: "" },
        InvalidAttestationKey::Inconsistent { problem: "" },
        InvalidAttestationKey::UnsupportedScheme { came: "" },
        InvalidAttestationKey::WeakHash,
        InvalidAttestationKey::WeakName { came: "" },
        InvalidAttestationKey::UnsupportedHash,
        InvalidAttestationKey::EcdsaSha512,
    ]
}

#[test]
fn each_has_its_own_reason_and_text() {
    let (mut reasons, mut texts) = (BTreeSet::new(), BTreeSet::new());
    for (refusal, _) in refusals() {
        let (reason, text) = (refusal.reason(), refusal.to_string());
        assert!(
            reason.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_')
        );
        assert!(reasons.insert(reason), "{reason} is not unique");
        assert!(texts.insert(text.clone()), "{text} is not unique");
        assert!(!text.is_empty() && text.len() < 400 && !text.contains('\n'), "{text}");
    }
}

#[test]
fn each_has_the_code_of_its_kind() {
    for (refusal, code) in refusals() {
        assert_eq!(refusal.code(), code, "{refusal}");
    }
}

/// Keylime's tools for one mode are of no use, or do nothing, in the other.
#[test]
fn advice_fits_the_verifiers_mode() {
    let refusals = |mode| {
        [
            Refusal::NoHashAlg { mode },
            Refusal::NodeFails { mode },
            Refusal::NodePending { mode },
            Refusal::ChallengeTimedOut { timeout: SECOND, mode },
        ]
    };
    let advice = ["keylime_agent_socket", "-c update --push-model", "policy asks for something", "quoter"];
    for ((pull, push), advice) in refusals(Mode::Pull).iter().zip(refusals(Mode::Push)).zip(advice) {
        let (pull, push) = (pull.to_string(), push.to_string());
        assert!(!push.contains("reactivate") && push.contains(advice), "{push}");
        assert!(!pull.contains("push") && !pull.contains(advice), "{pull}");
    }
}

#[test]
fn a_changed_state_has_the_code_of_what_it_changed_to() {
    let refusal =
        Refusal::StateChanged(Box::new(Refusal::ChallengeTimedOut { timeout: SECOND, mode: Mode::Pull }));
    assert_eq!((refusal.reason(), refusal.code()), ("state_changed", Code::Unavailable));
}
