//! The selectors of a node, to the letter.

use evidence::binding::{BoundToken, Node, ObjectRef, Pod, Uid};
use evidence::selector::{node_selectors, selectors};
use evidence::{
    AgentId, Attestation, HashAlg, Metadata, MetadataKey, Mode, NodeState, Refusal, Registration,
    tpm_policy_pcrs,
};

use crate::recorded;

fn registration() -> Registration {
    let agent_id = AgentId::new("d432fbb3-d2f1-4a97-9ef7-75bd81c00001").unwrap();
    Registration { agent_id, ak: recorded::ak(), ek: Some(recorded::ek()) }
}

fn state() -> NodeState {
    NodeState {
        agent_id: registration().agent_id,
        attestation: Attestation::Pass,
        mode: Mode::Pull,
        interval: None,
        last_success: Some(1),
        hash_alg: Some(HashAlg::Sha256),
        verifier_id: Some("default".to_owned()),
        runtime_policy: true,
        measured_boot: false,
        tpm_policy_pcrs: tpm_policy_pcrs(r#"{"15": ["00"], "7": ["00"], "mask": "0x8080"}"#),
        metadata: Metadata::from_json(r#"{"rack": "r:7", "zone": 3, "secret": "x", "odd": ["y"]}"#),
    }
}

fn keys(names: &[&str]) -> Vec<MetadataKey> {
    names.iter().map(|name| name.parse().unwrap()).collect()
}

#[test]
fn a_node_has_these_selectors_in_this_order() {
    let selectors =
        selectors(&registration(), &state(), HashAlg::Sha256, &keys(&["zone", "rack", "odd", "none"]));
    assert_eq!(
        selectors,
        [
            "agent_id:d432fbb3-d2f1-4a97-9ef7-75bd81c00001",
            "ak_sha256:5ba98887a6259c7d916a30c185d2eee306c1e047b790acae2cacead5b507260a",
            "ek_sha256:cca84f51b1950e8fd462f836b030e4f8cbff742abb2cf375b4f4d60d7d2b4ce8",
            "hash_alg:sha256",
            "measured_boot:false",
            "metadata:rack:r:7",
            "metadata:zone:3",
            "runtime_policy:true",
            "tpm_policy_pcr:15",
            "tpm_policy_pcr:7",
            "verifier_id:default",
        ]
    );
}

#[test]
fn metadata_is_shown_only_for_allowed_keys_and_once() {
    let with = |names: &[&str]| {
        let mut selectors = selectors(&registration(), &state(), HashAlg::Sha256, &keys(names));
        selectors.retain(|selector| selector.starts_with("metadata:"));
        selectors
    };
    assert!(with(&[]).is_empty());
    assert_eq!(with(&["rack", "rack"]), ["metadata:rack:r:7"]);
}

#[test]
fn what_is_not_known_or_not_printable_gives_no_selector() {
    let registration = Registration { ek: None, ..registration() };
    for verifier_id in [None, Some(""), Some("a\nb"), Some(&*"x".repeat(256))] {
        let state = NodeState { verifier_id: verifier_id.map(str::to_owned), ..state() };
        let selectors = selectors(&registration, &state, HashAlg::Sha512, &[]);
        assert!(!selectors.iter().any(|selector| selector.starts_with("verifier_id:")));
        assert!(!selectors.iter().any(|selector| selector.starts_with("ek_sha256:")));
        assert!(selectors.contains(&"hash_alg:sha512".to_owned()));
    }
}

#[test]
fn the_bank_is_the_claimed_one_else_the_verifiers() {
    assert_eq!(state().bank(Some(HashAlg::Sha512)), Ok(HashAlg::Sha512));
    assert_eq!(state().bank(None), Ok(HashAlg::Sha256));
    assert_eq!(
        NodeState { hash_alg: None, ..state() }.bank(None),
        Err(Refusal::NoHashAlg { mode: Mode::Pull })
    );
}

#[test]
fn a_proven_node_has_its_name_uid_and_allowed_labels() {
    let (name, uid) = ("node-1".parse().unwrap(), "5f0b-uid".parse::<Uid>().unwrap());
    let labels = [("zone", "a"), ("a.io/rack", "r7"), ("secret", "x"), ("empty", "")];
    let labels = labels.map(|(key, value)| (key.to_owned(), value.to_owned())).into();
    let pod = ObjectRef { name: "agent".parse().unwrap(), uid: "pod".parse().unwrap() };
    let node = ObjectRef { name, uid: uid.clone() };
    let token = BoundToken { account: "a:b".parse().unwrap(), pod, node };
    let pod = Pod { uid: "pod".parse().unwrap(), node_name: Some("node-1".to_owned()) };
    let proven = token.check(Some(pod), Some(Node { uid, labels })).unwrap();
    let allowed = ["zone", "a.io/rack", "zone", "empty", "none"].map(|key| key.parse().unwrap());
    assert_eq!(
        node_selectors(&proven, &allowed),
        ["node_label:a.io/rack:r7", "node_label:zone:a", "node_name:node-1", "node_uid:5f0b-uid"]
    );
    assert_eq!(node_selectors(&proven, &[]), ["node_name:node-1", "node_uid:5f0b-uid"]);
}
