use keylime_attestor_api::NodeReason;
use keylime_attestor_api::conditions::keylime_reachable as reach;

use super::*;
use crate::nodes::summary::tests::view;

#[test]
fn keylime_answers_only_when_all_of_it_does() {
    for (reason, answers) in [
        (reach::REACHABLE, true),
        (reach::UNREACHABLE, false),
        (reach::TLS_FAILED, false),
        (reach::UNEXPECTED_ANSWER, false),
        (reach::NOT_CHECKED, false),
    ] {
        let mut view = view(&[]);
        view.reach.reason = reason;
        assert_eq!(keylime(&view).unwrap().silent.is_none(), answers, "{}", reason.name);
    }
}

#[test]
fn nodes_that_could_not_be_seen_say_nothing() {
    let mut view = view(&[]);
    assert!(keylime(&view).is_some());
    view.trouble = Some("why".to_owned());
    assert!(keylime(&view).is_none());
}

#[test]
fn keylimes_word_counts_and_not_what_else_stands_against_a_node() {
    let healthy = |status: &str, reason: &str| {
        let mut view = view(&[("n", NodeReason::IdentityNotIssued)]);
        let node = std::sync::Arc::make_mut(&mut view.nodes.get_mut("n").unwrap().status);
        node.conditions =
            serde_json::from_value(serde_json::json!([{"type": KEYLIME_HEALTHY, "status": status,
            "reason": reason, "message": "", "lastTransitionTime": "2026-01-01T00:00:00Z"}]))
            .unwrap();
        keylime(&view).unwrap().nodes["n"].clone()
    };
    assert_eq!(healthy("True", "Passed"), None);
    assert_eq!(healthy("False", "Stale").as_deref(), Some("Stale"));
    assert_eq!(healthy("Unknown", "AmbiguousAgent").as_deref(), Some("AmbiguousAgent"));
}
