use std::collections::BTreeMap;

use super::*;
use crate::model::agents::Keylime;
use crate::model::workload::Kind;

fn key() -> WorkloadKey {
    WorkloadKey { kind: Kind::DaemonSet, namespace: "spire".to_owned(), name: "agent".to_owned() }
}

/// Agents on nodes, those with a star with the plugin; the nodes that Keylime passes, and those
/// that it refuses.
fn agents(pods: &[&str], passed: &[&str], refused: &[&str]) -> Agents {
    let agent = |pod: &&str| Agent { node: pod.trim_end_matches('*').to_owned(), moved: pod.ends_with('*') };
    let passed = passed.iter().map(|node| ((*node).to_owned(), None));
    let refused = refused.iter().map(|node| ((*node).to_owned(), Some("NotEnrolled".to_owned())));
    Agents {
        keylime: Some(Keylime { silent: None, nodes: passed.chain(refused).collect() }),
        pods: BTreeMap::from([(key(), pods.iter().map(agent).collect())]),
    }
}

fn refused(agents: &Agents) -> Vec<String> {
    match agents.wait(&key(), Unattestable::Wait) {
        Some(Waits::Refused { nodes, .. }) => nodes.into_iter().map(|(node, _)| node).collect(),
        None => Vec::new(),
        Some(other) => panic!("{other:?}"),
    }
}

#[test]
fn every_node_that_would_move_has_to_pass() {
    assert_eq!(refused(&agents(&["a", "b"], &["a", "b"], &["elsewhere"])), [""; 0]);
    assert_eq!(refused(&agents(&["a", "b", "c"], &["a"], &["c"])), ["b", "c"]);
}

#[test]
fn a_node_that_has_moved_holds_up_nobody() {
    assert_eq!(refused(&agents(&["a*", "b"], &["b"], &["a"])), [""; 0]);
    assert_eq!(refused(&agents(&["a*", "b"], &[], &["a", "b"])), ["b"]);
}

#[test]
fn while_keylime_gives_no_answers_no_agent_is_restarted() {
    for pods in [&["a"][..], &["a*"]] {
        let mut silent = agents(pods, &["a"], &[]);
        silent.keylime.as_mut().unwrap().silent = Some("why".to_owned());
        let waits = silent.wait(&key(), Unattestable::Wait);
        assert_eq!(waits, Some(Waits::Silent("why".to_owned())));
        assert_eq!(silent.wait(&key(), Unattestable::Proceed), None);
    }
}

#[test]
fn what_is_not_known_waits() {
    let known = agents(&["a"], &["a"], &[]);
    let unseen = Agents { keylime: None, ..known.clone() };
    assert_eq!(unseen.wait(&key(), Unattestable::Wait), Some(Waits::NotKnown));
    let unlisted = Agents { pods: BTreeMap::new(), ..known };
    assert_eq!(unlisted.wait(&key(), Unattestable::Wait), Some(Waits::NotKnown));
}

#[test]
fn without_agents_there_is_nothing_to_lose() {
    let none = Agents { keylime: None, ..agents(&[], &[], &[]) };
    assert_eq!(none.wait(&key(), Unattestable::Wait), None);
}

#[test]
fn who_may_proceed_is_not_asked() {
    assert_eq!(agents(&["a"], &[], &["a"]).wait(&key(), Unattestable::Proceed), None);
}

#[test]
fn a_message_names_some_nodes_and_counts_the_others() {
    let nodes: Vec<String> = (0..12).map(|number| format!("n{number:02}")).collect();
    let nodes: Vec<&str> = nodes.iter().map(String::as_str).collect();
    let text = agents(&nodes, &[], &nodes).wait(&key(), Unattestable::Wait).unwrap().to_string();
    assert!(text.contains("12 of the 12 nodes") && text.contains("n09 (NotEnrolled) and 2 more"), "{text}");
    assert!(!text.contains("n10"), "{text}");
}
