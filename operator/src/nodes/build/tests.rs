use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use k8s_openapi::jiff::Timestamp;

use super::*;
use crate::nodes::assess::tests::passing;

fn node(taints: &[&str]) -> NodeFacts {
    let taint =
        |key: &&str| Taint { key: (*key).to_owned(), effect: "NoSchedule".to_owned(), ..Taint::default() };
    NodeFacts {
        name: "n".to_owned(),
        uid: "u".to_owned(),
        resource_version: "7".to_owned(),
        taints: taints.iter().map(taint).collect(),
        ..NodeFacts::default()
    }
}

#[test]
fn what_is_kept_on_a_node() {
    let long = "x".repeat(64);
    for (agent, label) in [("a-1", Some("a-1")), (&long, None), ("-a", None), ("a_", None)] {
        let mut status = passing();
        (status.agent_id, status.spiffe_id) = (Some(agent.to_owned()), Some("spiffe://x".to_owned()));
        let spire = SpireAgent { observed: true, ..SpireAgent::default() };
        let marks = marks(&NodeMarks::default(), spire, NodeReason::Attested, &status, false);
        assert_eq!(marks.label.as_deref(), label);
        assert_eq!(marks.spiffe_id.as_deref(), Some("spiffe://x"));
    }
}

#[test]
fn what_is_in_doubt_is_not_written_there() {
    let mut status = passing();
    (status.agent_id, status.spiffe_id) = (Some("a".to_owned()), Some("s".to_owned()));
    let spire = SpireAgent { observed: true, ..SpireAgent::default() };
    for reason in [NodeReason::AgentMoved, NodeReason::AmbiguousAgent] {
        assert!(marks(&NodeMarks::default(), spire, reason, &status, false).is_none());
    }
}

/// The cases of a parent: its pod's overlay and readiness, the agent that SPIRE has, and the marks
/// before.
fn parent(pod: Option<(bool, bool)>, observed: bool, held: bool, was: bool, managed: bool) -> Option<String> {
    let pod = pod.map(|(overlaid, ready)| PodFacts {
        ready,
        hash: overlaid.then(|| "h".to_owned()),
        ..PodFacts::default()
    });
    let before = NodeMarks { label: was.then(|| "a".to_owned()), ..NodeMarks::default() };
    let mut status = passing();
    status.agent_id = Some("a".to_owned());
    status.spiffe_id = held.then(|| "spiffe://x".to_owned());
    let spire = SpireAgent { pod: pod.as_ref(), observed, managed };
    marks(&before, spire, NodeReason::Attested, &status, false).label
}

#[test]
fn workloads_hang_on_their_old_agent_until_the_node_has_attested() {
    for (pod, observed, held, is_parent) in [
        (Some((false, true)), true, false, false),
        // SPIRE still has the agent of Keylime, while the former one runs again.
        (Some((false, true)), true, true, false),
        (Some((true, true)), true, false, false),
        (Some((true, true)), true, true, true),
        (Some((true, false)), false, false, false),
        (Some((true, true)), false, false, true),
        (None, false, false, false),
    ] {
        let came = parent(pod, observed, held, false, true);
        assert_eq!(came.is_some(), is_parent, "{pod:?} {observed} {held}");
    }
}

#[test]
fn a_node_that_fails_does_not_get_its_workloads_back_by_its_old_attestor() {
    for pod in [Some((true, false)), Some((true, true)), None] {
        for observed in [true, false] {
            assert!(parent(pod, observed, false, true, true).is_some(), "{pod:?} {observed}");
        }
    }
    // The former agent was put back.
    assert_eq!(parent(Some((false, true)), true, false, true, true), None);
    // The agent on the node is not known.
    assert_eq!(parent(Some((false, true)), true, false, true, false), None);
    assert_eq!(parent(Some((false, true)), false, false, true, false), None);
}

#[test]
fn a_pod_that_ends_says_nothing_about_the_one_that_follows() {
    let ending = PodFacts { leaving: true, ..PodFacts::default() };
    let spire = SpireAgent { pod: Some(&ending), observed: true, managed: true };
    let mut status = passing();
    (status.agent_id, status.spiffe_id) = (Some("a".to_owned()), Some("s".to_owned()));
    let marks = marks(&NodeMarks::default(), spire, NodeReason::Attested, &status, false);
    assert_eq!(marks.label.as_deref(), Some("a"));
}

#[test]
fn what_keylime_no_longer_knows_keeps_its_parent() {
    let before = NodeMarks { label: Some("a".to_owned()), spiffe_id: Some("s".to_owned()), tainted: false };
    let mut status = passing();
    (status.agent_id, status.spiffe_id) = (None, None);
    let spire = SpireAgent { managed: true, ..SpireAgent::default() };
    let marks = marks(&before, spire, NodeReason::NotEnrolled, &status, false);
    assert_eq!((marks.label.as_deref(), marks.spiffe_id.as_deref()), (Some("a"), Some("s")));
}

#[test]
fn taints_of_others_stay() {
    let after = |taints: &[&str], wanted: bool| {
        let patch = taint_patch(&node(taints), wanted)?;
        assert_eq!(patch.pointer("/metadata/resourceVersion"), Some(&json!("7")));
        let keys = patch.pointer("/spec/taints").and_then(Value::as_array).unwrap().iter();
        Some(keys.map(|taint| taint["key"].as_str().unwrap().to_owned()).collect::<Vec<_>>())
    };
    assert_eq!(after(&["other"], true), Some(vec!["other".to_owned(), names::TAINT.to_owned()]));
    assert_eq!(after(&["other", names::TAINT], false), Some(vec!["other".to_owned()]));
    assert_eq!((after(&["other"], false), after(&[names::TAINT], true)), (None, None));
}

#[test]
fn only_who_was_attested_and_lost_it_is_tainted() {
    use NodeState::{Attested, Failing, NotEnrolled, Pending, Unknown};
    let wanted = |asked, state, attested: Option<Time>, before| {
        wants_taint(asked, &AttestedNodeStatus { state, first_attested: attested, ..passing() }, before)
    };
    let once = || Some(Time(Timestamp::UNIX_EPOCH));
    for before in [true, false] {
        for state in [Attested, Failing, NotEnrolled, Pending, Unknown] {
            assert!(!wanted(false, state, once(), before));
            assert!(!wanted(true, state, None, before), "it was never attested");
        }
        assert!(!wanted(true, Attested, once(), before));
        for state in [Pending, Unknown] {
            assert_eq!(wanted(true, state, once(), before), before, "it keeps what it has");
        }
        for state in [Failing, NotEnrolled] {
            assert!(wanted(true, state, once(), before));
        }
    }
}
