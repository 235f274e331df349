use std::collections::BTreeMap;

use keylime_attestor_api::NodeReason;
use keylime_attestor_api::conditions::keylime_reachable;
use serde_json::json;

use super::tests::{Look, view};
use crate::fixture::resource;
use crate::nodes::LoopView;

/// Looks that differ in what was seen of the nodes, with the reasons of Ready, NodesAttested and
/// Enforcing.
pub(super) fn looks() -> Vec<(Look, [&'static str; 3])> {
    let evicting = || resource(json!({"enforcement": {"action": "Evict"}}));
    let of =
        |nodes: &[NodeReason]| Look { view: Some(view(keylime_reachable::REACHABLE, nodes)), ..Look::new() };
    let evicts = |held: Option<&str>, error: Option<&str>| {
        let mut view = view(keylime_reachable::REACHABLE, &[NodeReason::Attested]);
        view.loops = vec![LoopView {
            pod: "p".to_owned(),
            action: report::Mode::Evict,
            held: held.map(str::to_owned),
            error: error.map(str::to_owned),
        }];
        Look { resource: evicting(), view: Some(view), ..Look::new() }
    };
    let unseen = |resource| Look { resource, view: None, ..Look::new() };
    vec![
        // A node that fails does not break the installation.
        (of(&[NodeReason::Attested, NodeReason::Stale]), ["Ready", "NodesFailing", "Off"]),
        (of(&[NodeReason::NotEnrolled]), ["Ready", "NodesNotAttested", "Off"]),
        (of(&[NodeReason::KeylimeUnreachable]), ["Ready", "NodesUnknown", "Off"]),
        (of(&[]), ["Ready", "NoNodes", "Off"]),
        (unseen(resource(json!({}))), ["KeylimeUnreachable", "NotChecked", "Off"]),
        (unseen(evicting()), ["KeylimeUnreachable", "NotChecked", "NotObserved"]),
        (Look { speechless: true, ..Look::new() }, ["KeylimeUnreachable", "Attested", "Off"]),
        (evicts(None, None), ["Ready", "Attested", "Enforcing"]),
        (evicts(Some("too many"), None), ["Ready", "Attested", "Held"]),
        (evicts(None, Some("no answer")), ["Ready", "Attested", "Failed"]),
    ]
}

#[test]
fn each_look_at_nodes_comes_to_its_conditions() {
    for (look, expected) in looks() {
        let reasons: BTreeMap<String, String> = look.reasons().into_iter().collect();
        let came = ["Ready", "NodesAttested", "Enforcing"].map(|type_| reasons[type_].as_str());
        assert_eq!(came, expected);
    }
}
