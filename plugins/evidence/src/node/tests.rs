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
    for (state, event, mode, expected) in [
        (Some(7), None, Mode::Pull, unreachable),
        (Some(7), Some("pcr_validation.invalid_pcr_15"), Mode::Pull, unreachable),
        (Some(9), Some(unreachable_event), Mode::Pull, fail),
        (Some(10), None, Mode::Pull, fail),
        (Some(3), None, Mode::Push, fail),
        (None, None, Mode::Push, fail),
        // The state tells no more than FAIL: the event decides, in doubt for the node.
        (Some(3), None, Mode::Pull, unreachable),
        (None, None, Mode::Pull, unreachable),
        (None, Some(unreachable_event), Mode::Pull, unreachable),
        (None, Some("pcr_validation.invalid_pcr_15"), Mode::Pull, fail),
    ] {
        assert_eq!(Some(Attestation::of_fail(state, event, mode)), expected, "{state:?} {event:?}");
    }
    assert_eq!(states, expected);
    assert_eq!(Attestation::from_operational_state(i64::MAX), None);
    for status in ["", "pass", "PASS ", "UNKNOWN"] {
        assert_eq!(Attestation::from_status(status), None);
    }
    assert_eq!(Attestation::from_status("TIMEOUT"), Some(Attestation::Timeout));
}
