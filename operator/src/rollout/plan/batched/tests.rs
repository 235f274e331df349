use keylime_attestor_api::{
    BatchStatus, Duration as Written, KeylimeAttestor, KeylimeAttestorStatus, Rollout,
};
use serde_json::{Value, json};

use super::*;
use crate::fixture::{apply, beside, desired, gathered, now, object, read, reported, resource, status};
use crate::gather::Gathered;
use crate::model::node::{Node, Standing};
use crate::model::target::{Desired, Role};
use crate::model::workload::Kind;
use crate::rollout::plan::plan;

const SERVER: Kind = Kind::StatefulSet;
const AGENT: Kind = Kind::DaemonSet;

/// A cluster of three nodes whose server is rolled out, with the last status of its agents.
struct Scene {
    resource: KeylimeAttestor,
    gathered: Gathered,
    previous: KeylimeAttestorStatus,
    rollout: Rollout,
}

/// The owner of the update strategy.
#[derive(Clone, Copy, PartialEq)]
enum Held {
    ByUs,
    ByThem,
    No,
}

impl Scene {
    fn new() -> Self {
        let resource = resource(json!({"rollout": {"batchSize": 1}}));
        let mut gathered = gathered(&resource);
        for name in ["a", "b", "c"] {
            gathered.nodes.insert(name.to_owned(), Node { standing: Standing::Passed, issued: false });
        }
        let rollout = Rollout {
            progress_deadline: Written::from_secs(60),
            batch_size: Some(Share::Nodes(1)),
            ..Rollout::default()
        };
        let mut scene = Self { resource, gathered, previous: KeylimeAttestorStatus::default(), rollout };
        let (hash, patch) = scene.overlay(SERVER);
        let map = scene.map(SERVER);
        beside(&mut scene.gathered, Role::Server, &map);
        crate::fixture::replace(&mut scene.gathered, SERVER, 3, 3, Some(&patch));
        scene.previous = status(reported(SERVER, Complete, &hash, 3, 90), Vec::new());
        scene
    }

    fn desired(&self) -> Desired {
        desired(&self.resource, &self.gathered)
    }

    fn overlay(&self, kind: Kind) -> (String, Value) {
        let desired = self.desired();
        let target = desired.targets().find(|target| target.key.kind == kind).unwrap();
        let Overlay { patch, hash } =
            overlay(&desired.owner, desired.mode, target, target.workload.as_ref().unwrap());
        (hash, patch)
    }

    fn map(&self, kind: Kind) -> Value {
        let desired = self.desired();
        let target = desired.targets().find(|target| target.key.kind == kind).unwrap();
        crate::configuration::derived::config_map(&desired.owner, target, std::collections::BTreeMap::new())
    }

    /// The DaemonSet as the cluster has it, with so many pods of its template.
    fn daemon_set(mut self, overlaid: bool, updated: i32, held: Held) -> Self {
        let mut live = object(AGENT, updated, 3);
        if overlaid {
            let map = self.map(AGENT);
            beside(&mut self.gathered, Role::Agent, &map);
            apply(&mut live, &self.overlay(AGENT).1);
        }
        if held != Held::No {
            live = on_delete(live);
        }
        let manager = if held == Held::ByUs { "keylime-attestor-operator" } else { "helm" };
        if held != Held::No {
            live["metadata"]["managedFields"] = json!([{"manager": manager, "operation": "Apply", "fieldsType": "FieldsV1",
                "fieldsV1": {"f:spec": {"f:updateStrategy": {"f:type": {}}}}}]);
        }
        let found = self.gathered.found.values_mut().find(|found| found.role == Role::Agent).unwrap();
        found.workload = Some(read(AGENT, live));
        self
    }

    /// Its pods: the node, true for a new one, true for a ready one.
    fn pods(mut self, pods: &[(&str, bool, bool)]) -> Self {
        let hash = self.overlay(AGENT).0;
        let pods = pods.iter().map(|(node, new, ready)| {
            let annotations = if *new { json!({"spire.keylime.dev/content-hash": hash}) } else { json!({}) };
            serde_json::from_value(json!({
                "metadata": {"name": node, "namespace": "spire-system", "uid": node, "annotations": annotations},
                "spec": {"nodeName": node, "containers": []},
                "status": {"conditions": [{"type": "Ready", "status": if *ready { "True" } else { "False" }}]},
            }))
            .unwrap()
        });
        let key = self.gathered.found.keys().find(|key| key.kind == AGENT).unwrap().clone();
        self.gathered.pods.insert(key, pods.collect());
        self
    }

    /// The last status of the agents, so many seconds ago.
    fn reported(mut self, state: RolloutState, nodes: &[&str], ago: i64) -> Self {
        let mut agent = reported(AGENT, state, &self.overlay(AGENT).0, 0, ago);
        let nodes: Vec<String> = nodes.iter().map(ToString::to_string).collect();
        let waiting = i32::try_from(nodes.len()).unwrap();
        agent.rollout.as_mut().unwrap().batch =
            Some(BatchStatus { nodes, waiting, ..BatchStatus::default() });
        self.previous.agents = vec![agent];
        self
    }

    fn standing(mut self, node: &str, standing: Standing) -> Self {
        self.gathered.nodes.insert(node.to_owned(), Node { standing, issued: false });
        self
    }

    /// The steps in short, the state, and the nodes of the batch.
    fn due(&self) -> (Vec<String>, RolloutState, Vec<String>) {
        let plan = plan(&self.desired(), &self.gathered, &self.previous, &self.rollout, now());
        let rollout = plan.rollouts.iter().find(|(key, _)| key.kind == AGENT).unwrap().1.clone();
        let steps = plan.steps.iter().map(short).collect();
        (steps, rollout.state, rollout.batch.map(|batch| batch.nodes).unwrap_or_default())
    }
}

/// A step in short, with `held` where it leaves the replacing of pods to us.
fn short(step: &Step) -> String {
    let held = |object: &Value| if object.pointer("/spec/updateStrategy").is_some() { " held" } else { "" };
    let template = |object: &Value| if object.pointer("/spec/template").is_some() { " overlaid" } else { "" };
    match step {
        Step::Configure { .. } => "configure".to_owned(),
        Step::Hold { object, .. } => format!("hold{}{}", template(object), held(object)),
        Step::Overlay { object, correction, .. } => {
            format!("overlay{}{}", held(object), if *correction { " correction" } else { "" })
        }
        Step::Withdraw { object, .. } => format!("withdraw{}", held(object)),
        Step::DeletePod { name, .. } => format!("delete {name}"),
        other => format!("{other:?}"),
    }
}

use RolloutState::{Complete, Failed, Progressing, RolledBack, Waiting};

fn texts(texts: &[&str]) -> Vec<String> {
    texts.iter().map(ToString::to_string).collect()
}

const OLD: [(&str, bool, bool); 3] = [("a", false, true), ("b", false, true), ("c", false, true)];
const FIRST_BROKEN: [(&str, bool, bool); 3] = [("a", true, false), ("b", false, true), ("c", false, true)];

#[test]
fn agents_wait_for_the_server() {
    let mut scene = Scene::new();
    scene.previous = KeylimeAttestorStatus::default();
    crate::fixture::replace(&mut scene.gathered, SERVER, 0, 3, None);
    assert_eq!(scene.due().1, Waiting);
}

#[test]
fn the_template_changes_and_no_pod_with_it() {
    let scene = Scene::new();
    assert_eq!(scene.due(), (texts(&["configure", "hold held", "overlay held"]), Progressing, vec![]));
    // An operator that ended between the two.
    let scene = Scene::new().daemon_set(false, 3, Held::ByUs);
    assert_eq!(scene.due(), (texts(&["configure", "overlay held"]), Progressing, vec![]));
    let scene = Scene::new().daemon_set(false, 3, Held::ByThem);
    assert_eq!(scene.due(), (texts(&["configure", "overlay"]), Progressing, vec![]));
}

#[test]
fn a_batch_is_reported_and_then_carried_out() {
    let scene = Scene::new().daemon_set(true, 0, Held::ByUs).pods(&OLD).reported(Progressing, &[], 500);
    assert_eq!(scene.due(), (vec![], Progressing, texts(&["a"])));
    let scene = scene.reported(Progressing, &["a"], 1);
    assert_eq!(scene.due(), (texts(&["delete a"]), Progressing, texts(&["a"])));
    let scene = scene.pods(&FIRST_BROKEN);
    assert_eq!(scene.due(), (vec![], Progressing, texts(&["a"])));
    let scene = scene.pods(&[("a", true, true), ("b", false, true), ("c", false, true)]);
    assert_eq!(scene.due(), (vec![], Progressing, texts(&["b"])));
}

#[test]
fn a_batch_that_is_late_fails_is_reported_and_then_rolled_back() {
    let late =
        Scene::new().daemon_set(true, 1, Held::ByUs).pods(&FIRST_BROKEN).reported(Progressing, &["a"], 60);
    assert_eq!(late.due(), (vec![], Failed, texts(&["a"])));
    let failed = late.reported(Failed, &["a"], 60);
    assert_eq!(failed.due(), (texts(&["withdraw held"]), RolledBack, vec![]));
    let back = Scene::new().pods(&FIRST_BROKEN).reported(RolledBack, &[], 1).daemon_set(false, 2, Held::ByUs);
    assert_eq!(back.due(), (texts(&["delete a"]), RolledBack, vec![]));
    let back = Scene::new().pods(&OLD).reported(RolledBack, &[], 1).daemon_set(false, 3, Held::ByUs);
    assert_eq!(back.due(), (texts(&["withdraw"]), RolledBack, vec![]));
    let back = Scene::new().reported(RolledBack, &[], 1);
    assert_eq!(back.due(), (vec![], RolledBack, vec![]));
}

#[test]
fn nodes_of_earlier_batchs_go_back_in_batchs() {
    let moved = [("a", true, true), ("b", true, true), ("c", false, true)];
    let back = Scene::new().pods(&moved).reported(RolledBack, &[], 1).daemon_set(false, 1, Held::ByThem);
    assert_eq!(back.due().0, texts(&["delete a"]));
}

#[test]
fn without_rollback_it_stops_and_may_mend_itself() {
    let mut failed =
        Scene::new().daemon_set(true, 1, Held::ByUs).pods(&FIRST_BROKEN).reported(Failed, &["a"], 600);
    failed.rollout.rollback = false;
    assert_eq!(failed.due(), (vec![], Failed, texts(&["a"])));
    let mended = failed.pods(&[("a", true, true), ("b", false, true), ("c", false, true)]);
    assert_eq!(mended.due(), (vec![], Progressing, texts(&["b"])));
}

#[test]
fn a_failed_batch_replaces_no_further_pod() {
    let pods = [("a", true, false), ("b", false, true), ("c", false, true)];
    let mut failed =
        Scene::new().daemon_set(true, 1, Held::ByUs).pods(&pods).reported(Failed, &["a", "b"], 600);
    failed.rollout.rollback = false;
    assert_eq!(failed.due(), (vec![], Failed, texts(&["a", "b"])));
}

#[test]
fn a_failed_batch_has_another_try_when_the_resource_has_changed() {
    let mut failed =
        Scene::new().daemon_set(true, 1, Held::ByUs).pods(&FIRST_BROKEN).reported(Failed, &["a"], 600);
    failed.resource.metadata.generation = Some(8);
    assert_eq!(failed.due(), (vec![], Progressing, texts(&["a"])));
}

#[test]
fn each_node_that_is_done_gives_time() {
    let pods = [("a", true, true), ("b", true, false), ("c", false, true)];
    let scene =
        Scene::new().daemon_set(true, 2, Held::ByUs).pods(&pods).reported(Progressing, &["a", "b"], 600);
    assert_eq!(scene.due(), (vec![], Progressing, texts(&["a", "b"])));
}

#[test]
fn when_all_have_moved_the_strategy_is_given_back() {
    let all = [("a", true, true), ("b", true, true), ("c", true, true)];
    let scene = Scene::new().daemon_set(true, 3, Held::ByUs).pods(&all).reported(Progressing, &["c"], 5);
    assert_eq!(scene.due(), (texts(&["overlay"]), Complete, vec![]));
    let scene = Scene::new().daemon_set(true, 3, Held::No).reported(Complete, &[], 5);
    assert_eq!(scene.due(), (vec![], Complete, vec![]));
    let scene = Scene::new().daemon_set(true, 3, Held::ByThem).pods(&all).reported(Progressing, &["c"], 5);
    assert_eq!(scene.due(), (vec![], Complete, vec![]));
}

#[test]
fn nodes_that_are_not_enrolled_keep_it_held() {
    let pods = [("a", true, true), ("b", true, true), ("c", false, true)];
    let scene = Scene::new().daemon_set(true, 2, Held::ByUs).pods(&pods).reported(Progressing, &["b"], 5);
    let left = scene.standing("c", Standing::NotEnrolled);
    assert_eq!(left.due(), (vec![], Complete, vec![]));
    // Enrolled later, it is moved.
    let later = left.reported(Complete, &[], 9000).standing("c", Standing::Passed);
    assert_eq!(later.due(), (vec![], Progressing, texts(&["c"])));
}

#[test]
fn nodes_that_keylime_does_not_pass_are_waited_for_without_a_deadline() {
    let pods = [("a", true, true), ("b", true, true), ("c", false, true)];
    let scene = Scene::new().daemon_set(true, 2, Held::ByUs).pods(&pods).reported(Progressing, &[], 9000);
    assert_eq!(scene.standing("c", Standing::NotPassed).due(), (vec![], Progressing, vec![]));
}

#[test]
fn pods_that_are_not_there_yet_are_no_end() {
    let scene = Scene::new().daemon_set(true, 0, Held::ByUs).pods(&[]).reported(Progressing, &[], 5);
    assert_eq!(scene.due().1, Progressing);
}

#[test]
fn what_others_change_is_put_right() {
    let scene =
        Scene::new().daemon_set(true, 1, Held::No).pods(&FIRST_BROKEN).reported(Progressing, &["a"], 5);
    assert_eq!(scene.due().0, texts(&["hold overlaid held"]));
    let map = scene.map(AGENT);
    let mut scene = scene.daemon_set(false, 1, Held::ByUs);
    beside(&mut scene.gathered, Role::Agent, &map);
    assert_eq!(scene.due().0, texts(&["overlay held correction"]));
}

#[test]
fn without_batchs_the_strategy_is_given_back_at_once() {
    let mut scene =
        Scene::new().daemon_set(true, 1, Held::ByUs).pods(&FIRST_BROKEN).reported(Progressing, &["a"], 5);
    scene.rollout.batch_size = None;
    assert_eq!(scene.due().0, texts(&["overlay"]));
}
