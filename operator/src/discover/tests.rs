use keylime_attestor_api::conditions::configuration_applied as reason;
use serde_json::{Value, json};

use super::*;
use crate::fixture::{merge, object, read, resource};
use crate::model::workload::Kind;

/// The discovery of an agent that the resource names with these fields, in a workload with this
/// pod.
fn found(asked: Value, pod: Value) -> Result<Discovered, Problem> {
    let mut agent = json!({"name": "spire-agent"});
    merge(&mut agent, &asked);
    let asked = Asked::all(&resource(json!({"spire": {"agents": [agent]}}))).pop().unwrap();
    let mut object = object(Kind::DaemonSet, 3, 3);
    merge(&mut object, &json!({"spec": {"template": {"spec": pod}}}));
    discover(&asked, &read(Kind::DaemonSet, object))
}

fn container(args: Value, mounts: Value) -> Value {
    json!([{"name": "spire-agent", "image": "spire", "args": args, "volumeMounts": mounts}])
}

#[test]
fn the_chart_is_understood_without_a_word() {
    let found = found(json!({}), json!({})).unwrap();
    let expected = Discovered {
        container: "spire-agent".to_owned(),
        flags: Vec::new(),
        config_path: "/opt/spire/conf/agent/agent.conf".to_owned(),
        config_map: "spire-agent".to_owned(),
        key: Some("agent.conf".to_owned()),
        command: None,
    };
    assert_eq!(found, expected);
}

#[test]
fn flags_are_read_as_go_reads_them() {
    for (args, path, flags) in [
        (json!(["-config", "/c/a.conf"]), "/c/a.conf", vec![]),
        (json!(["--config=/c/a.conf", "-logLevel", "debug"]), "/c/a.conf", vec!["-logLevel", "debug"]),
        (json!(["run", "-expandEnv", "--config", "/c/a.conf"]), "/c/a.conf", vec!["-expandEnv"]),
        (json!(["-config=conf/a.conf"]), "/opt/spire/conf/a.conf", vec![]),
        (
            json!(["-expandEnv", "--", "-config", "/c/a.conf"]),
            "/opt/spire/conf/agent/agent.conf",
            vec!["-expandEnv"],
        ),
        (json!([]), "/opt/spire/conf/agent/agent.conf", vec![]),
    ] {
        let pod = json!({"containers": container(args.clone(), json!([]))});
        let found = found(json!({"configMap": {"name": "m", "key": "k"}}), pod).unwrap();
        assert_eq!(
            (found.config_path.as_str(), found.flags),
            (path, flags.iter().map(ToString::to_string).collect()),
            "{args}"
        );
    }
}

#[test]
fn the_config_map_is_the_one_mounted_nearest() {
    let args = json!(["-config", "/c/d/a.conf"]);
    let map = |name: &str| json!({"name": "v", "configMap": {"name": name}});
    let items = json!([{"key": "k", "path": "a.conf"}]);
    for (mounts, volume, expected) in [
        (json!([{"name": "v", "mountPath": "/c/d"}]), map("m"), Some(("m", "a.conf"))),
        (json!([{"name": "v", "mountPath": "/c/d/"}]), map("m"), Some(("m", "a.conf"))),
        (
            json!([{"name": "v", "mountPath": "/c/d/a.conf", "subPath": "b.conf"}]),
            map("m"),
            Some(("m", "b.conf")),
        ),
        (
            json!([{"name": "v", "mountPath": "/c/d"}]),
            json!({"name": "v", "configMap": {"name": "m", "items": items}}),
            Some(("m", "k")),
        ),
        (
            json!([{"name": "v", "mountPath": "/c/d"}]),
            json!({"name": "v", "projected": {"sources": [{"secret": {"name": "s"}}, {"configMap": {"name": "m", "items": items}}]}}),
            Some(("m", "k")),
        ),
        // Not in that folder, hidden by a nearer mount, no ConfigMap, a folder of the same
        // beginning.
        (json!([{"name": "v", "mountPath": "/c"}]), map("m"), None),
        (json!([{"name": "v", "mountPath": "/"}, {"name": "w", "mountPath": "/c/d"}]), map("m"), None),
        (json!([{"name": "v", "mountPath": "/c/d"}]), json!({"name": "v", "emptyDir": {}}), None),
        (json!([{"name": "v", "mountPath": "/c/dd"}]), map("m"), None),
    ] {
        let pod = json!({"containers": container(args.clone(), mounts.clone()), "volumes": [volume, {"name": "w", "emptyDir": {}}]});
        let found = found(json!({}), pod);
        match expected {
            Some((name, key)) => {
                let found = found.unwrap();
                assert_eq!((found.config_map.as_str(), found.key.as_deref()), (name, Some(key)), "{mounts}");
            }
            None => assert_eq!(found.unwrap_err().reason, reason::CONFIGURATION_NOT_FOUND, "{mounts}"),
        }
    }
}

#[test]
fn our_own_command_is_not_the_owners() {
    let ours = json!([
        "/opt/spire/bin/spire-agent",
        "run",
        "-config",
        "/run/keylime-attestor/configuration/agent.conf",
        "--"
    ]);
    let theirs = json!(["/opt/spire/bin/spire-agent", "run", "-config", "/c/agent.conf"]);
    let pod = |command: Value| {
        let mut containers = container(json!([]), json!([{"name": "spire-config", "mountPath": "/c"}]));
        merge(&mut containers[0], &json!({"command": command}));
        json!({"containers": containers})
    };
    let asked = || json!({"configMap": {"name": "m", "key": "k"}});
    let linked =
        json!(["/x", "run", "-config", "/run/keylime-attestor/plugin/configuration/agent.conf", "--"]);
    for ours in [ours, linked] {
        assert_eq!(found(asked(), pod(ours)).unwrap().command, None);
    }
    let found = found(asked(), pod(theirs)).unwrap();
    assert_eq!(
        (found.command.map(|command| command.len()), found.config_path.as_str()),
        (Some(4), "/c/agent.conf")
    );
}

#[test]
fn a_container_with_a_configuration_in_yaml_is_another_programs() {
    let pod = json!({"containers": [
        {"name": "a", "image": "x", "args": ["--config=controller-manager-config.yaml"]},
        {"name": "b", "image": "x", "args": ["-config", "/c/agent.conf"], "volumeMounts": [{"name": "spire-config", "mountPath": "/c"}]},
    ]});
    assert_eq!(found(json!({}), pod).unwrap().container, "b");
}
