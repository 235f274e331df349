//! A server that admits nodes by our attestor alone.

use super::*;
use crate::build::in_place;

impl Scene {
    fn exclusive(mode: &str) -> Self {
        let mut scene = Self::new();
        scene.asks_for(mode, "Exclusive");
        scene.gathered.needs = Some(Vec::new());
        scene
    }

    fn asks_for(&mut self, mode: &str, attestors: &str) {
        self.resource = resource(json!({"spire": {"mode": mode, "attestors": attestors}, "enforcement": {}}));
    }
}

#[test]
fn agents_whose_rollout_failed_do_not_get_back_what_the_server_would_not_admit() {
    let failed = |scene: Scene| {
        scene.applied(SERVER, 3, 3).applied(AGENT, 1, 2).reported((Complete, 3, 99), (Failed, 0, 1))
    };
    let exclusive = failed(Scene::exclusive("Overlay"));
    let plan = exclusive.plan();
    assert_eq!((short(&plan), exclusive.state(&plan, AGENT)), (vec![], Failed));
    // Nor while the server's pods are those of before a change to Coexist.
    let mut coexistent = failed(Scene::new());
    coexistent.previous.readmission_due = true;
    assert_eq!(short(&coexistent.plan()), Vec::<String>::new());
    coexistent.previous.readmission_due = false;
    let plan = coexistent.plan();
    assert_eq!(
        (short(&plan), coexistent.state(&plan, AGENT)),
        (vec!["withdraw spire-agent".to_owned()], RolledBack)
    );
}

#[test]
fn in_place_the_server_gets_its_attestors_back_before_they_are_kept_otherwise() {
    let mut scene = Scene::exclusive("InPlace");
    let Desired { owner, server, .. } = scene.desired();
    beside(&mut scene.gathered, Role::Server, &in_place::keep(&owner, &server));
    let found = scene.gathered.found.values_mut().find(|found| found.role == Role::Server).unwrap();
    found.source = Some(crate::fixture::config_map(
        "spire-server",
        "spire-server",
        "server.conf",
        server.derived.any().unwrap(),
    ));
    scene.asks_for("InPlace", "Coexist");
    let steps = short(&scene.plan());
    assert_eq!(
        steps.iter().take(2).collect::<Vec<_>>(),
        ["edit spire-server false", "configure spire-server-keylime false"]
    );
}
