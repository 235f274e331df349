use RolloutState::{Complete, Progressing};
use keylime_attestor_api::conditions::{REASONS, configuration_applied};
use keylime_attestor_api::{Binding, KeylimeAttestorStatus, RolloutState};
use serde_json::{Value, json};

use super::BINDING;
use super::case::Case;
use crate::fixture::resource;
use crate::model::binding::Review;
use crate::status::conditions;

/// Each case with its reason of BindingRequired, a part of the message, and the binding in the
/// status.
fn cases() -> Vec<(Case, &'static str, &'static str, Option<Binding>)> {
    let asked = |binding: &str| Case {
        resource: resource(json!({"attestation": {"binding": binding}})),
        review: Review::Possible,
        ..Case::new()
    };
    let lacking = || Case { review: Review::Impossible("x lacks a right".to_owned()), ..Case::new() };
    let config_only = |binding: Value| Case {
        resource: resource(json!({"spire": {"mode": "ConfigOnly"}, "attestation": {"binding": binding}})),
        ..Case::new()
    };
    let off = || Some(Binding::Off);
    vec![
        (asked("Require"), "Required", "beside the quote", Some(Binding::Require)),
        (config_only(json!("Require")), "Required", "beside the quote", Some(Binding::Require)),
        (
            Case { server: Progressing, ..asked("Require") },
            "RollingOut",
            "without one is let in",
            Some(Binding::Require),
        ),
        (
            Case { review: Review::Possible, ..Case::new() },
            "RollingOut",
            "without one is let in",
            Some(Binding::Prefer),
        ),
        (asked("Prefer"), "Preferred", "is Prefer", Some(Binding::Prefer)),
        (asked("Off"), "TurnedOff", "is Off", off()),
        (lacking(), "NoReviewPossible", "because x lacks a right. Give the account", off()),
        (config_only(Value::Null), "NotManaged", "ConfigOnly", off()),
        (Case::problem(configuration_applied::SECRET_NOT_FOUND), "NotApplied", "not been applied", None),
        (Case::new().deleted(), "Withdrawing", "being deleted", None),
    ]
}

#[test]
fn the_condition_tells_whether_attestations_prove_their_node() {
    let mut produced = Vec::new();
    for (case, expected, part, binding) in cases() {
        let status = case.status();
        let condition = conditions::previous(&status, BINDING).unwrap();
        assert_eq!(condition.reason, expected);
        assert!(condition.message.contains(part), "{part:?} is not in {:?}", condition.message);
        assert_eq!(status.binding, binding, "{expected}");
        if produced.last() != Some(&expected) {
            produced.push(expected);
        }
    }
    let all = REASONS.iter().filter(|reason| reason.condition == BINDING);
    assert_eq!(produced, all.map(|reason| reason.name).collect::<Vec<_>>());
}

#[test]
fn what_was_asked_for_is_remembered_while_nothing_is_applied() {
    for case in [Case::problem(configuration_applied::SECRET_NOT_FOUND), Case::new().deleted()] {
        let previous =
            KeylimeAttestorStatus { binding: Some(Binding::Require), ..KeylimeAttestorStatus::default() };
        assert_eq!(Case { previous, server: Complete, ..case }.status().binding, Some(Binding::Require));
    }
}
