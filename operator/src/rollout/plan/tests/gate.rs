//! Agents that would lose their identity are left alone.

use keylime_attestor_api::Unattestable;

use super::*;
use crate::model::agents::{Agent, Keylime};

impl Scene {
    /// The agents' pods, those with a star run with the plugin, and the nodes that Keylime passes.
    fn agents(mut self, pods: &[&str], passed: &[&str]) -> Self {
        let agent = |pod: &&str| Agent {
            node: pod.trim_end_matches('*').to_owned(),
            moved: pod.ends_with('*'),
            architecture: None,
        };
        for agents in self.gathered.agents.pods.values_mut() {
            *agents = pods.iter().map(agent).collect();
        }
        let nodes = pods.iter().map(|pod| {
            let node = pod.trim_end_matches('*');
            (node.to_owned(), (!passed.contains(&node)).then(|| "NotEnrolled".to_owned()))
        });
        self.gathered.agents.keylime = Some(Keylime { silent: None, nodes: nodes.collect() });
        self
    }

    fn silent(mut self) -> Self {
        self.gathered.agents.keylime.as_mut().unwrap().silent = Some("connection refused".to_owned());
        self
    }

    fn server_done() -> Self {
        Self::new().applied(SERVER, 3, 3).reported((Complete, 3, 10), (Waiting, 0, 10))
    }

    /// A cluster that is rolled out, whose agents get another configuration.
    fn changed_later() -> Self {
        let mut scene = Self::new()
            .applied(SERVER, 3, 3)
            .applied(AGENT, 3, 3)
            .reported((Complete, 3, 10), (Complete, 3, 10));
        let found = scene.gathered.found.values_mut().find(|found| found.role == Role::Agent).unwrap();
        let text = crate::fixture::AGENT_JSON.replace("info", "warn");
        found.source = Some(crate::fixture::config_map("spire-system", "spire-agent", "agent.conf", &text));
        scene
    }

    fn waits(plan: &Plan) -> String {
        plan.waits.values().map(ToString::to_string).collect()
    }
}

const MOVED: [&str; 2] = ["configure spire-agent-keylime false", "overlay spire-agent false"];

#[test]
fn no_agent_moves_while_keylime_would_refuse_one() {
    let scene = Scene::server_done().agents(&["a", "b"], &["a"]);
    let plan = scene.plan();
    assert_eq!((short(&plan), scene.state(&plan, AGENT)), (vec![], Waiting));
    assert!(
        Scene::waits(&plan).contains("1 of the 2 nodes") && Scene::waits(&plan).contains("b (NotEnrolled)")
    );
    assert!(plan.requeue.is_some_and(|again| again <= again::KEYLIME) && !plan.waits_for_server);
    let plan = Scene::server_done().agents(&["a", "b"], &["a", "b"]).plan();
    assert_eq!((short(&plan), plan.waits.len()), (MOVED.map(str::to_owned).to_vec(), 0));
}

#[test]
fn in_place_nothing_of_the_agents_is_edited_before() {
    let mut scene = Scene::new();
    scene.resource = resource(json!({"spire": {"mode": "InPlace"}}));
    let overlay = scene.overlay(SERVER);
    replace(&mut scene.gathered, SERVER, 3, 3, Some(&overlay.patch));
    let agents_touched = |scene: &Scene| short(&scene.plan()).iter().any(|step| step.contains("agent"));
    let scene = scene.reported((Complete, 3, 10), (Waiting, 0, 10)).agents(&["a"], &[]);
    assert!(!agents_touched(&scene), "{:?}", short(&scene.plan()));
    assert!(agents_touched(&scene.agents(&["a"], &["a"])));
}

#[test]
fn who_accepts_the_loss_may_proceed() {
    let mut scene = Scene::server_done().agents(&["a"], &[]).silent();
    assert_eq!(short(&scene.plan()), Vec::<String>::new());
    scene.rollout.unattestable = Unattestable::Proceed;
    assert_eq!(short(&scene.plan()), MOVED);
}

#[test]
fn a_failed_node_that_has_moved_holds_up_no_later_change() {
    let plan = Scene::changed_later().agents(&["a*", "b*"], &["a"]).plan();
    assert_eq!((short(&plan), plan.waits.len()), (MOVED.map(str::to_owned).to_vec(), 0));
}

#[test]
fn while_keylime_gives_no_answers_no_agent_is_restarted() {
    let scene = Scene::changed_later().agents(&["a*", "b*"], &["a", "b"]).silent();
    let plan = scene.plan();
    assert_eq!((short(&plan), scene.state(&plan, AGENT)), (vec![], Complete));
    assert!(Scene::waits(&plan).contains("connection refused"), "{}", Scene::waits(&plan));
}

#[test]
fn a_rollout_under_way_is_gone_on_with() {
    let scene = Scene::new()
        .applied(SERVER, 3, 3)
        .applied(AGENT, 1, 2)
        .reported((Complete, 3, 10), (Progressing, 1, 10))
        .agents(&["a*", "b"], &[])
        .silent();
    let plan = scene.plan();
    assert_eq!((scene.state(&plan, AGENT), plan.waits.len()), (Progressing, 0));
}

#[test]
fn a_configuration_that_somebody_changed_is_corrected_all_the_same() {
    let mut scene = Scene::new()
        .applied(SERVER, 3, 3)
        .applied(AGENT, 3, 3)
        .reported((Complete, 3, 10), (Complete, 3, 10))
        .agents(&["a*", "b"], &["a"]);
    replace(&mut scene.gathered, AGENT, 3, 3, None);
    let found = scene.gathered.found.values_mut().find(|found| found.role == Role::Agent).unwrap();
    found.beside = None;
    assert_eq!(short(&scene.plan()), ["configure spire-agent-keylime true"]);
}

#[test]
fn agents_that_no_longer_move_in_batches_are_not_all_moved_at_once() {
    let mut scene = Scene::new()
        .applied(SERVER, 3, 3)
        .applied(AGENT, 1, 3)
        .reported((Complete, 3, 10), (Complete, 3, 10))
        .agents(&["a*", "b"], &["a"]);
    let overlay = scene.overlay(AGENT);
    let mut object = crate::fixture::object(AGENT, 1, 3);
    apply(&mut object, &overlay.patch);
    apply(
        &mut object,
        &json!({"spec": {"updateStrategy": {"type": "OnDelete"}}, "metadata": {"managedFields": [
        {"manager": "keylime-attestor-operator", "operation": "Apply", "apiVersion": "apps/v1", "fieldsType": "FieldsV1",
            "fieldsV1": {"f:spec": {"f:updateStrategy": {"f:type": {}}}}}]}}),
    );
    let found = scene.gathered.found.values_mut().find(|found| found.role == Role::Agent).unwrap();
    found.workload = Some(crate::fixture::read(AGENT, object));
    assert_eq!(short(&scene.plan()), Vec::<String>::new());
    assert_eq!(short(&scene.agents(&["a*", "b"], &["a", "b"]).plan()), ["overlay spire-agent false"]);
}
