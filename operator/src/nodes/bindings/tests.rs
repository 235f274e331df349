use k8s_openapi::jiff::Timestamp;
use serde_json::json;

use super::*;
use crate::nodes::assess::tests::passing;

const NOW: i64 = 1_000;

/// Nodes by name with their UIDs, pairs of before, claims and proofs.
#[derive(Default)]
struct Scene {
    nodes: BTreeMap<String, Arc<NodeFacts>>,
    before: BTreeMap<String, Arc<AttestedNodeStatus>>,
    claims: Claims,
    proofs: Proofs,
}

fn time(seconds: i64) -> Time {
    Time(Timestamp::from_second(seconds).unwrap())
}

impl Scene {
    fn of(nodes: &[(&str, &str)]) -> Self {
        let facts = |name: &str, uid: &str| {
            Arc::new(NodeFacts { name: name.into(), uid: uid.into(), ..NodeFacts::default() })
        };
        let nodes = nodes.iter().map(|(name, uid)| ((*name).to_owned(), facts(name, uid))).collect();
        Self { nodes, ..Self::default() }
    }

    fn pinned(mut self, node: &str, uid: &str, agent: &str) -> Self {
        let binding = json!({"nodeUID": uid, "agentId": agent, "since": time(1).0.to_string()});
        let binding = Some(serde_json::from_value(binding).unwrap());
        self.before.insert(node.to_owned(), Arc::new(AttestedNodeStatus { binding, ..passing() }));
        self
    }

    fn proven(mut self, uid: &str, agent: &str) -> Self {
        let agent_id = AgentId::new(agent).unwrap();
        let proof = Proof { agent_id, ak_sha256: Some("ak".to_owned()), ek_sha256: None };
        self.proofs.entry(uid.to_owned()).or_default().push(proof);
        self
    }

    fn claimed(mut self, node: &str, agent: &str) -> Self {
        self.claims.insert(node.to_owned(), agent.to_owned());
        self
    }

    fn bindings(&self) -> Bindings {
        bindings(&self.nodes, &self.before, &self.claims, &self.proofs, &time(NOW))
    }

    /// Each node with its agent, and the nodes with a proof against a pair.
    fn pairs(&self) -> (Vec<(String, String)>, Vec<String>) {
        let Bindings { pinned, against, .. } = self.bindings();
        let pairs = pinned.into_iter().map(|(node, pinned)| (node, pinned.agent_id)).collect();
        (pairs, against.into_keys().collect())
    }
}

fn pair(node: &str, agent: &str) -> (String, String) {
    (node.to_owned(), agent.to_owned())
}

#[test]
fn the_first_proof_is_pinned_with_its_keys_and_its_time() {
    let scene = Scene::of(&[("one", "uid-1")]).proven("uid-1", "a");
    let binding = scene.bindings().pinned.remove("one").unwrap();
    assert_eq!((binding.node_uid.as_str(), binding.agent_id.as_str()), ("uid-1", "a"));
    assert_eq!((binding.ak_sha256.as_deref(), &binding.since), (Some("ak"), &time(NOW)));
    let again = scene.pinned("one", "uid-1", "a").bindings();
    assert_eq!((&again.pinned["one"].since, again.against.len()), (&time(1), 0));
}

#[test]
fn a_pair_stands_against_other_proofs_while_its_node_is_there() {
    let two = || Scene::of(&[("one", "uid-1"), ("two", "uid-2")]).pinned("one", "uid-1", "a");
    let elsewhere = two().proven("uid-2", "a");
    assert_eq!(elsewhere.pairs(), (vec![pair("one", "a")], vec!["two".to_owned()]));
    assert!(elsewhere.bindings().against["two"].contains("bound to node one"));
    let other = two().proven("uid-1", "b");
    assert_eq!(other.pairs(), (vec![pair("one", "a")], vec!["one".to_owned()]));
    // Without any proof as well.
    assert_eq!(two().pairs(), (vec![pair("one", "a")], Vec::new()));
}

#[test]
fn a_node_that_is_gone_or_made_anew_holds_nobody() {
    let gone = Scene::of(&[("two", "uid-2")]).pinned("one", "uid-1", "a").proven("uid-2", "a");
    assert_eq!(gone.pairs(), (vec![pair("two", "a")], Vec::new()));
    let anew = Scene::of(&[("one", "uid-new")]).pinned("one", "uid-1", "a");
    assert_eq!(anew.pairs(), (Vec::new(), Vec::new()));
    assert_eq!(anew.proven("uid-new", "b").pairs(), (vec![pair("one", "b")], Vec::new()));
}

#[test]
fn an_administrator_goes_before_each_proof() {
    let two = || Scene::of(&[("one", "uid-1"), ("two", "uid-2")]).pinned("one", "uid-1", "a");
    assert_eq!(two().claimed("two", "a").pairs(), (Vec::new(), Vec::new()));
    assert_eq!(two().claimed("two", "a").proven("uid-2", "a").pairs(), (vec![pair("two", "a")], Vec::new()));
    assert_eq!(two().claimed("one", "b").proven("uid-1", "a").pairs(), (Vec::new(), Vec::new()));
}
