use keylime_attestor_api::conditions::configuration_applied as reason;
use serde_json::{Value, json};

use super::*;
use crate::fixture::{merge, object, read, resource};
use crate::model::workload::Kind;

/// The name of the server's container in a pod with these containers, or the problem's message.
fn found(asked: Option<&str>, containers: Value) -> Result<String, String> {
    let mut server = json!({"name": "spire-server"});
    if let Some(name) = asked {
        server["container"] = json!(name);
    }
    let asked = Asked::all(&resource(json!({"spire": {"server": server}}))).remove(0);
    let mut object = object(Kind::StatefulSet, 3, 3);
    merge(&mut object, &json!({"spec": {"template": {"spec": {"containers": containers}}}}));
    match find(&asked, &read(Kind::StatefulSet, object)) {
        Ok(container) => Ok(container.name.clone()),
        Err(problem) => {
            assert_eq!(problem.reason, reason::CONTAINER_NOT_FOUND);
            Err(problem.message)
        }
    }
}

fn container(name: &str, image: &str, args: &[&str]) -> Value {
    json!({"name": name, "image": image, "args": args})
}

const CONFIG: &[&str] = &["-config", "/run/x/x.conf"];

#[test]
fn spires_program_or_image_is_told_from_others_that_have_a_configuration_too() {
    let oidc = || container("oidc", "ghcr.io/spiffe/oidc-discovery-provider:1.13.3", CONFIG);
    for spire in [
        container("a", "ghcr.io/spiffe/spire-server:1.13.3", CONFIG),
        // SPIRE has a default path of its configuration, too.
        container("a", "ghcr.io/spiffe/spire-server:1.13.3", &[]),
        container("a", "registry.example:5000/spire-server@sha256:0", CONFIG),
        container("a", "registry.example/vendor/spiffe-spire-server-rhel9:v1", CONFIG),
        container("a", "mirror/x", &["/opt/spire/bin/spire-server", "run", "-config", "/run/x/x.conf"]),
        json!({"name": "a", "image": "x", "command": ["/bin/spire-server", "run"], "args": CONFIG}),
    ] {
        for containers in [json!([spire, oidc()]), json!([oidc(), spire])] {
            assert_eq!(found(None, containers), Ok("a".to_owned()), "{spire}");
        }
    }
}

#[test]
fn of_two_that_run_spires_program_the_one_with_a_configuration_serves() {
    let image = "ghcr.io/spiffe/spire-server:1.13.3";
    let containers = json!([container("watch", image, &["healthcheck"]), container("a", image, CONFIG)]);
    assert_eq!(found(None, containers), Ok("a".to_owned()));
}

#[test]
fn by_the_flag_alone_where_no_image_tells_and_by_name_against_all() {
    let two = || json!([container("a", "x", &[]), container("b", "y", CONFIG)]);
    assert_eq!(found(None, two()), Ok("b".to_owned()));
    assert_eq!(found(Some("a"), two()), Ok("a".to_owned()));
}

#[test]
fn none_and_several_have_texts_of_their_own() {
    let image = "ghcr.io/spiffe/spire-server:1.13.3";
    for (asked, containers, expected) in [
        (
            Some("c"),
            json!([container("a", "x", CONFIG), container("b", "y", CONFIG)]),
            "expected the container c in the StatefulSet spire-server/spire-server, it has a, b",
        ),
        (None, json!([container("a", "x", &[]), container("b", "y", &[])]), "none of a, b is one"),
        (
            None,
            json!([container("a", "x", CONFIG), container("b", "y", CONFIG), container("c", "z", &[])]),
            "a, b could each be it",
        ),
        (
            None,
            json!([
                container("a", image, CONFIG),
                container("b", image, CONFIG),
                container("c", "z", CONFIG)
            ]),
            "a, b could each be it",
        ),
    ] {
        let message = found(asked, containers).unwrap_err();
        assert!(
            message.contains(expected) && message.ends_with("set container of the workload in spec.spire"),
            "{message}"
        );
    }
}
