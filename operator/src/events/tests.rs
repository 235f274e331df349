use serde_json::json;

use super::*;

fn status(reason: &str, value: &str) -> KeylimeAttestorStatus {
    status_of("Ready", reason, value)
}

fn status_of(type_: &str, reason: &str, value: &str) -> KeylimeAttestorStatus {
    let condition = json!({"type": type_, "status": value, "reason": reason, "message": "m".repeat(5000),
        "lastTransitionTime": "2026-01-01T00:00:00Z"});
    serde_json::from_value(json!({"conditions": [condition]})).unwrap()
}

#[test]
fn a_new_reason_is_an_event_and_the_same_one_is_none() {
    let (ready, rolling) = (status("Ready", "True"), status("RollingOut", "False"));
    assert!(of_transitions(&ready, &ready).is_empty());
    let events = of_transitions(&rolling, &ready);
    assert_eq!(events.len(), 1);
    assert!(events.iter().all(|event| event.reason == "Ready" && event.type_ == EventType::Normal));
    assert!(events.iter().all(|event| event.note.as_ref().unwrap().len() <= MAX_NOTE));
    let failed = of_transitions(&ready, &status("KeylimeUnreachable", "False"));
    assert!(failed.iter().all(|event| event.type_ == EventType::Warning));
}

/// Attestors of before are there in every migration, and none of them is what is wanted.
#[test]
fn a_way_round_keylime_is_no_warning_and_neither_is_its_end() {
    let of = |reason, value| status_of("BypassPossible", reason, value);
    let (open, closed) = (of("OtherAttestors", "True"), of("KeylimeAlone", "False"));
    for (before, after) in [(&closed, &open), (&open, &closed)] {
        let events = of_transitions(before, after);
        assert!(matches!(events.as_slice(), [event] if event.type_ == EventType::Normal));
    }
}

#[test]
fn a_correction_says_so() {
    let object = json!({"metadata": {"namespace": "n", "name": "spire-agent-keylime"}});
    let [corrected] = &of_steps(&[Step::Configure { object, correction: true }])[..] else { panic!() };
    assert_eq!(corrected.reason, event::DRIFT_CORRECTED);
    assert!(corrected.note.as_ref().unwrap().contains("n/spire-agent-keylime"));
    let related = corrected.secondary.as_ref().unwrap();
    assert_eq!(related.name.as_deref(), Some("spire-agent-keylime"));
}

#[test]
fn pods_that_are_replaced_are_told_one_by_one() {
    let pod = |name: &str| Step::DeletePod {
        namespace: "n".to_owned(),
        name: name.to_owned(),
        uid: "u".to_owned(),
    };
    let events = of_steps(&[pod("a"), pod("b")]);
    let related = events.iter().filter_map(|event| event.secondary.as_ref()?.name.as_deref());
    assert_eq!(related.collect::<Vec<_>>(), ["a", "b"]);
    assert!(events.iter().all(|event| event.reason == event::POD_REPLACED));
}
