use std::collections::BTreeSet;

use keylime_attestor_api::RolloutState::Progressing;
use keylime_attestor_api::conditions::{REASONS, configuration_applied};
use serde_json::json;

use super::conditions;
use super::tests::{Look, PARENTED};
use crate::fixture::resource;

/// Each look with its reason of WorkloadsParented, and a part of the message.
fn parented() -> Vec<(Look, &'static str, &'static str)> {
    let chart = Some(include_str!("../../testdata/controller-manager/chart.yaml"));
    let known = "kind: ControllerManagerConfig\nparentIDTemplate: 'spiffe://x/spire/agent/keylime/{{ .NodeMeta.Name }}'\n";
    let asked = |mode| resource(json!({"spire": {"mode": mode, "controllerManager": {}}}));
    let overlaid = || Look { resource: asked("Overlay"), controller_manager: chart, ..Look::new() };
    let set = "set spec.spire.controllerManager to {}, or parentIDTemplate in controller-manager-config.yaml of the ConfigMap \
               spire-server/spire-controller-manager to: {{ if index .NodeMeta.Labels";
    vec![
        (overlaid(), "Overlaid", "which Keylime attested"),
        (Look { server: Progressing, ..overlaid() }, "RollingOut", "being replaced"),
        (Look { resource: asked("ConfigOnly"), ..overlaid() }, "NotManaged", "ConfigOnly"),
        (Look { controller_manager: Some(known), ..Look::new() }, "TemplateSet", "already"),
        (Look { controller_manager: chart, ..Look::new() }, "TemplateMissing", set),
        (Look::new(), "NoControllerManager", "keylime-agent-id\" }}{{ else if index"),
        (Look::problem(configuration_applied::SPEC_INVALID), "WaitingForConfiguration", "not been applied"),
        (overlaid().deleted(), "Withdrawing", "gets back"),
    ]
}

#[test]
fn what_the_controller_manager_knows_of_keylime_is_told() {
    let mut produced = BTreeSet::new();
    for (look, reason, part) in parented() {
        let status = look.status();
        let condition = conditions::previous(&status, PARENTED).unwrap();
        assert_eq!(condition.reason, reason);
        assert!(condition.message.contains(part), "{}", condition.message);
        produced.insert(reason);
    }
    let all = REASONS.iter().filter(|reason| reason.condition == PARENTED);
    assert_eq!(produced, all.map(|reason| reason.name).collect());
}

#[test]
fn the_controller_manager_is_shown_as_it_was_found() {
    let (look, _, _) = parented().remove(0);
    let shown = serde_json::to_value(look.status().controller_manager).unwrap();
    let key = "controller-manager-config.yaml";
    let expected = json!({"container": "spire-controller-manager", "configMap": {"name": "spire-controller-manager", "key": key},
        "appliedConfigMap": {"name": "spire-controller-manager-keylime", "key": key}});
    assert_eq!(shown, expected);
    let (look, _, _) = parented().remove(4);
    assert_eq!(look.status().controller_manager.unwrap().applied_config_map, None);
}
