use keylime_attestor_api::NodeReason::{Attested, KeylimeAttestationFailed as Failed, NotEnrolled};
use serde_json::json;

use super::*;
use crate::nodes::LoopView;
use crate::nodes::summary::tests::view;

fn safe() -> View {
    View { others: Some(Vec::new()), ..view(&[("a", Attested), ("b", Attested)]) }
}

#[test]
fn nothing_is_waited_for_when_every_node_is_attested_and_nobody_else_is_there() {
    assert_eq!(needs(Some(&safe())), Vec::<String>::new());
}

#[test]
fn what_is_waited_for_is_named() {
    let others = |others: &[&str]| Some(others.iter().map(|id| (*id).to_owned()).collect());
    let failed = LoopView {
        pod: "spire-server-0".to_owned(),
        action: report::Mode::Observe,
        held: None,
        error: Some("failed to list agents".to_owned()),
    };
    let nodes = view(&[("a", Attested), ("b", Failed), ("c", NotEnrolled)]).nodes;
    for (view, expected) in [
        (None, "the nodes have not been polled yet"),
        (
            Some(View { nodes, ..safe() }),
            "2 nodes are not attested: b (KeylimeAttestationFailed), c (NotEnrolled)",
        ),
        (Some(View { nodes: view(&[]).nodes, ..safe() }), "selects no node"),
        (
            Some(View { others: others(&["spiffe://x/spire/agent/join_token/1"]), ..safe() }),
            "SPIRE holds 1 agents of other attestors",
        ),
        (
            Some(View { others: others(&["spiffe://x/spire/agent/join_token/1"]), ..safe() }),
            "spiffe://x/spire/agent/join_token/1 (",
        ),
        (
            Some(View { others: None, unreported: vec!["pod x: away".to_owned()], ..safe() }),
            "tells which agents it holds: pod x: away",
        ),
        (Some(View { loops: vec![failed], ..safe() }), "pod spire-server-0: failed to list agents"),
        (
            Some(View { trouble: Some("The nodes are not known.".to_owned()), ..safe() }),
            "The nodes are not known.",
        ),
    ] {
        let needs = needs(view.as_ref());
        assert!(matches!(needs.as_slice(), [only] if only.contains(expected)), "{expected}: {needs:?}");
    }
    let many: Vec<String> = (0..12).map(|number| number.to_string()).collect();
    assert_eq!(named(&many), "0, 1, 2, 3, 4, 5, 6, 7, 8, 9 and 2 more");
}

#[test]
fn agents_of_others_are_evicted_only_when_the_server_runs_without_these() {
    let resource = |attestors, reason| {
        let mut resource =
            crate::fixture::resource(json!({"spire": {"attestors": attestors}, "enforcement": {}}));
        let condition = json!({"type": "BypassPossible", "status": "Unknown", "reason": reason, "message": "",
            "lastTransitionTime": "2026-01-01T00:00:00Z"});
        resource.status = Some(serde_json::from_value(json!({"conditions": [condition]})).unwrap());
        resource
    };
    assert!(is_exclusive(&resource("Exclusive", "KeylimeAlone")));
    for (attestors, reason) in
        [("Coexist", "KeylimeAlone"), ("Exclusive", "RollingOut"), ("Exclusive", "Waiting")]
    {
        assert!(!is_exclusive(&resource(attestors, reason)), "{attestors} {reason}");
    }
}
