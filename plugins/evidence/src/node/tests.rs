use super::*;

#[test]
fn states_map_as_in_keylime_and_unknown_ones_are_no_judgement() {
    let states: Vec<_> = (-1..=11).map(Attestation::from_operational_state).collect();
    let (pass, fail, pending) =
        (Some(Attestation::Pass), Some(Attestation::Fail), Some(Attestation::Pending));
    let unreachable = Some(Attestation::Unreachable);
    let expected =
        [None, pending, pending, pending, pass, pass, pass, pass, unreachable, pending, fail, fail, None];
    let unreachable_event = "internal.verifier.not_reachable";
    for (state, event, is_push, expected) in [
        (Some(7), None, false, unreachable),
        (Some(7), Some("pcr_validation.invalid_pcr_15"), false, unreachable),
        (Some(9), Some(unreachable_event), false, fail),
        (Some(10), None, false, fail),
        (Some(3), None, true, fail),
        (None, None, true, fail),
        // The state tells no more than FAIL: the event decides, in doubt for the node.
        (Some(3), None, false, unreachable),
        (None, None, false, unreachable),
        (None, Some(unreachable_event), false, unreachable),
        (None, Some("pcr_validation.invalid_pcr_15"), false, fail),
    ] {
        assert_eq!(Some(Attestation::of_fail(state, event, is_push)), expected, "{state:?} {event:?}");
    }
    assert_eq!(states, expected);
    assert_eq!(Attestation::from_operational_state(i64::MAX), None);
    for status in ["", "pass", "PASS ", "UNKNOWN"] {
        assert_eq!(Attestation::from_status(status), None);
    }
    assert_eq!(Attestation::from_status("TIMEOUT"), Some(Attestation::Timeout));
}
