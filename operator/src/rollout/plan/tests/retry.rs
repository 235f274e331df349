//! Failures that stay, and those that are tried again.

use keylime_attestor_api::{FailureCause, RetryStatus};

use super::*;
use crate::model::agents::{Agent, Keylime};

impl Scene {
    /// A server that was rolled back so long ago, for this cause.
    fn rolled_back(cause: FailureCause, failures: i32, ago: i64) -> Self {
        let mut scene = Self::new().reported((RolledBack, 0, ago), (Waiting, 0, ago));
        scene.note(SERVER, cause, failures);
        scene
    }

    fn note(&mut self, kind: Kind, cause: FailureCause, failures: i32) {
        let all = self.previous.server.iter_mut().chain(&mut self.previous.agents);
        let mut of_kind = all.filter(|workload| workload.kind == kind.as_str());
        let rollout = of_kind.next().and_then(|workload| workload.rollout.as_mut()).unwrap();
        rollout.retry = Some(RetryStatus { failures, cause, secrets: Some("1".to_owned()) });
    }

    fn failures(&self, plan: &Plan, kind: Kind) -> Option<i32> {
        let (_, rollout) = plan.rollouts.iter().find(|(key, _)| key.kind == kind).unwrap();
        rollout.retry.as_ref().map(|retry| retry.failures)
    }
}

const TRIED: [&str; 2] = ["configure spire-server-keylime false", "overlay spire-server false"];

#[test]
fn pods_that_cannot_be_created_are_no_rollout_to_wait_for() {
    let mut scene = Scene::new().applied(SERVER, 2, 2).reported((Progressing, 2, 5), (Waiting, 0, 5));
    let overlay = scene.overlay(SERVER);
    let mut object = crate::fixture::object(SERVER, 2, 2);
    apply(&mut object, &overlay.patch);
    apply(&mut object, &json!({"status": {"replicas": 2}}));
    let (key, found) = scene.gathered.found.iter_mut().find(|(key, _)| key.kind == SERVER).unwrap();
    let key = key.clone();
    found.workload = Some(crate::fixture::read(SERVER, object));
    let plan = scene.plan();
    assert_eq!((scene.state(&plan, SERVER), plan.requeue), (Progressing, Some(MISSING)));
    scene.gathered.uncreated.insert(key, "exceeded quota".to_owned());
    let plan = scene.plan();
    assert_eq!((scene.state(&plan, SERVER), plan.requeue), (Failed, Some(Duration::from_secs(1))));
}

#[test]
fn a_complete_rollout_is_not_rolled_back_for_a_pod_that_cannot_be_created_later() {
    let mut scene = Scene::new().applied(SERVER, 3, 2).reported((Complete, 3, 90), (Waiting, 0, 90));
    let key = scene.gathered.found.keys().find(|key| key.kind == SERVER).unwrap().clone();
    scene.gathered.uncreated.insert(key, "exceeded quota".to_owned());
    assert_eq!(scene.state(&scene.plan(), SERVER), Complete);
}

#[test]
fn what_the_cluster_was_the_cause_of_is_tried_again_after_a_pause() {
    let early = Scene::rolled_back(FailureCause::PodNotCreated, 2, 40);
    let plan = early.plan();
    assert_eq!((short(&plan), plan.requeue), (vec![], Some(Duration::from_secs(20))));
    assert_eq!((early.state(&plan, SERVER), early.failures(&plan, SERVER)), (RolledBack, Some(2)));
    let due = Scene::rolled_back(FailureCause::PodNotCreated, 2, 60);
    let plan = due.plan();
    assert_eq!(short(&plan), TRIED);
    assert_eq!((due.state(&plan, SERVER), due.failures(&plan, SERVER)), (Progressing, Some(2)));
}

#[test]
fn a_secret_that_changed_is_tried_again() {
    let mut scene = Scene::rolled_back(FailureCause::Pods, 1, 600);
    scene.gathered.secret_versions = Some("1".to_owned());
    assert_eq!(short(&scene.plan()), Vec::<String>::new());
    scene.gathered.secret_versions = Some("2".to_owned());
    assert_eq!(short(&scene.plan()), TRIED);
}

#[test]
fn agents_are_tried_again_when_keylime_answers_and_passes_their_nodes() {
    let mut scene = Scene::new().applied(SERVER, 3, 3).reported((Complete, 3, 600), (RolledBack, 0, 600));
    scene.note(AGENT, FailureCause::Keylime, 1);
    let tried = ["configure spire-agent-keylime false", "overlay spire-agent false"];
    for pods in scene.gathered.agents.pods.values_mut() {
        *pods = vec![Agent { node: "a".to_owned(), moved: false, architecture: None }];
    }
    let mut keylime = |silent: Option<&str>, refused: Option<&str>| {
        let nodes = BTreeMap::from([("a".to_owned(), refused.map(str::to_owned))]);
        scene.gathered.agents.keylime = Some(Keylime { silent: silent.map(str::to_owned), nodes });
        let plan = scene.plan();
        (short(&plan), scene.state(&plan, AGENT), scene.failures(&plan, AGENT))
    };
    let stays = (vec![], RolledBack, Some(1));
    assert_eq!(keylime(Some("why"), None), stays);
    assert_eq!(keylime(None, Some("Stale")), stays);
    assert_eq!(keylime(None, None), (tried.map(str::to_owned).to_vec(), Progressing, Some(1)));
}

#[test]
fn a_change_of_the_resource_forgets_the_failures() {
    let mut scene = Scene::rolled_back(FailureCause::Cluster, 5, 1);
    scene.resource.metadata.generation = Some(8);
    let plan = scene.plan();
    assert_eq!((short(&plan), scene.failures(&plan, SERVER)), (TRIED.map(str::to_owned).to_vec(), None));
}
