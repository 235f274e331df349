use serde_json::{Value, json};

use super::*;
use crate::fixture::{checksums, controller_manager, gathered, resource};
use crate::gather::Gathered;
use crate::model::alias::Aliasing;
use crate::model::binding::Review;
use crate::model::target::Desired;
use crate::validate::validate;

const CHART: &str = include_str!("../../../testdata/controller-manager/chart.yaml");

/// The discovery of a controller manager like this one in the server's pod.
fn found(asked: Value, container: Value) -> Vec<Discovered> {
    let resource = resource(json!({"spire": {"controllerManager": asked}}));
    let mut gathered = gathered(&resource);
    controller_manager(&resource, &mut gathered, container, CHART);
    gathered.managers.into_iter().map(|found| found.discovered).collect()
}

fn desired(
    asked: Value,
    container: Value,
    text: &str,
    change: impl Fn(&mut Gathered),
) -> Result<Desired, Vec<Problem>> {
    let resource = resource(json!({"spire": {"controllerManager": asked}}));
    let mut gathered = gathered(&resource);
    controller_manager(&resource, &mut gathered, container, text);
    change(&mut gathered);
    validate(&resource, &gathered, &checksums())
}

fn reasons(result: Result<Desired, Vec<Problem>>) -> Vec<(&'static str, String)> {
    let problems = result.err().unwrap_or_default();
    problems.into_iter().map(|problem| (problem.reason.name, problem.message)).collect()
}

#[test]
fn the_charts_container_is_found_without_a_word() {
    let expected = Discovered {
        container: "spire-controller-manager".to_owned(),
        flags: vec!["--expand-env".to_owned()],
        config_map: "spire-controller-manager".to_owned(),
        key: Some("controller-manager-config.yaml".to_owned()),
        command: None,
    };
    assert_eq!(found(json!({}), json!({})), [expected]);
}

#[test]
fn paths_begin_where_the_container_does() {
    for (container, expected) in [
        (json!({"args": ["-config", "/controller-manager-config.yaml"]}), 1),
        (json!({"workingDir": "/", "args": ["--config", "controller-manager-config.yaml"]}), 1),
        (json!({"workingDir": "/conf"}), 0),
        (json!({"args": []}), 0),
    ] {
        assert_eq!(found(json!({}), container.clone()).len(), expected, "{container}");
    }
    let asked = json!({"configMap": {"name": "m", "key": "k"}, "container": "spire-controller-manager"});
    let found = found(asked, json!({"args": []}));
    assert_eq!(found.iter().map(|found| found.config_map.as_str()).collect::<Vec<_>>(), ["m"]);
}

#[test]
fn what_is_there_is_planned_unless_it_is_to_be_left_alone() {
    let ignored =
        desired(json!({"mode": "Ignore"}), json!({"command": ["/manager"]}), CHART, |_| {}).unwrap();
    assert!(ignored.server.manager.is_none());
    let resource = resource(json!({}));
    assert!(crate::fixture::desired(&resource, &gathered(&resource)).server.manager.is_none());
    let desired = desired(json!({}), json!({}), CHART, |_| {}).unwrap();
    let manager = desired.server.manager.unwrap();
    assert!(manager.derived.contains("node-restriction.kubernetes.io/keylime-agent-id"));
    assert_eq!(manager.program, "/spire-controller-manager");
}

#[test]
fn each_refusal_says_why_and_what_to_do() {
    let command = json!({"command": ["/manager"]});
    for (asked, container, text, expected, part) in [
        (json!({}), command, CHART, reason::COMMAND_SET, "it has /manager"),
        (json!({"container": "other"}), json!({}), CHART, reason::CONTAINER_NOT_FOUND, "found none"),
        (
            json!({"container": "spire-controller-manager"}),
            json!({}),
            "kind: [",
            reason::CONFIGURATION_INVALID,
            "as YAML",
        ),
        // One by its image, whose configuration is not found.
        (
            json!({}),
            json!({"image": "ghcr.io/spiffe/spire-controller-manager:0.7.0", "args": []}),
            CHART,
            reason::CONTAINER_NOT_FOUND,
            "found spire-controller-manager, whose configuration is in none",
        ),
        (
            json!({}),
            json!({}),
            "kind: ControllerManagerConfig\nparentIDTemplate: &a b\nx: *a\n",
            reason::CONFIGURATION_INVALID,
            "without touching the rest",
        ),
    ] {
        let problems = reasons(desired(asked.clone(), container, text, |_| {}));
        let [(reason, message)] = &problems[..] else { panic!("{asked}: {problems:?}") };
        assert_eq!(*reason, expected.name, "{message}");
        assert!(message.contains(part) && message.contains("spec.spire.controllerManager"), "{message}");
    }
    let gone = desired(json!({}), json!({}), CHART, |gathered| {
        gathered.managers.iter_mut().for_each(|found| found.source = None)
    });
    assert_eq!(reasons(gone)[0].0, reason::CONFIGURATION_NOT_FOUND.name);
    let twice = desired(json!({}), json!({}), CHART, |gathered| {
        let again = gathered.managers[0].clone();
        gathered.managers.push(again);
    });
    assert!(reasons(twice)[0].1.contains("found spire-controller-manager, spire-controller-manager"));
    let shared = desired(json!({}), json!({}), CHART, |gathered| {
        gathered.managers[0].discovered.config_map = "spire-server".to_owned();
    });
    assert!(reasons(shared)[0].1.contains("a ConfigMap of its own"));
}

#[test]
fn a_command_that_is_ours_is_not_refused() {
    let command = json!({"command": ["/bin/other"]});
    let ours = json!([{"manager": "keylime-attestor-operator", "operation": "Apply", "fieldsType": "FieldsV1", "fieldsV1":
        {"f:spec": {"f:template": {"f:spec": {"f:containers": {"k:{\"name\":\"spire-controller-manager\"}": {"f:command": {}}}}}}}}]);
    let taken = desired(json!({}), command, CHART, |gathered| {
        let server = gathered
            .found
            .values_mut()
            .find(|found| found.role == crate::model::target::Role::Server)
            .unwrap();
        server.workload.as_mut().unwrap().fields = serde_json::from_value(ours.clone()).unwrap();
    });
    assert_eq!(reasons(taken), []);
}

#[test]
fn aliases_stand_in_only_where_agents_prove_their_node() {
    for (review, mode, expected) in [
        (Review::Possible, "Overlay", true),
        (Review::Impossible("a right".to_owned()), "Overlay", false),
        (Review::Possible, "ConfigOnly", false),
    ] {
        let resource = resource(json!({"spire": {"mode": mode}}));
        let mut gathered = gathered(&resource);
        controller_manager(&resource, &mut gathered, json!({}), CHART);
        (gathered.review, gathered.aliasing) = (review, Aliasing::Possible);
        let manager = validate(&resource, &gathered, &checksums()).unwrap().server.manager.unwrap();
        assert_eq!(manager.aliases.is_ok(), expected, "{mode}");
        assert_eq!(manager.derived.contains(alias::TEMPLATE), expected, "{mode}");
        assert_eq!(manager.derived.contains("keylime-agent-id"), !expected, "{mode}");
    }
}
