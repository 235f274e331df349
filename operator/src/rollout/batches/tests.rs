use serde_json::json;

use super::*;
use crate::model::pod::slim;

/// A pod of a node: with the new overlay, ready, ending.
fn pod(node: &str, new: bool, ready: bool, ending: bool) -> Pod {
    serde_json::from_value(json!({
        "metadata": {"name": format!("agent-on-{node}"), "uid": node,
            "annotations": if new { json!({annotation::CONTENT_HASH: "new"}) } else { json!({}) },
            "deletionTimestamp": ending.then_some("2026-01-01T00:00:00Z")},
        "spec": {"nodeName": node, "containers": []},
        "status": {"conditions": [{"type": "Ready", "status": if ready { "True" } else { "False" }}]},
    }))
    .unwrap()
}

fn old(node: &str) -> Pod {
    pod(node, false, true, false)
}

fn new(node: &str) -> Pod {
    pod(node, true, true, false)
}

const PASSED: Node = Node { standing: Standing::Passed, issued: false };
const ISSUED: Node = Node { standing: Standing::Passed, issued: true };
const FAILING: Node = Node { standing: Standing::NotPassed, issued: false };
const UNKNOWN_TO_KEYLIME: Node = Node { standing: Standing::NotEnrolled, issued: false };

fn assess(
    nodes: &[(&str, Node)],
    pods: &[Pod],
    batch: &[&str],
    share: Share,
    needs_identity: bool,
) -> Assessment {
    let nodes = nodes.iter().map(|(name, node)| ((*name).to_owned(), *node)).collect();
    let batch: Vec<String> = batch.iter().map(ToString::to_string).collect();
    decide(&Facts {
        keylime_answers: true,
        nodes: &nodes,
        unsupported: &BTreeSet::from(["unsupported".to_owned()]),
        pods,
        hash: "new",
        share,
        needs_identity,
        batch: &batch,
    })
}

fn replaced(assessment: &Assessment) -> Vec<&str> {
    assessment.replace.iter().map(|pod| pod.metadata.uid.as_deref().unwrap()).collect()
}

const THREE: [(&str, Node); 3] = [("a", PASSED), ("b", PASSED), ("c", PASSED)];
const ONE: Share = Share::Nodes(1);

#[test]
fn a_batch_is_announced_before_a_pod_is_touched() {
    let assessment = assess(&THREE, &[old("c"), old("b"), old("a")], &[], Share::Nodes(2), false);
    assert_eq!(
        (assessment.batch.as_slice(), assessment.begins),
        (&["a".to_owned(), "b".to_owned()][..], true)
    );
    assert_eq!(replaced(&assessment), Vec::<&str>::new());
    let assessment = assess(&THREE, &[old("c"), old("b"), old("a")], &["a", "b"], Share::Nodes(2), false);
    assert_eq!((replaced(&assessment), assessment.begins), (vec!["a", "b"], false));
}

#[test]
fn the_next_batch_waits_for_all_of_this_one() {
    for (pods, waiting) in [
        (vec![pod("a", false, true, true), new("b"), old("c")], vec!["a"]),
        (vec![new("b"), old("c")], vec!["a"]),
        (vec![pod("a", true, false, false), new("b"), old("c")], vec!["a"]),
        (vec![pod("a", true, false, false), pod("b", true, false, false), old("c")], vec!["a", "b"]),
        (
            vec![
                pod("a", false, true, true),
                pod("a", true, true, false),
                pod("b", true, false, false),
                old("c"),
            ],
            vec!["b"],
        ),
    ] {
        let assessment = assess(&THREE, &pods, &["a", "b"], ONE, false);
        assert_eq!(
            (assessment.waiting, assessment.begins),
            (waiting.iter().map(ToString::to_string).collect(), false)
        );
        assert_eq!(assessment.replace, []);
    }
    let assessment = assess(&THREE, &[new("a"), new("b"), old("c")], &["a", "b"], ONE, false);
    assert_eq!((assessment.batch, assessment.begins, assessment.moved), (vec!["c".to_owned()], true, 2));
}

#[test]
fn where_it_is_known_the_identity_is_waited_for() {
    let pods = [new("a"), old("b")];
    let nodes = |a| [("a", a), ("b", PASSED)];
    assert_eq!(assess(&nodes(PASSED), &pods, &["a"], ONE, true).waiting, ["a"]);
    assert_eq!(assess(&nodes(PASSED), &pods, &["a"], ONE, false).batch, ["b"]);
    assert_eq!(assess(&nodes(ISSUED), &pods, &["a"], ONE, true).batch, ["b"]);
}

#[test]
fn only_nodes_that_keylime_passes_are_moved() {
    let nodes = [("a", UNKNOWN_TO_KEYLIME), ("b", FAILING), ("c", PASSED)];
    // d was not polled yet.
    let pods = [old("a"), old("b"), old("c"), old("d")];
    let assessment = assess(&nodes, &pods, &[], Share::Nodes(4), false);
    assert_eq!((assessment.batch, assessment.not_enrolled), (vec!["c".to_owned()], vec!["a".to_owned()]));
    assert_eq!(assessment.not_passed, ["b", "d"]);
}

#[test]
fn a_node_that_fails_before_its_turn_is_left_alone_and_one_that_fails_later_is_waited_for() {
    let nodes = [("a", FAILING), ("b", PASSED)];
    let assessment = assess(&nodes, &[old("a"), old("b")], &["a", "b"], ONE, false);
    assert_eq!((replaced(&assessment), assessment.batch.as_slice()), (vec!["b"], &["b".to_owned()][..]));
    let assessment = assess(&nodes, &[pod("a", true, false, false), old("b")], &["a"], ONE, false);
    assert_eq!((assessment.waiting, assessment.begins), (vec!["a".to_owned()], false));
}

#[test]
fn a_node_that_is_gone_holds_nothing_up() {
    let assessment = assess(&[("b", PASSED)], &[old("b")], &["a"], ONE, false);
    assert_eq!((assessment.batch, assessment.begins), (vec!["b".to_owned()], true));
}

#[test]
fn a_moved_node_of_an_earlier_batch_holds_nothing_up() {
    let assessment = assess(&THREE, &[pod("a", true, false, false), new("b"), old("c")], &["b"], ONE, false);
    assert_eq!((assessment.batch, assessment.begins), (vec!["c".to_owned()], true));
}

#[test]
fn when_all_are_moved_nothing_is_left() {
    let assessment = assess(&THREE, &[new("a"), new("b"), new("c")], &["c"], ONE, false);
    assert_eq!(assessment, Assessment { moved: 3, ..Assessment::default() });
}

#[test]
fn a_percentage_is_of_all_nodes() {
    let share: Share = serde_json::from_value(json!("70%")).unwrap();
    assert_eq!(assess(&THREE, &[old("a"), old("b"), old("c")], &[], share, false).batch.len(), 2);
    let share: Share = serde_json::from_value(json!("1%")).unwrap();
    assert_eq!(assess(&THREE, &[old("a"), old("b"), old("c")], &[], share, false).batch.len(), 1);
}

#[test]
fn a_batch_has_no_more_nodes_than_the_status_can_list() {
    let names: Vec<String> = (0..600).map(|number| format!("n{number:03}")).collect();
    let nodes: Vec<_> = names.iter().map(|name| (name.as_str(), PASSED)).collect();
    let pods: Vec<_> = names.iter().map(|name| old(name)).collect();
    assert_eq!(assess(&nodes, &pods, &[], Share::Nodes(600), false).batch.len(), MAX_BATCH);
}

#[test]
fn what_broke_goes_first_and_the_rest_in_batchs() {
    let back = |pods: &[Pod], share| -> Vec<String> {
        rolled_back(pods, share).iter().map(|pod| pod.metadata.uid.clone().unwrap()).collect()
    };
    let broken = pod("b", true, false, false);
    assert_eq!(back(&[new("a"), broken.clone(), old("c")], ONE), ["b"]);
    // While its successor is missing or not ready, no other pod is replaced.
    assert_eq!(back(&[new("a"), pod("b", true, false, true), old("c")], ONE), Vec::<String>::new());
    assert_eq!(back(&[new("a"), pod("b", false, false, false), old("c")], ONE), Vec::<String>::new());
    assert_eq!(back(&[new("a"), old("b"), old("c")], ONE), ["a"]);
    assert_eq!(back(&[new("a"), new("b"), old("c")], Share::Nodes(2)), ["a", "b"]);
    assert_eq!(back(&[old("a"), old("b"), old("c")], ONE), Vec::<String>::new());
}

#[test]
fn what_an_attested_node_says_is_read() {
    let node = |state: &str, healthy: &str, issued: &str| {
        let condition = |type_: &str, status: &str| json!({"type": type_, "status": status, "reason": "R", "message": "", "lastTransitionTime": "2026-01-01T00:00:00Z"});
        let node = serde_json::from_value(json!({
            "apiVersion": "spire.keylime.dev/v1alpha1", "kind": "AttestedNode", "metadata": {"name": "a"},
            "status": {"state": state, "reason": "R", "message": "m", "since": "2026-01-01T00:00:00Z",
                "conditions": [condition("KeylimeHealthy", healthy), condition("IdentityIssued", issued)]},
        }))
        .unwrap();
        Node::of(&node)
    };
    assert_eq!(node("Attested", "True", "True"), ISSUED);
    assert_eq!(node("Pending", "True", "Unknown"), PASSED);
    assert_eq!(node("Failing", "False", "False"), FAILING);
    assert_eq!(node("Unknown", "Unknown", "Unknown"), FAILING);
    assert_eq!(node("NotEnrolled", "False", "False"), UNKNOWN_TO_KEYLIME);
}

#[test]
fn a_slim_pod_is_assessed_like_the_whole_one() {
    let pods = [old("a"), new("b"), pod("c", true, false, false), pod("d", false, true, true)];
    let slim: Vec<Pod> = pods.iter().cloned().map(slim).collect();
    let nodes = [("a", PASSED), ("b", PASSED), ("c", PASSED), ("d", PASSED)];
    for batch in [&[][..], &["a", "c"], &["d"]] {
        let whole = assess(&nodes, &pods, batch, ONE, false);
        let assessed = assess(&nodes, &slim, batch, ONE, false);
        assert_eq!(
            (replaced(&assessed), &assessed.batch, &assessed.waiting),
            (replaced(&whole), &whole.batch, &whole.waiting)
        );
    }
    let goes = |pods: &[Pod]| rolled_back(pods, ONE).iter().map(|pod| pod.name_any()).collect::<Vec<_>>();
    assert_eq!(goes(&slim), goes(&pods));
    let labelled: Pod = serde_json::from_value(json!({"metadata": {"labels": {"app": "x"}}})).unwrap();
    assert_eq!(crate::model::pod::slim(labelled).metadata.labels, None);
}

#[test]
fn while_keylime_gives_no_answers_nobody_is_moved() {
    let nodes = THREE.iter().map(|(name, node)| ((*name).to_owned(), *node)).collect();
    let pods = [pod("a", true, false, false), old("b"), old("c")];
    let of = |batch: &[String]| {
        let facts = Facts {
            unsupported: &BTreeSet::new(),
            keylime_answers: false,
            nodes: &nodes,
            pods: &pods,
            hash: "new",
            share: Share::Nodes(2),
            needs_identity: false,
            batch,
        };
        decide(&facts)
    };
    let assessment = of(&["a".to_owned(), "b".to_owned()]);
    assert_eq!((replaced(&assessment), assessment.waiting.as_slice()), (vec![], &["a".to_owned()][..]));
    let assessment = of(&[]);
    assert_eq!((assessment.begins, assessment.not_passed.len()), (false, 2));
}

#[test]
fn a_node_that_there_is_no_plugin_for_keeps_its_agent_and_is_waited_for() {
    let nodes = [("a", PASSED), ("unsupported", PASSED)];
    let first = assess(&nodes, &[old("a"), old("unsupported")], &[], Share::Nodes(2), false);
    assert_eq!(
        (first.batch.as_slice(), first.not_passed.as_slice()),
        (&["a".to_owned()][..], &["unsupported".to_owned()][..])
    );
    let moved = assess(&nodes, &[new("a"), old("unsupported")], &["a"], Share::Nodes(2), false);
    assert!(moved.batch.is_empty() && !moved.is_done(), "{moved:?}");
}
