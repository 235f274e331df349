use super::*;
use crate::nodes::assess::tests::{passing, with_reason};

fn reasons(from: Option<NodeReason>, to: NodeReason, healthy: bool) -> Vec<(&'static str, bool)> {
    let previous = from.map(with_reason);
    let events = of(previous.as_ref(), to, healthy, &with_reason(to));
    events.into_iter().map(|events| (events.reason, events.bad)).collect()
}

#[test]
fn each_transition_is_told_once() {
    use NodeReason::{
        AgentMoved, Attested, Banned, IdentityNotIssued, KeylimeAttestationFailed, KeylimeUnreachable,
        NotEnrolled, SpireAgentNotReady, Stale,
    };
    for (from, to, healthy, expected) in [
        (None, Attested, true, vec![]),
        (None, IdentityNotIssued, true, vec![]),
        (None, NotEnrolled, false, vec![("NotEnrolled", true)]),
        (Some(Attested), Attested, true, vec![]),
        (Some(Attested), KeylimeAttestationFailed, false, vec![("KeylimeAttestationFailed", true)]),
        (Some(KeylimeAttestationFailed), KeylimeAttestationFailed, false, vec![]),
        (Some(KeylimeAttestationFailed), Attested, true, vec![("KeylimeAttestationRecovered", false)]),
        (
            Some(Stale),
            IdentityNotIssued,
            true,
            vec![("KeylimeAttestationRecovered", false), ("IdentityNotIssued", false)],
        ),
        (Some(Attested), Stale, false, vec![("Stale", true)]),
        (Some(IdentityNotIssued), Attested, true, vec![("Attested", false)]),
        (Some(Attested), Banned, true, vec![("Banned", true)]),
        (Some(Attested), SpireAgentNotReady, true, vec![("SpireAgentNotReady", false)]),
        (Some(Attested), AgentMoved, false, vec![("AgentMoved", true)]),
        (Some(Attested), KeylimeUnreachable, false, vec![("KeylimeUnreachable", true)]),
        (Some(KeylimeUnreachable), Attested, true, vec![("Attested", false)]),
    ] {
        assert_eq!(reasons(from, to, healthy), expected, "{from:?} to {to:?}");
    }
    assert_eq!(of(None, Attested, true, &passing()), []);
}
