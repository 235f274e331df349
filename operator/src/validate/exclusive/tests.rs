use hcl::edit::node_attestors;
use serde_json::{Value, json};

use super::*;
use crate::build::in_place;
use crate::configuration::derived;
use crate::fixture::{SERVER_HCL, SERVER_JSON, beside, config_map, desired, gathered, resource, workload};
use crate::model::target::{Asked, Desired};

/// A resource, and what is gathered of a SPIRE with this text.
struct Scene {
    resource: KeylimeAttestor,
    gathered: Gathered,
}

impl Scene {
    fn new(mode: &str, text: &str, needs: &[&str]) -> Self {
        let resource = asked(mode, "Exclusive");
        let mut gathered = gathered(&resource);
        gathered.needs = Some(needs.iter().map(|need| (*need).to_owned()).collect());
        let mut scene = Self { resource, gathered };
        scene.source(text);
        scene
    }

    fn source(&mut self, text: &str) {
        let server = self.gathered.found.values_mut().find(|found| found.role == Role::Server).unwrap();
        server.source = Some(config_map("spire-server", "spire-server", "server.conf", text));
    }

    fn desired(&self) -> Desired {
        desired(&self.resource, &self.gathered)
    }

    /// The attestors that the server is to have.
    fn attestors(&self) -> Vec<String> {
        node_attestors(self.desired().server.derived.any().unwrap()).unwrap()
    }

    /// Applies what is desired of the server's configuration.
    fn apply(&mut self) {
        let Desired { owner, mode, server, .. } = self.desired();
        let map = match mode {
            Mode::InPlace => in_place::keep(&owner, &server),
            _ => derived::config_map(&owner, &server, std::collections::BTreeMap::new()),
        };
        if mode == Mode::InPlace {
            self.source(server.derived.any().unwrap());
        }
        beside(&mut self.gathered, Role::Server, &map);
    }
}

fn asked(mode: &str, attestors: &str) -> KeylimeAttestor {
    resource(json!({"spire": {"mode": mode, "attestors": attestors}, "enforcement": {}}))
}

const MODES: [&str; 3] = ["Overlay", "InPlace", "ConfigOnly"];

#[test]
fn the_others_go_when_nobody_needs_them_and_stay_away() {
    for (mode, text) in MODES.into_iter().flat_map(|mode| [(mode, SERVER_JSON), (mode, SERVER_HCL)]) {
        let mut scene = Scene::new(mode, text, &["a node"]);
        assert_eq!(scene.attestors(), ["k8s_psat", "keylime"], "{mode}");
        scene.apply();
        assert_eq!(scene.attestors(), ["k8s_psat", "keylime"], "{mode}");
        scene.gathered.needs = None;
        assert_eq!(scene.attestors(), ["k8s_psat", "keylime"], "{mode}: nothing is known");
        scene.gathered.needs = Some(Vec::new());
        assert_eq!(scene.attestors(), ["keylime"], "{mode}");
        assert!(scene.desired().is_exclusive());
        scene.apply();
        // A node that fails afterwards does not get them back.
        scene.gathered.needs = Some(vec!["a node".to_owned()]);
        assert_eq!(scene.attestors(), ["keylime"], "{mode}");
        scene.resource = asked(mode, "Coexist");
        assert_eq!(scene.desired().server.source.original, text, "{mode}");
        assert_eq!(scene.attestors(), ["k8s_psat", "keylime"], "{mode}");
        scene.apply();
        assert_eq!(scene.desired().server.source.original, text, "{mode}");
        assert_eq!(scene.attestors(), ["k8s_psat", "keylime"], "{mode}");
    }
}

/// In place the owner may put his own text back while a node fails.
#[test]
fn what_the_server_ran_without_stays_away_by_the_status_too() {
    let mut scene = Scene::new("InPlace", SERVER_JSON, &["a node"]);
    let condition = json!({"type": "BypassPossible", "status": "False", "reason": "KeylimeAlone", "message": "",
        "lastTransitionTime": "2026-01-01T00:00:00Z"});
    scene.resource.status = Some(serde_json::from_value(json!({"conditions": [condition]})).unwrap());
    assert_eq!(scene.attestors(), ["keylime"]);
}

#[test]
fn agents_cannot_get_back_an_attestor_that_the_server_has_not() {
    let problem_of = |change: &Value, attestors: &str, in_force: bool, metadata_and_status: &Value| {
        let mut scene = Scene::new("Overlay", SERVER_JSON, &[]);
        if in_force {
            scene.apply();
        }
        let mut agents = workload(Kind::DaemonSet, 3, 3);
        let key = Asked::all(&scene.resource).pop().unwrap().key;
        agents.key = key;
        scene.gathered.ours = vec![agents];
        let mut changed = serde_json::to_value(asked("Overlay", attestors)).unwrap();
        crate::fixture::merge(&mut changed, &json!({"spec": {"spire": change}}));
        crate::fixture::merge(&mut changed, metadata_and_status);
        let changed: KeylimeAttestor = serde_json::from_value(changed).unwrap();
        let problems =
            crate::validate::validate(&changed, &scene.gathered, &crate::fixture::checksums()).err();
        let problems = problems.unwrap_or_default().into_iter();
        problems.map(|problem| problem.message).find(|message| message.contains("its former attestor"))
    };
    let problem =
        |change: &Value, attestors: &str, in_force| problem_of(change, attestors, in_force, &json!({}));
    let config_only = json!({"mode": "ConfigOnly"});
    // The configuration has the others again, but not all of the server's pods.
    let mut rolling = json!({"status": {"readmissionDue": true}});
    assert!(problem_of(&config_only, "Coexist", false, &rolling).is_some());
    rolling["metadata"] = json!({"deletionTimestamp": "2026-01-01T00:00:00Z"});
    assert_eq!(problem_of(&config_only, "Coexist", false, &rolling), None);
    for attestors in ["Exclusive", "Coexist"] {
        let message = problem(&config_only, attestors, true).unwrap();
        assert!(message.contains("DaemonSet spire-system/spire-agent"), "{message}");
        assert_eq!(problem(&json!({}), attestors, true), None);
        assert_eq!(problem(&config_only, attestors, false), None);
    }
}
