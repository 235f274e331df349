use RolloutState::{Complete, Progressing};
use keylime_attestor_api::conditions::{REASONS, configuration_applied, keylime_reachable};
use keylime_attestor_api::{KeylimeAttestorStatus, NodeReason, RolloutState};
use serde_json::json;

use super::BYPASS;
use super::case::{Case, view};
use crate::fixture::{SERVER_HCL, resource};
use crate::nodes::View;
use crate::status::conditions;

/// Each case with its reason of BypassPossible, and a part of the message.
fn bypass() -> Vec<(Case, &'static str, &'static str)> {
    let with = |text| Case { server_text: Some(text), ..Case::new() };
    let alone = || with(r#"{"plugins": {"NodeAttestor": []}}"#);
    let several = "plugins {\n  NodeAttestor \"x509pop\" { plugin_data {} }\n  NodeAttestor \"join_token\" { plugin_data {} }\n}\n";
    let config_only = resource(json!({"spire": {"mode": "ConfigOnly"}}));
    let exclusive = resource(json!({"spire": {"attestors": "Exclusive"}, "enforcement": {}}));
    vec![
        (Case::new(), "OtherAttestors", "They are k8s_psat."),
        (Case { resource: config_only.clone(), ..Case::new() }, "OtherAttestors", "They are k8s_psat."),
        (with(SERVER_HCL), "OtherAttestors", "They are k8s_psat."),
        (with(several), "OtherAttestors", "They are x509pop, join_token."),
        // The pods of before may admit more, and surely no less.
        (Case::rolling(Progressing, Complete), "OtherAttestors", "They are k8s_psat."),
        (Case { resource: exclusive, ..Case::new() }, "Waiting", "It waits: no pod of SPIRE's server tells"),
        (alone(), "KeylimeAlone", "by Keylime alone"),
        (Case { server: Progressing, ..alone() }, "RollingOut", "not all of the server's pods"),
        (Case { resource: config_only, ..alone() }, "NotManaged", "ConfigOnly"),
        (Case::problem(configuration_applied::SECRET_NOT_FOUND), "NotApplied", "not been applied"),
        (Case::new().deleted(), "Withdrawing", "being deleted"),
    ]
}

#[test]
fn the_attestors_that_admit_nodes_beside_keylime_are_named() {
    let mut produced = Vec::new();
    for (case, expected, part) in bypass() {
        let status = case.status();
        let condition = conditions::previous(&status, BYPASS).unwrap();
        assert_eq!(condition.reason, expected);
        assert!(condition.message.contains(part), "{part:?} is not in {:?}", condition.message);
        if produced.last() != Some(&expected) {
            produced.push(expected);
        }
    }
    let all = REASONS.iter().filter(|reason| reason.condition == BYPASS);
    assert_eq!(produced, all.map(|reason| reason.name).collect::<Vec<_>>());
}

/// From before the server has our attestor alone until all of its pods have others again.
#[test]
fn readmission_is_due_by_what_the_pods_run_with() {
    let alone = resource(json!({"spire": {"attestors": "Exclusive"}, "enforcement": {}}));
    let exclusive = Case { resource: alone.clone(), view: Some(nobody_needs_others()), ..Case::new() };
    assert!(exclusive.status().readmission_due);
    assert!(Case { server: Progressing, ..exclusive }.status().readmission_due);
    let waiting = Case { resource: alone, ..Case::new() };
    assert!(!waiting.status().readmission_due);

    let after = |case: Case| {
        let previous = KeylimeAttestorStatus { readmission_due: true, ..KeylimeAttestorStatus::default() };
        Case { previous, ..case }.status().readmission_due
    };
    assert!(after(Case::rolling(Progressing, Complete)));
    assert!(after(Case::problem(configuration_applied::SECRET_NOT_FOUND)));
    assert!(after(Case::new().deleted()));
    assert!(!after(Case::new()));
}

fn nobody_needs_others() -> View {
    let view = view(keylime_reachable::REACHABLE, &[NodeReason::Attested]);
    View { others: Some(Vec::new()), ..view }
}
