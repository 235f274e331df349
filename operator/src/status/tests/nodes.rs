use std::collections::BTreeMap;

use keylime_attestor_api::NodeReason;
use keylime_attestor_api::conditions::keylime_reachable;
use serde_json::json;

use super::case::{Case, view};
use crate::fixture::resource;
use crate::nodes::LoopView;

/// Cases that differ in the view of the nodes, with the reasons of Ready, NodesAttested and
/// Enforcing.
pub(super) fn cases() -> Vec<(Case, [&'static str; 3])> {
    let evicting = || resource(json!({"enforcement": {"action": "Evict"}}));
    let of =
        |nodes: &[NodeReason]| Case { view: Some(view(keylime_reachable::REACHABLE, nodes)), ..Case::new() };
    let evicts = |held: Option<&str>, error: Option<&str>| {
        let mut view = view(keylime_reachable::REACHABLE, &[NodeReason::Attested]);
        view.loops = vec![LoopView {
            pod: "p".to_owned(),
            action: report::Mode::Evict,
            held: held.map(str::to_owned),
            error: error.map(str::to_owned),
        }];
        Case { resource: evicting(), view: Some(view), ..Case::new() }
    };
    let observing = || resource(json!({"enforcement": {}}));
    let unseen = |resource| Case { resource, view: None, ..Case::new() };
    vec![
        // A node that fails does not break the installation.
        (of(&[NodeReason::Attested, NodeReason::Stale]), ["Ready", "NodesFailing", "NotConfigured"]),
        (of(&[NodeReason::NotEnrolled]), ["Ready", "NodesNotAttested", "NotConfigured"]),
        (of(&[NodeReason::KeylimeUnreachable]), ["Ready", "NodesUnknown", "NotConfigured"]),
        (of(&[]), ["Ready", "NoNodes", "NotConfigured"]),
        (unseen(resource(json!({}))), ["KeylimeUnreachable", "NotChecked", "NotConfigured"]),
        (unseen(evicting()), ["KeylimeUnreachable", "NotChecked", "NotObserved"]),
        (
            Case { keylime_unavailable: true, ..Case::new() },
            ["KeylimeUnreachable", "Attested", "NotConfigured"],
        ),
        (Case { resource: observing(), ..Case::new() }, ["Ready", "Attested", "Observing"]),
        (evicts(None, None), ["Ready", "Attested", "Enforcing"]),
        (evicts(Some("too many"), None), ["Ready", "Attested", "Held"]),
        (evicts(None, Some("no answer")), ["Ready", "Attested", "Failed"]),
    ]
}

#[test]
fn each_case_of_nodes_comes_to_its_conditions() {
    for (case, expected) in cases() {
        let reasons: BTreeMap<String, String> = case.reasons().into_iter().collect();
        let came = ["Ready", "NodesAttested", "Enforcing"].map(|type_| reasons[type_].as_str());
        assert_eq!(came, expected);
    }
}
