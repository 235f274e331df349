use std::collections::BTreeMap;

use super::*;
use crate::model::agents::Keylime;
use crate::model::workload::Kind;

fn key() -> WorkloadKey {
    WorkloadKey { kind: Kind::DaemonSet, namespace: "spire".to_owned(), name: "agent".to_owned() }
}

/// Agents on nodes, those with a star with the plugin, some with an architecture behind a slash; the
/// nodes that Keylime passes, and those that it refuses.
fn agents(pods: &[&str], passed: &[&str], refused: &[&str]) -> Agents {
    let agent = |pod: &&str| {
        let (node, architecture) = pod.split_once('/').map_or((*pod, None), |(node, of)| (node, Some(of)));
        Agent {
            node: node.trim_end_matches('*').to_owned(),
            moved: node.ends_with('*'),
            architecture: architecture.map(str::to_owned),
        }
    };
    let passed = passed.iter().map(|node| ((*node).to_owned(), None));
    let refused = refused.iter().map(|node| ((*node).to_owned(), Some("NotEnrolled".to_owned())));
    Agents {
        keylime: Some(Keylime { silent: None, nodes: passed.chain(refused).collect() }),
        pods: BTreeMap::from([(key(), pods.iter().map(agent).collect())]),
    }
}

/// A build of which the architecture is not known.
fn anything() -> Builds<String> {
    Builds::One { architecture: None, of: String::new() }
}

fn refused(agents: &Agents) -> Vec<String> {
    match agents.wait(&key(), &anything(), Unattestable::Wait) {
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
        let waits = silent.wait(&key(), &anything(), Unattestable::Wait);
        assert_eq!(waits, Some(Waits::Silent("why".to_owned())));
        assert_eq!(silent.wait(&key(), &anything(), Unattestable::Proceed), None);
    }
}

#[test]
fn what_is_not_known_waits() {
    let known = agents(&["a"], &["a"], &[]);
    let unseen = Agents { keylime: None, ..known.clone() };
    assert_eq!(unseen.wait(&key(), &anything(), Unattestable::Wait), Some(Waits::NotKnown));
    let unlisted = Agents { pods: BTreeMap::new(), ..known };
    assert_eq!(unlisted.wait(&key(), &anything(), Unattestable::Wait), Some(Waits::NotKnown));
}

#[test]
fn without_agents_there_is_nothing_to_lose() {
    let none = Agents { keylime: None, ..agents(&[], &[], &[]) };
    assert_eq!(none.wait(&key(), &anything(), Unattestable::Wait), None);
}

#[test]
fn who_may_proceed_is_not_asked() {
    assert_eq!(agents(&["a"], &[], &["a"]).wait(&key(), &anything(), Unattestable::Proceed), None);
}

#[test]
fn a_message_names_some_nodes_and_counts_the_others() {
    let nodes: Vec<String> = (0..12).map(|number| format!("n{number:02}")).collect();
    let nodes: Vec<&str> = nodes.iter().map(String::as_str).collect();
    let text = agents(&nodes, &[], &nodes).wait(&key(), &anything(), Unattestable::Wait).unwrap().to_string();
    assert!(text.contains("12 of the 12 nodes") && text.contains("n09 (NotEnrolled) and 2 more"), "{text}");
    assert!(!text.contains("n10"), "{text}");
}

#[test]
fn no_agent_moves_while_a_node_has_no_plugin() {
    let each =
        |names: &[&str]| Builds::Each(names.iter().map(|name| ((*name).to_owned(), String::new())).collect());
    let only = |name: &str| Builds::One { architecture: Some(name.to_owned()), of: String::new() };
    let mixed = agents(&["a/amd64", "b/arm64", "c/s390x", "d*/s390x", "e"], &["a", "b", "c", "d", "e"], &[]);
    for (builds, unsupported) in [
        (anything(), &[][..]),
        (each(&["amd64", "arm64", "s390x"]), &[]),
        (each(&["amd64", "arm64"]), &["c"]),
        (only("arm64"), &["a", "c"]),
    ] {
        // Whoever accepts that Keylime refuses a node has not accepted that its agent cannot start.
        for unattestable in [Unattestable::Wait, Unattestable::Proceed] {
            let waits = mixed.wait(&key(), &builds, unattestable);
            let nodes: Vec<&str> = match &waits {
                None => Vec::new(),
                Some(Waits::Unsupported(found)) => {
                    found.nodes.iter().map(|(node, _)| node.as_str()).collect()
                }
                Some(other) => panic!("{other:?}"),
            };
            assert_eq!(nodes, unsupported, "{builds:?}");
            let reason = waits.as_ref().map(|waits| waits.reason().name);
            assert_eq!(reason, (!unsupported.is_empty()).then_some("ArchitectureUnknown"));
        }
    }
    let text = mixed.wait(&key(), &only("arm64"), Unattestable::Wait).unwrap().to_string();
    assert_eq!(
        text,
        "there are plugins for arm64, and 2 nodes are of another architecture: a (amd64), c (s390x)"
    );
}
