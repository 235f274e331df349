use std::collections::BTreeMap;

use keylime_attestor_api::{KeylimeAttestorStatus, Mode};
use serde_json::{Value, json};

use super::*;
use crate::build::overlay::overlay;
use crate::fixture::{checksums, desired, gathered, object, read, replace, reported, resource, status};
use crate::model::target::{Desired, Target};
use crate::model::workload::Kind;
use RolloutState::{Complete, Progressing};

/// A resource with the binding, and what is gathered for it.
struct Scene {
    resource: KeylimeAttestor,
    gathered: Gathered,
}

impl Scene {
    fn new(changes: Value, review: Review) -> Self {
        let resource = resource(changes);
        let gathered = Gathered { review, ..gathered(&resource) };
        Self { resource, gathered }
    }

    fn of(binding: Value, review: Review) -> Self {
        Self::new(json!({"attestation": {"binding": binding}}), review)
    }

    fn desired(&self) -> Desired {
        desired(&self.resource, &self.gathered)
    }

    fn bound(&self) -> (Binding, &'static str) {
        let bound = self.desired().bound;
        (bound.binding, bound.reason.name)
    }

    /// The agents became ready so many seconds ago.
    fn run_for(&mut self, seconds: u64) {
        self.gathered.agents_run_for = Some(Duration::from_secs(seconds));
    }

    /// The status that this leaves, with the states of the rollouts.
    fn settle(&mut self, server: RolloutState, agents: RolloutState) {
        let binding = Some(self.desired().bound.binding);
        let rolled = |kind, state| reported(kind, state, "h", 3, 5);
        let status = status(rolled(Kind::StatefulSet, server), vec![rolled(Kind::DaemonSet, agents)]);
        self.resource.status = Some(KeylimeAttestorStatus { binding, ..status });
    }

    /// Gives the agents what is desired for them, as all of their pods have it.
    fn roll_agents(&mut self, updated: i32) {
        let desired = self.desired();
        let agents = &desired.agents[0];
        let patch = overlay(&desired.owner, Mode::Overlay, agents, agents.workload.as_ref().unwrap()).patch;
        replace(&mut self.gathered, Kind::DaemonSet, updated, updated, Some(&patch));
    }
}

fn impossible() -> Review {
    Review::Impossible("spire-server:default lacks the right to create tokenreviews".to_owned())
}

fn block(target: &Target) -> Value {
    let derived: Value = serde_json::from_str(target.derived.any().unwrap()).unwrap();
    let attestors = derived.pointer("/plugins/NodeAttestor").unwrap().clone();
    let keylime = match attestors {
        Value::Array(list) => list.into_iter().find_map(|one| one.get("keylime").cloned()).unwrap(),
        one => one["keylime"].clone(),
    };
    keylime["plugin_data"].clone()
}

#[test]
fn left_out_it_is_preferred_until_all_agents_have_a_token_and_required_from_then_on() {
    let mut scene = Scene::new(json!({}), Review::Possible);
    assert_eq!(scene.bound(), (Binding::Prefer, "RollingOut"));
    let Desired { server, agents, .. } = scene.desired();
    let expected = json!({"service_accounts": ["spire-system:default"], "audience": "keylime-attestor", "binding": "prefer"});
    assert_eq!(block(&server)["kubernetes"], expected);
    assert_eq!(block(&agents[0])["service_account_token_file"], "/run/keylime-attestor/token/token");
    assert_eq!((server.token, agents[0].token), (false, true));

    // Complete is what ran before, without a token.
    scene.settle(Complete, Complete);
    scene.gathered.review = Review::NotAsked;
    assert_eq!(scene.bound(), (Binding::Prefer, "RollingOut"));
    scene.roll_agents(2);
    assert_eq!(scene.bound(), (Binding::Prefer, "RollingOut"));
    // The workloads themselves may be ahead of what is known of their rollouts.
    scene.run_for(3600);
    for (server, agents) in [(Complete, Progressing), (Progressing, Complete)] {
        scene.settle(server, agents);
        scene.roll_agents(3);
        assert_eq!(scene.bound(), (Binding::Prefer, "RollingOut"));
        scene.roll_agents(2);
    }
    scene.gathered.agents_run_for = None;
    scene.settle(Complete, Complete);
    scene.roll_agents(3);
    assert_eq!(scene.bound(), (Binding::Prefer, "RollingOut"), "it is not known how long they run");
    scene.run_for(59);
    assert_eq!(scene.bound(), (Binding::Prefer, "RollingOut"));
    assert!(scene.desired().bound.detail.contains("within the last minute"));
    scene.run_for(60);
    assert_eq!(scene.bound(), (Binding::Require, "Required"));
    assert_eq!(block(&scene.desired().server)["kubernetes"]["binding"], "require");

    // Whatever comes, it stays.
    scene.settle(Progressing, Progressing);
    scene.gathered.review = impossible();
    replace(&mut scene.gathered, Kind::DaemonSet, 0, 0, None);
    assert_eq!(scene.bound(), (Binding::Require, "Required"));
}

#[test]
fn without_a_review_it_is_off_and_says_why() {
    for review in [Review::NotAsked, impossible()] {
        let scene = Scene::new(json!({}), review);
        assert_eq!(scene.bound(), (Binding::Off, "NoReviewPossible"));
        let Desired { server, agents, .. } = scene.desired();
        assert_eq!(block(&server).get("kubernetes"), None);
        assert_eq!(block(&agents[0]).get("service_account_token_file"), None);
        assert!(!agents[0].token);
    }
    let mut scene = Scene::new(json!({}), impossible());
    assert!(scene.desired().bound.detail.contains("create tokenreviews"));
    scene.settle(Complete, Complete);
    scene.gathered.review = Review::Possible;
    assert_eq!(scene.bound(), (Binding::Prefer, "RollingOut"));
}

#[test]
fn what_the_resource_asks_for_is_done_or_refused() {
    for (asked, expected) in [
        ("Require", (Binding::Require, "Required")),
        ("Prefer", (Binding::Prefer, "Preferred")),
        ("Off", (Binding::Off, "TurnedOff")),
    ] {
        let mut scene = Scene::of(json!(asked), Review::Possible);
        assert_eq!(scene.bound(), expected);
        scene.settle(Complete, Complete);
        scene.roll_agents(3);
        assert_eq!(scene.bound(), expected);
    }
    for asked in ["Require", "Prefer"] {
        let Scene { resource, gathered } = Scene::of(json!(asked), impossible());
        let problems = crate::validate::validate(&resource, &gathered, &checksums()).unwrap_err();
        assert_eq!(problems[0].reason, BINDING_IMPOSSIBLE);
        assert!(problems[0].message.contains(asked), "{}", problems[0].message);
        assert!(problems[0].message.contains("create tokenreviews"), "{}", problems[0].message);
    }
    assert_eq!(Scene::of(json!("Off"), impossible()).bound().0, Binding::Off);
}

#[test]
fn with_configurations_alone_only_what_the_resource_asks_for() {
    let scene = |binding: Value| {
        let changes = json!({"spire": {"mode": "ConfigOnly"}, "attestation": {"binding": binding}});
        Scene::new(changes, Review::NotAsked)
    };
    assert_eq!(scene(Value::Null).bound(), (Binding::Off, "NotManaged"));
    assert_eq!(scene(json!("Require")).bound(), (Binding::Require, "Required"));
    let mut outside = scene(json!("Prefer"));
    for found in outside.gathered.found.values_mut() {
        found.workload = None;
    }
    let problems = crate::validate::validate(&outside.resource, &outside.gathered, &checksums()).unwrap_err();
    assert!(problems.iter().any(|problem| problem.reason == BINDING_IMPOSSIBLE), "{problems:?}");
}

#[test]
fn each_account_of_agents_is_named_once() {
    let agents = json!([{"name": "spire-agent"}, {"name": "others"}, {"name": "third"}]);
    let mut scene = Scene::new(json!({"spire": {"agents": agents}}), Review::Possible);
    let accounts = BTreeMap::from([("others", "agents"), ("third", "agents")]);
    for (key, found) in scene.gathered.found.iter_mut().filter(|(key, _)| key.kind == Kind::DaemonSet) {
        let mut object = object(Kind::DaemonSet, 3, 3);
        if let Some(account) = accounts.get(key.name.as_str()) {
            object["spec"]["template"]["spec"]["serviceAccountName"] = json!(account);
        }
        found.workload = Some(read(Kind::DaemonSet, object));
    }
    assert_eq!(service_accounts(&scene.gathered), ["spire-system:agents", "spire-system:default"]);
}

#[test]
fn where_nodes_are_known_to_have_proven_themselves_each_has_to() {
    let mut scene = Scene::new(json!({"enforcement": {}}), Review::Possible);
    scene.settle(Complete, Complete);
    scene.roll_agents(3);
    scene.run_for(60);
    let some = || Some(vec!["one".to_owned(), "two".to_owned()]);
    for (unbound, part) in [(None, "no pod of SPIRE's server"), (some(), "such as one, two")] {
        scene.gathered.unbound = unbound;
        let bound = scene.desired().bound;
        assert_eq!((bound.binding, bound.reason.name), (Binding::Prefer, "RollingOut"));
        assert!(bound.detail.contains(part), "{}", bound.detail);
    }
    scene.gathered.unbound = Some(Vec::new());
    assert_eq!(scene.bound(), (Binding::Require, "Required"));
}
