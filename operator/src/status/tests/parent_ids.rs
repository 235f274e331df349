use std::collections::BTreeSet;

use keylime_attestor_api::RolloutState::Progressing;
use keylime_attestor_api::conditions::{ConditionType, REASONS, configuration_applied};
use serde_json::json;

use super::PARENT_IDS;
use super::case::Case;
use crate::fixture::resource;
use crate::model::alias::Aliasing;
use crate::model::binding::Review;
use crate::status::conditions;

/// Each case with its reason of ParentIDsConfigured, and a part of the message.
pub(super) fn parent_ids() -> Vec<(Case, &'static str, &'static str)> {
    let chart = include_str!("../../../testdata/controller-manager/chart.yaml");
    let known = "kind: ControllerManagerConfig\nparentIDTemplate: 'spiffe://x/spire/agent/keylime/{{ .NodeMeta.Name }}'\n";
    let aliases =
        "kind: ControllerManagerConfig\nparentIDTemplate: 'spiffe://x/nodes/{{ .NodeMeta.Name }}'\n";
    let asked = |mode| resource(json!({"spire": {"mode": mode}}));
    let ignored = |text| Case {
        resource: resource(json!({"spire": {"controllerManager": {"mode": "Ignore"}}})),
        controller_manager: Some(text),
        ..Case::new()
    };
    let overlaid = || Case { resource: asked("Overlay"), controller_manager: Some(chart), ..Case::new() };
    let set = "set spec.spire.controllerManager.mode to Auto, or parentIDTemplate in controller-manager-config.yaml of the ConfigMap \
               spire-server/spire-controller-manager to: {{ if index .NodeMeta.Labels";
    let aliased = |aliasing| Case { aliasing, review: Review::Possible, ..overlaid() };
    let impossible = Aliasing::Impossible("there is no such kind".to_owned());
    vec![
        (overlaid(), "Overlaid", "which Keylime attested"),
        (aliased(Aliasing::Possible), "Aliased", "the alias of their Node"),
        (aliased(impossible), "Overlaid", "there is no such kind"),
        (Case { server: Progressing, ..overlaid() }, "RollingOut", "being replaced"),
        (Case { resource: asked("ConfigOnly"), ..overlaid() }, "NotManaged", "ConfigOnly"),
        (ignored(known), "TemplateSet", "already"),
        (ignored(chart), "TemplateMissing", set),
        (ignored(aliases), "TemplateUnclear", "node aliases"),
        (Case::new(), "NoControllerManager", "keylime-agent-id\" }}{{ else if index"),
        (Case::problem(configuration_applied::SPEC_INVALID), "WaitingForConfiguration", "not been applied"),
        (overlaid().deleted(), "Withdrawing", "gets back"),
    ]
}

#[test]
fn what_the_controller_manager_knows_of_keylime_is_told() {
    let mut produced = BTreeSet::new();
    for (case, reason, part) in parent_ids() {
        let status = case.status();
        let condition = conditions::previous(&status, PARENT_IDS).unwrap();
        assert_eq!(condition.reason, reason);
        assert!(condition.message.contains(part), "{}", condition.message);
        let ready = conditions::previous(&status, ConditionType::Ready).unwrap();
        let lost = reason == "TemplateMissing";
        assert_eq!(ready.reason == "ParentIDsNotConfigured", lost);
        assert!(!lost || ready.message.contains(part) && ready.status == "False", "{}", ready.message);
        produced.insert(reason);
    }
    let all = REASONS.iter().filter(|reason| reason.condition == PARENT_IDS);
    assert_eq!(produced, all.map(|reason| reason.name).collect());
}

#[test]
fn the_controller_manager_is_shown_as_it_was_found() {
    let (case, _, _) = parent_ids().remove(0);
    let shown = serde_json::to_value(case.status().controller_manager).unwrap();
    let key = "controller-manager-config.yaml";
    let expected = json!({"container": "spire-controller-manager", "configMap": {"name": "spire-controller-manager", "key": key},
        "appliedConfigMap": {"name": "spire-controller-manager-keylime", "key": key}});
    assert_eq!(shown, expected);
    let (case, _, _) = parent_ids().remove(6);
    assert_eq!(case.status().controller_manager.unwrap().applied_config_map, None);
}
