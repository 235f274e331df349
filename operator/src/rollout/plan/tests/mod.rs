use keylime_attestor_api::Duration as Written;
use serde_json::{Value, json};

use super::*;
use crate::configuration::derived;
use crate::fixture::{apply, beside, desired, gathered, now, replace, reported, resource, status};
use crate::model::workload::Kind;

const SERVER: Kind = Kind::StatefulSet;
const AGENT: Kind = Kind::DaemonSet;

/// The gathered objects, and the last status.
struct Scene {
    resource: keylime_attestor_api::KeylimeAttestor,
    gathered: Gathered,
    previous: KeylimeAttestorStatus,
    rollout: Rollout,
}

impl Scene {
    fn new() -> Self {
        let resource = resource(json!({}));
        let gathered = gathered(&resource);
        let rollout =
            Rollout { progress_deadline: Written::from_secs(60), rollback: true, ..Rollout::default() };
        Self { resource, gathered, previous: KeylimeAttestorStatus::default(), rollout }
    }

    fn desired(&self) -> Desired {
        desired(&self.resource, &self.gathered)
    }

    fn hash(&self, kind: Kind) -> String {
        self.overlay(kind).hash
    }

    fn overlay(&self, kind: Kind) -> Overlay {
        let desired = self.desired();
        let target = desired.targets().find(|target| target.key.kind == kind).unwrap();
        overlay(&desired.owner, desired.mode, target, target.workload.as_ref().unwrap())
    }

    /// Applies the desired state of a workload, with its pods so far.
    fn applied(mut self, kind: Kind, updated: i32, available: i32) -> Self {
        let overlay = self.overlay(kind);
        let desired = self.desired();
        let target = desired.targets().find(|target| target.key.kind == kind).unwrap();
        let map = derived::config_map(&desired.owner, target, BTreeMap::new());
        beside(&mut self.gathered, target.role, &map);
        replace(&mut self.gathered, kind, updated, available, Some(&overlay.patch));
        self
    }

    fn reported(mut self, server: (RolloutState, i32, i64), agent: (RolloutState, i32, i64)) -> Self {
        let of = |kind, (state, ready, ago)| reported(kind, state, &self.hash(kind), ready, ago);
        self.previous = status(of(SERVER, server), vec![of(AGENT, agent)]);
        self
    }

    fn plan(&self) -> Plan {
        plan(&self.desired(), &self.gathered, &self.previous, &self.rollout, now())
    }

    fn state(&self, plan: &Plan, kind: Kind) -> RolloutState {
        plan.rollouts.iter().find(|(key, _)| key.kind == kind).unwrap().1.state
    }
}

/// The steps in short.
fn short(plan: &Plan) -> Vec<String> {
    let name = |object: &Value| object["metadata"]["name"].as_str().unwrap().to_owned();
    plan.steps
        .iter()
        .map(|step| match step {
            Step::Configure { object, correction } => format!("configure {} {correction}", name(object)),
            Step::Edit { object, correction } => format!("edit {} {correction}", name(object)),
            Step::Overlay { workload, correction, .. } => format!("overlay {} {correction}", workload.name),
            Step::Hold { workload, object } => {
                format!("hold {} {}", workload.name, object.pointer("/spec/template").is_some())
            }
            Step::Withdraw { workload, .. } => format!("withdraw {}", workload.name),
            Step::Restore { object, release } => format!("restore {} {}", name(object), release.is_some()),
            Step::Delete { name, .. } => format!("delete {name}"),
            Step::DeletePod { name, .. } => format!("delete pod {name}"),
        })
        .collect()
}

use RolloutState::{Complete, Failed, Progressing, RolledBack, Waiting};

#[test]
fn the_server_is_first() {
    let scene = Scene::new();
    let plan = scene.plan();
    assert_eq!(short(&plan), ["configure spire-server-keylime false", "overlay spire-server false"]);
    assert_eq!((scene.state(&plan, SERVER), scene.state(&plan, AGENT)), (Progressing, Waiting));
    assert!(plan.waits_for_server);
}

#[test]
fn the_agents_wait_until_the_server_is_rolled_out() {
    let waiting = Scene::new().applied(SERVER, 1, 2).reported((Progressing, 0, 10), (Waiting, 0, 10));
    let plan = waiting.plan();
    assert_eq!((short(&plan), plan.requeue), (vec![], Some(Duration::from_secs(50))));
    let done = Scene::new().applied(SERVER, 3, 3).reported((Progressing, 2, 10), (Waiting, 0, 10));
    let plan = done.plan();
    assert_eq!(short(&plan), ["configure spire-agent-keylime false", "overlay spire-agent false"]);
    assert_eq!((done.state(&plan, SERVER), done.state(&plan, AGENT)), (Complete, Progressing));
}

#[test]
fn nothing_is_due_when_all_is_done() {
    let scene = Scene::new()
        .applied(SERVER, 3, 3)
        .applied(AGENT, 3, 3)
        .reported((Complete, 3, 10), (Complete, 3, 10));
    let plan = scene.plan();
    assert_eq!((short(&plan), plan.requeue, plan.waits_for_server), (vec![], None, false));
}

#[test]
fn what_others_change_is_corrected_whatever_the_server_does() {
    let mut scene = Scene::new()
        .applied(SERVER, 3, 3)
        .applied(AGENT, 3, 3)
        .reported((Complete, 3, 10), (Complete, 3, 10));
    replace(&mut scene.gathered, AGENT, 3, 3, None);
    let overlay = scene.overlay(SERVER);
    replace(&mut scene.gathered, SERVER, 3, 1, Some(&overlay.patch));
    assert_eq!(short(&scene.plan()), ["overlay spire-agent true"]);
}

#[test]
fn a_new_configuration_of_the_agents_waits_for_the_server() {
    let mut scene = Scene::new()
        .applied(SERVER, 3, 1)
        .applied(AGENT, 3, 3)
        .reported((Progressing, 1, 10), (Complete, 3, 10));
    let found = scene.gathered.found.values_mut().find(|found| found.role == Role::Agent).unwrap();
    let text = crate::fixture::AGENT_JSON.replace("info", "warn");
    found.source = Some(crate::fixture::config_map("spire-system", "spire-agent", "agent.conf", &text));
    assert_eq!(short(&scene.plan()), Vec::<String>::new());
}

#[test]
fn a_rollout_fails_after_its_deadline_and_is_then_rolled_back() {
    let late = Scene::new().applied(SERVER, 1, 2).reported((Progressing, 0, 60), (Waiting, 0, 60));
    let plan = late.plan();
    assert_eq!((short(&plan), late.state(&plan, SERVER)), (vec![], Failed));
    let failed = Scene::new().applied(SERVER, 1, 2).reported((Failed, 0, 1), (Waiting, 0, 60));
    let plan = failed.plan();
    assert_eq!(
        (short(&plan), failed.state(&plan, SERVER)),
        (vec!["withdraw spire-server".to_owned()], RolledBack)
    );
}

#[test]
fn without_rollback_it_stays_and_may_mend_itself() {
    let mut failed = Scene::new().applied(SERVER, 1, 2).reported((Failed, 0, 500), (Waiting, 0, 60));
    failed.rollout.rollback = false;
    let plan = failed.plan();
    assert_eq!((short(&plan), failed.state(&plan, SERVER), plan.requeue), (vec![], Failed, None));
    let mut mended = Scene::new().applied(SERVER, 2, 3).reported((Failed, 0, 500), (Waiting, 0, 60));
    mended.rollout.rollback = false;
    assert_eq!(mended.state(&mended.plan(), SERVER), Progressing);
}

#[test]
fn each_pod_that_becomes_ready_gives_time() {
    let scene = Scene::new().applied(SERVER, 2, 3).reported((Progressing, 1, 500), (Waiting, 0, 60));
    let plan = scene.plan();
    assert_eq!((scene.state(&plan, SERVER), plan.requeue), (Progressing, Some(Duration::from_secs(60))));
}

#[test]
fn what_was_rolled_back_is_not_tried_again_until_something_changes() {
    let mut scene = Scene::new().reported((RolledBack, 0, 60), (Waiting, 0, 60));
    let plan = scene.plan();
    assert_eq!((short(&plan), scene.state(&plan, SERVER)), (vec![], RolledBack));
    let tried = ["configure spire-server-keylime false", "overlay spire-server false"];
    scene.resource = resource(json!({"attestation": {"maxAttestationAge": "1m"}}));
    assert_eq!(short(&scene.plan()), tried);
    // No pod would see the change, but its author wants another try.
    scene.resource = resource(json!({}));
    scene.resource.metadata.generation = Some(8);
    let plan = scene.plan();
    assert_eq!((short(&plan), scene.state(&plan, SERVER)), (tried.map(str::to_owned).to_vec(), Progressing));
    assert!(plan.rollouts.values().all(|rollout| rollout.observed_generation == Some(8)));
}

#[test]
fn what_failed_is_not_rolled_back_when_the_resource_has_changed_since() {
    let mut failed = Scene::new().applied(SERVER, 1, 2).reported((Failed, 0, 90), (Waiting, 0, 60));
    failed.resource.metadata.generation = Some(8);
    let plan = failed.plan();
    assert_eq!((short(&plan), failed.state(&plan, SERVER)), (vec![], Progressing));
}

#[test]
fn a_complete_rollout_is_not_rolled_back_for_a_pod_that_dies_later() {
    let scene = Scene::new()
        .applied(SERVER, 3, 3)
        .applied(AGENT, 3, 1)
        .reported((Complete, 3, 9000), (Complete, 3, 9000));
    let plan = scene.plan();
    assert_eq!((short(&plan), scene.state(&plan, AGENT)), (vec![], Complete));
}

#[test]
fn a_held_rollout_does_not_fail() {
    let mut scene = Scene::new();
    let overlay = scene.overlay(AGENT);
    scene =
        scene.applied(SERVER, 3, 3).applied(AGENT, 0, 3).reported((Complete, 3, 10), (Progressing, 0, 900));
    let mut object = crate::fixture::object(AGENT, 0, 3);
    apply(&mut object, &overlay.patch);
    apply(&mut object, &json!({"spec": {"updateStrategy": {"type": "OnDelete"}}}));
    let found = scene.gathered.found.values_mut().find(|found| found.role == Role::Agent).unwrap();
    found.workload = Some(crate::fixture::read(AGENT, object));
    let plan = scene.plan();
    assert_eq!((scene.state(&plan, AGENT), plan.requeue), (Progressing, None));
}

#[test]
fn a_pod_of_an_older_overlay_that_never_got_ready_is_deleted() {
    let mut scene = Scene::new().applied(SERVER, 1, 2).reported((Progressing, 0, 1), (Waiting, 0, 1));
    let key = scene.gathered.found.keys().find(|key| key.kind == SERVER).unwrap().clone();
    let pod = |name: &str, hash: &str| {
        let metadata = json!({"name": name, "namespace": "spire-server", "uid": "u", "annotations": {"spire.keylime.dev/content-hash": hash}});
        serde_json::from_value(json!({"metadata": metadata})).unwrap()
    };
    let hash = scene.hash(SERVER);
    scene.gathered.pods.insert(key, vec![pod("old", "older"), pod("new", &hash)]);
    assert_eq!(short(&scene.plan()), ["delete pod old"]);
}

#[test]
fn in_place_keeps_the_original_before_it_edits() {
    let mut scene = Scene::new();
    scene.resource = resource(json!({"spire": {"mode": "InPlace"}}));
    assert_eq!(
        short(&scene.plan()),
        ["configure spire-server-keylime false", "edit spire-server false", "overlay spire-server false"]
    );
}

#[test]
fn configurations_alone_touch_no_workload_and_give_back_what_was_touched() {
    let mut scene = Scene::new();
    let mut object = crate::fixture::object(AGENT, 3, 3);
    apply(&mut object, &scene.overlay(AGENT).patch);
    scene.gathered.ours.push(crate::fixture::read(AGENT, object));
    scene.resource = resource(json!({"spire": {"mode": "ConfigOnly"}}));
    assert_eq!(
        short(&scene.plan()),
        [
            "withdraw spire-agent",
            "configure spire-server-keylime false",
            "configure spire-agent-keylime false"
        ]
    );
}

#[test]
fn what_the_resource_no_longer_names_goes() {
    let mut scene = Scene::new()
        .applied(SERVER, 3, 3)
        .applied(AGENT, 3, 3)
        .reported((Complete, 3, 10), (Complete, 3, 10));
    let mut object = crate::fixture::object(AGENT, 3, 3);
    apply(&mut object, &json!({"metadata": {"name": "spire-agent-gpu"}}));
    scene.gathered.ours.push(crate::fixture::read(AGENT, object));
    scene.gathered.our_maps.push(crate::fixture::config_map(
        "spire-system",
        "spire-agent-gpu-keylime",
        "agent.conf",
        "",
    ));
    assert_eq!(short(&scene.plan()), ["withdraw spire-agent-gpu"]);
    scene.gathered.ours.clear();
    assert_eq!(short(&scene.plan()), ["delete spire-agent-gpu-keylime"]);
}

#[test]
fn the_controller_managers_configuration_is_there_before_its_pod_reads_it() {
    let mut scene = Scene::new();
    scene.resource = resource(json!({"spire": {"controllerManager": {}}}));
    let text = include_str!("../../../../testdata/controller-manager/chart.yaml");
    crate::fixture::controller_manager(&scene.resource, &mut scene.gathered, json!({}), text);
    assert_eq!(
        short(&scene.plan()),
        [
            "configure spire-controller-manager-keylime false",
            "configure spire-server-keylime false",
            "overlay spire-server false"
        ]
    );
    let desired = scene.desired();
    let map = derived::of_manager(&desired.owner, "spire-server", desired.server.manager.as_ref().unwrap());
    scene.gathered.managers[0].beside = Some(serde_json::from_value(map).unwrap());
    assert_eq!(short(&scene.plan()), ["configure spire-server-keylime false", "overlay spire-server false"]);
}

#[test]
fn the_controller_managers_configuration_goes_when_it_is_no_longer_asked_for() {
    let mut scene = Scene::new()
        .applied(SERVER, 3, 3)
        .applied(AGENT, 3, 3)
        .reported((Complete, 3, 10), (Complete, 3, 10));
    scene.gathered.our_maps.push(crate::fixture::config_map(
        "spire-server",
        "spire-controller-manager-keylime",
        "controller-manager-config.yaml",
        "",
    ));
    assert_eq!(short(&scene.plan()), ["delete spire-controller-manager-keylime"]);
}

mod exclusive;
mod gate;
mod retry;
