use std::sync::Arc;
use std::time::Duration;

use keylime_attestor_api::conditions::{enforcing as e, nodes_attested as n};

use super::*;
use crate::keylime_client::reach::Reach;
use crate::model::target::Owner;
use crate::nodes::assess::tests::with_reason;
use crate::nodes::{LoopView, NodeView};

pub(in crate::nodes) fn view(nodes: &[(&str, NodeReason)]) -> View {
    let node = |(name, reason): &(&str, NodeReason)| {
        let status = Arc::new(with_reason(*reason));
        ((*name).to_owned(), NodeView { reason: *reason, last_success: None, status })
    };
    View {
        at: Timestamp::from_second(1_800_000_000).unwrap(),
        nodes: nodes.iter().map(node).collect(),
        unmatched: Vec::new(),
        elsewhere: None,
        reach: Reach::not_checked(),
        loops: Vec::new(),
        told: std::collections::BTreeMap::from([("spire-server-0".to_owned(), (10, 3))]),
        others: None,
        unreported: Vec::new(),
        interval_beyond: None,
        trouble: None,
    }
}

#[test]
fn the_worst_node_decides_and_is_named_first() {
    use NodeReason::{
        AgentMoved, AmbiguousAgent, Attested, IdentityNotIssued, IdentityUnknown, KeylimeUnreachable,
        NotEnrolled, Stale,
    };
    for (nodes, expected) in [
        (&[][..], n::NO_NODES),
        (&[("a", Attested), ("b", Attested)], n::ATTESTED),
        (&[("a", NotEnrolled), ("b", KeylimeUnreachable), ("c", Stale)], n::NODES_FAILING),
        (&[("a", NotEnrolled), ("b", KeylimeUnreachable)], n::NODES_NOT_ATTESTED),
        (&[("a", IdentityNotIssued)], n::NODES_NOT_ATTESTED),
        (&[("a", AmbiguousAgent)], n::NODES_NOT_ATTESTED),
        (&[("a", AgentMoved), ("b", KeylimeUnreachable)], n::NODES_NOT_ATTESTED),
        (&[("a", KeylimeUnreachable), ("b", Attested)], n::NODES_UNKNOWN),
        (&[("a", IdentityUnknown), ("b", KeylimeUnreachable)], n::NODES_UNKNOWN),
    ] {
        assert_eq!(attested(Some(&view(nodes))).0, expected, "{nodes:?}");
    }
    let (_, message) = attested(Some(&view(&[("a", NotEnrolled), ("b", Attested), ("z", Stale)])));
    assert_eq!(message, "2 of 3 nodes are not attested: z (Stale), a (NotEnrolled).");
    assert_eq!(attested(None).0, n::NOT_CHECKED);
}

#[test]
fn an_interval_beyond_the_greatest_age_is_told_while_all_nodes_pass() {
    let attested_all = view(&[("a", NodeReason::Attested)]);
    let view = View { interval_beyond: Some(Duration::from_secs(600)), ..attested_all };
    let (reason, message) = attested(Some(&view));
    assert_eq!(reason, n::ATTESTED);
    assert!(message.contains("every 600 s (quote_interval)"), "{message}");
}

#[test]
fn agents_that_fit_no_node_are_counted_and_named_beside_nodes_that_have_none() {
    let unmatched: Vec<AgentId> =
        (0..12).map(|number| format!("agent-{number:02}").parse().unwrap()).collect();
    let with = |nodes: &[(&str, NodeReason)]| View { unmatched: unmatched.clone(), ..view(nodes) };
    let lacking = with(&[("a", NodeReason::NotEnrolled)]);
    let message = attested(Some(&lacking)).1;
    assert!(
        message.contains("fit no node: agent-00, agent-01") && message.contains("agent-09 and 2 more;"),
        "{message}"
    );
    let status = nodes(&lacking, None);
    assert_eq!((status.agents_without_node, status.first_agents_without_node.len()), (12, 10));
    // Agents at Keylime may be of other machines than this cluster's nodes: no problem.
    assert!(!attested(Some(&with(&[("a", NodeReason::Attested)]))).1.contains("agent-00"));
}

#[test]
fn what_stands_in_the_way_of_a_poll_is_said() {
    let mut failed_view = view(&[]);
    failed_view.trouble = Some("The nodes are not known.".to_owned());
    let (reason, message) = attested(Some(&failed_view));
    assert_eq!(reason, n::NOT_CHECKED);
    assert!(message.ends_with("The nodes are not known."), "{message}");
    let mut shared = view(&[("a", NodeReason::Attested)]);
    shared.elsewhere = Some((Owner { namespace: "n".to_owned(), name: "first".to_owned() }, 3));
    assert!(attested(Some(&shared)).1.contains("3 further nodes belong to KeylimeAttestor n/first"));
}

#[test]
fn at_most_fifty_nodes_are_listed_and_the_rest_is_counted() {
    let names: Vec<String> = (0..60).map(|number| format!("n{number:02}")).collect();
    let all: Vec<_> = names.iter().map(|name| (name.as_str(), NodeReason::NotEnrolled)).collect();
    let nodes = nodes(&view(&all), None);
    assert_eq!((nodes.total, nodes.not_enrolled, nodes.not_attested.len(), nodes.more), (60, 60, 50, 10));
    let (_, message) = attested(Some(&view(&all)));
    assert!(message.contains("n09 (NotEnrolled) and 50 more.") && !message.contains("n10"), "{message}");
}

#[test]
fn the_time_of_a_poll_is_written_with_something_else_only() {
    let first = nodes(&view(&[("a", NodeReason::Attested)]), None);
    let mut later = view(&[("a", NodeReason::Attested)]);
    later.at = Timestamp::from_second(1_800_000_030).unwrap();
    assert_eq!(nodes(&later, Some(&first)), first);
    let failed = View { at: later.at, ..view(&[("a", NodeReason::Stale)]) };
    assert_eq!(nodes(&failed, Some(&first)).last_poll_time, Some(Time(later.at)));
}

#[test]
fn what_the_loops_say_decides() {
    let of = |action| Enforcement { action, ..Enforcement::default() };
    let one = |action, held: Option<&str>, error: Option<&str>| {
        let mut view = view(&[]);
        view.loops = vec![LoopView {
            pod: "spire-server-0".to_owned(),
            action,
            held: held.map(str::to_owned),
            error: error.map(str::to_owned),
        }];
        view
    };
    use report::Mode::{Ban, Evict, Observe};
    for (enforcement, view, expected) in [
        (None, None, e::NOT_CONFIGURED),
        (Some(of(Action::Observe)), Some(one(Observe, None, None)), e::OBSERVING),
        (Some(of(Action::Evict)), None, e::NOT_OBSERVED),
        (Some(of(Action::Evict)), Some(view(&[])), e::NOT_OBSERVED),
        (Some(of(Action::Evict)), Some(one(Observe, None, None)), e::NOT_OBSERVED),
        (Some(of(Action::Ban)), Some(one(Evict, None, None)), e::NOT_OBSERVED),
        (Some(of(Action::Evict)), Some(one(Evict, None, None)), e::ENFORCING),
        (Some(of(Action::Ban)), Some(one(Ban, None, None)), e::ENFORCING),
        (Some(of(Action::Evict)), Some(one(Evict, Some("too many"), None)), e::HELD),
        (Some(of(Action::Evict)), Some(one(Evict, None, Some("no answer"))), e::FAILED),
    ] {
        assert_eq!(enforcing(enforcement.as_ref(), view.as_ref()).0, expected);
    }
    let (_, message) = enforcing(Some(&of(Action::Evict)), Some(&one(Evict, Some("too many"), None)));
    assert!(message.starts_with("pod spire-server-0: too many."), "{message}");
    let mut one_of_two = one(Evict, None, None);
    one_of_two.unreported = vec!["pod spire-server-1: no answer".to_owned()];
    let (reason, message) = enforcing(Some(&of(Action::Evict)), Some(&one_of_two));
    assert!(reason == e::ENFORCING && message.ends_with("spire-server-1: no answer."), "{message}");
    // Also of a pod without a report now.
    assert_eq!(loops(&view(&[])).len(), 1);
    let [status] = &loops(&one(Evict, None, None))[..] else { panic!("one loop") };
    assert_eq!(
        (status.name.as_str(), status.started.0.as_second(), status.last_action),
        ("spire-server-0", 10, 3)
    );
}
