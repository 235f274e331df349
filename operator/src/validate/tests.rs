use keylime_attestor_api::conditions::configuration_applied as reason;
use serde_json::{Value, json};

use keylime_attestor_api::conditions::Reason;

use super::configuration::MAX_CONFIG_MAP;
use super::*;
use crate::discover::discover;
use crate::fixture::{checksums, config_map, gathered, merge, object, read, resource};
use crate::gather::{Found, Presence};
use crate::model::workload::Kind;

/// The problems of a resource after changes of it and of the gathered objects.
fn problems(changes: Value, change: impl FnOnce(&mut Gathered)) -> Vec<(&'static str, String)> {
    let resource = resource(changes);
    let mut gathered = gathered(&resource);
    change(&mut gathered);
    let problems = validate(&resource, &gathered, &checksums()).err().unwrap_or_default();
    problems.into_iter().map(|problem| (problem.reason.name, problem.message)).collect()
}

fn agent(gathered: &mut Gathered) -> &mut Found {
    gathered.found.values_mut().find(|found| found.role == Role::Agent).unwrap()
}

/// Another pod of the agents.
fn pod(gathered: &mut Gathered, pod: Value) {
    let mut object = object(Kind::DaemonSet, 3, 3);
    merge(&mut object, &json!({"spec": {"template": {"spec": pod}}}));
    let workload = read(Kind::DaemonSet, object);
    let asked = Asked::all(&resource(json!({}))).pop().unwrap();
    let found = agent(gathered);
    found.discovered = Some(discover(&asked, &workload));
    found.workload = Some(workload);
}

fn text(gathered: &mut Gathered, text: &str) {
    agent(gathered).source = Some(config_map("spire-system", "spire-agent", "agent.conf", text));
}

/// Another pod of the agents, with these arguments.
fn arguments(gathered: &mut Gathered, arguments: &[&str]) {
    let mount = json!([{"name": "spire-config", "mountPath": "/c"}]);
    let container = json!({"name": "spire-agent", "image": "x", "args": arguments, "volumeMounts": mount});
    pod(gathered, json!({"containers": [container]}));
}

fn presence(gathered: &mut Gathered, presence: Presence) {
    let secret = ("spire-server".to_owned(), "keylime-client".to_owned());
    gathered.secrets.insert(secret, presence);
}

#[test]
fn what_is_complete_has_no_problems() {
    for mode in ["Overlay", "InPlace", "ConfigOnly"] {
        assert_eq!(problems(json!({"spire": {"mode": mode}}), |_| {}), []);
    }
}

#[test]
fn variables_stay_where_spire_expands_them() {
    let with = |flags: &[&str]| {
        problems(json!({}), |all| {
            arguments(all, &[flags, &["-config", "/c/agent.conf"]].concat());
            text(all, "agent {\n  server_port = ${PORT}\n  insecure_bootstrap = $YES\n}\nplugins {}\n");
        })
    };
    assert_eq!(with(&["-expandEnv"]), []);
    assert_eq!(with(&["run", "--expandEnv=true"]), []);
    for flags in [&[][..], &["-expandEnv=false"]] {
        let [(_, message)] = with(flags).try_into().unwrap();
        assert!(message.contains("-expandEnv"), "{message}");
    }
}

/// Also where it was edited in place: a text that SPIRE refuses is reported before our part is
/// looked for.
#[test]
fn a_plugin_that_is_declared_twice_is_named() {
    let twice = "plugins {\n  NodeAttestor \"keylime\" {}\n  NodeAttestor \"keylime\" {}\n}\n";
    for kept in [false, true] {
        let found = problems(json!({"spire": {"mode": "InPlace"}}), |all| {
            text(all, twice);
            if kept {
                let mut map = config_map(
                    "spire-system",
                    "spire-agent-keylime",
                    "original-agent.agent.conf",
                    "plugins {}\n",
                );
                let name = ("spire.keylime.dev/plugin-name".to_owned(), "keylime".to_owned());
                map.metadata.annotations = Some([name].into());
                agent(all).beside = Some(map);
            }
        });
        let [(reason, message)] = found.try_into().unwrap();
        assert_eq!(reason, reason::CONFIGURATION_INVALID.name);
        assert!(
            message.contains("line 3")
                && message.contains("NodeAttestor \"keylime\" is declared already on line 2"),
            "{message}"
        );
    }
}

#[test]
fn agents_beside_other_keylime_agents_have_a_configuration_of_their_own() {
    let push = |own: Value, changes: Value| {
        let mut push = json!({"name": "push", "keylimeAgent": own});
        merge(&mut push, &changes);
        problems(json!({"spire": {"agents": [{"name": "spire-agent"}, push]}}), |_| {})
    };
    let socket = json!({"socket": "/run/keylime-attestor/quoter.sock"});
    assert_eq!(push(socket.clone(), json!({"configMap": {"name": "push"}})), []);
    let [(reason, message)] = push(socket, json!({})).try_into().unwrap();
    assert_eq!(reason, reason::CONFIGURATION_INVALID.name);
    let expected = "the DaemonSet spire-system/spire-agent and the DaemonSet spire-system/push, whose node attestors \
                    differ, have the same configuration, agent.conf in the ConfigMap spire-agent: give each";
    assert!(message.starts_with(expected), "{message}");
    // Those that differ in nothing share it, as before.
    assert_eq!(push(json!({"tls": {"secretName": "keylime-node"}}), json!({})), []);
    let [(reason, message)] =
        push(json!({"host": "127.1"}), json!({"configMap": {"name": "push"}})).try_into().unwrap();
    assert_eq!(reason, reason::SPEC_INVALID.name);
    assert!(message.starts_with("spec.spire.agents (push): keylimeAgent: "), "{message}");
}

#[test]
fn each_refusal_says_why_and_what_to_do() {
    let none = || json!({});
    let commanded = json!({"containers": [{"name": "spire-agent", "image": "x", "command": ["/bin/spire"],
        "args": ["-config", "/c/agent.conf"], "volumeMounts": [{"name": "spire-config", "mountPath": "/c"}]}]});
    let two = json!({"containers": [{"name": "a", "image": "x"}, {"name": "b", "image": "x"}]});
    let unmounted = json!({"volumes": [{"name": "spire-config", "emptyDir": {}}]});
    let huge = format!("agent {{ log_level = \"{}\" }}\nplugins {{}}\n", "x".repeat(MAX_CONFIG_MAP - 100));
    type Change = Box<dyn FnOnce(&mut Gathered)>;
    let cases: Vec<(Reason, Value, Change, &str)> = vec![
        (
            reason::SPEC_INVALID,
            json!({"attestation": {"agentPathTemplate": "/{{ .Unknown }}/{{ .AgentID }}"}}),
            Box::new(|_| {}),
            "spec.attestation.agentPathTemplate",
        ),
        (
            reason::SPEC_INVALID,
            json!({"keylime": {"verifiers": [{"host": "127.1"}]}}),
            Box::new(|_| {}),
            "spec.keylime.verifiers",
        ),
        (
            reason::WORKLOAD_NOT_FOUND,
            none(),
            Box::new(|all| agent(all).workload = None),
            "DaemonSet spire-system/spire-agent",
        ),
        (
            reason::WORKLOAD_CLAIMED,
            none(),
            Box::new(|all| {
                let key = all.found.keys().next().unwrap().clone();
                all.claims.insert(key, Owner { namespace: "n".to_owned(), name: "older".to_owned() });
            }),
            "KeylimeAttestor n/older",
        ),
        (reason::CONTAINER_NOT_FOUND, none(), Box::new(move |all| pod(all, two)), "none of a, b is one"),
        (
            reason::COMMAND_SET,
            none(),
            Box::new(move |all| pod(all, commanded)),
            "it has /bin/spire: give SPIRE's flags as args",
        ),
        (
            reason::CONFIGURATION_NOT_FOUND,
            none(),
            Box::new(move |all| pod(all, unmounted)),
            "/opt/spire/conf/agent/agent.conf",
        ),
        (
            reason::CONFIGURATION_NOT_FOUND,
            none(),
            Box::new(|all| agent(all).source = None),
            "the ConfigMap spire-system/spire-agent",
        ),
        (
            reason::CONFIGURATION_NOT_FOUND,
            none(),
            Box::new(|all| {
                agent(all).source = Some(config_map("spire-system", "spire-agent", "other", ""));
            }),
            "the key agent.conf",
        ),
        (
            reason::CONFIGURATION_INVALID,
            none(),
            Box::new(|all| text(all, "agent {\n  x = 1\n")),
            "agent.conf in the ConfigMap spire-system/spire-agent: ",
        ),
        (
            reason::CONFIGURATION_INVALID,
            none(),
            Box::new(|all| text(all, "plugins {}\nplugins {}")),
            "more than once",
        ),
        (
            reason::CONFIGURATION_INVALID,
            none(),
            Box::new(|all| text(all, "agent {\n  server_port = ${PORT}\n}\nplugins {}\n")),
            "line 2, column 17: unexpected character '$'; a variable stands here only in a file that SPIRE reads with -expandEnv",
        ),
        (
            reason::CONFIGURATION_TOO_LARGE,
            none(),
            Box::new(move |all| text(all, &huge)),
            "at most 1032192 bytes",
        ),
        (
            reason::SECRET_NOT_FOUND,
            none(),
            Box::new(|all| presence(all, Presence::Missing)),
            "the Secret keylime-client in the namespace spire-server",
        ),
        (
            reason::SECRET_INCOMPLETE,
            none(),
            Box::new(|all| presence(all, Presence::Incomplete(vec!["it lacks ca.crt".to_owned()]))),
            "it lacks ca.crt",
        ),
        (
            reason::SECRET_FORBIDDEN,
            none(),
            Box::new(|all| presence(all, Presence::Forbidden)),
            "rbac.keylimeSecrets, as {namespace: spire-server, names: [keylime-client]}",
        ),
        (reason::PLUGIN_IMAGE_UNKNOWN, none(), Box::new(|all| all.image = None), "--plugin-image"),
    ];
    for (reason, changes, change, expected) in cases {
        let problems = problems(changes, change);
        assert_eq!(problems.len(), 1, "{}: {problems:?}", reason.name);
        for (name, message) in problems {
            assert_eq!(name, reason.name);
            assert!(message.contains(expected), "{name}: {message}");
        }
    }
}

#[test]
fn every_problem_is_told_at_once() {
    let all = problems(json!({"keylime": {"agent": {"host": "127.1"}}}), |all| {
        agent(all).source = None;
        all.image = None;
    });
    let names: Vec<&str> = all.iter().map(|(name, _)| *name).collect();
    assert_eq!(names, ["SpecInvalid", "ConfigurationNotFound", "PluginImageUnknown"]);
}

#[test]
fn a_command_is_no_matter_in_place() {
    let pod_with_command = json!({"containers": [{"name": "spire-agent", "image": "x", "command": ["/bin/spire", "-config", "/c/agent.conf"],
        "volumeMounts": [{"name": "spire-config", "mountPath": "/c"}]}]});
    assert_eq!(problems(json!({"spire": {"mode": "InPlace"}}), |all| pod(all, pod_with_command)), []);
}

#[test]
fn configurations_alone_need_no_workload_no_image_and_no_node_secret() {
    let spire = json!({"mode": "ConfigOnly", "agents": [{"name": "spire-agent", "configMap": {"name": "spire-agent"}}]});
    let found = problems(json!({"spire": spire}), |all| {
        agent(all).workload = None;
        all.image = None;
        let node = ("spire-system".to_owned(), "keylime-node".to_owned());
        all.secrets.insert(node, Presence::Missing);
    });
    assert_eq!(found, []);
}

#[test]
fn server_and_agents_cannot_share_an_entry() {
    let spire = json!({"mode": "ConfigOnly",
        "server": {"namespace": "n", "configMap": {"name": "one", "key": "spire.conf"}},
        "agents": [{"name": "spire-agent", "namespace": "n", "configMap": {"name": "one", "key": "spire.conf"}}]});
    let found = problems(json!({"spire": spire}), |all| {
        for found in all.found.values_mut() {
            found.workload = None;
            found.source = Some(config_map("n", "one", "spire.conf", crate::fixture::AGENT_HCL));
        }
    });
    assert_eq!(found.first().map(|(name, _)| *name), Some("ConfigurationInvalid"), "{found:?}");
}

#[test]
fn an_edited_configuration_whose_original_is_lost_is_no_original() {
    let in_place = json!({"spire": {"mode": "InPlace"}});
    let found = problems(in_place, |all| {
        let edited = crate::fixture::AGENT_HCL.replace(
            "k8s_psat\" {",
            "keylime\" {\n plugin_cmd = \"/run/keylime-attestor/plugin/keylime-attestor-agent\"",
        );
        text(all, &edited);
        let source = agent(all).source.as_mut().unwrap();
        source.metadata.annotations =
            Some([("spire.keylime.dev/attestor".to_owned(), "spire-system/spire".to_owned())].into());
    });
    let [(name, message)] = found.as_slice() else { panic!("{found:?}") };
    assert_eq!(*name, "ConfigurationInvalid");
    assert!(message.contains("put back what SPIRE had before"), "{message}");
}

#[test]
fn steps_need_a_mode_and_a_strategy_that_allow_them() {
    let in_batches = |mode: &str| json!({"rollout": {"batchSize": 1}, "spire": {"mode": mode}});
    assert_eq!(problems(in_batches("Overlay"), |_| {}), []);
    let in_place = problems(in_batches("InPlace"), |_| {});
    assert!(
        in_place[0].0 == "SpecInvalid" && in_place[0].1.contains("expected spire.mode Overlay"),
        "{in_place:?}"
    );
    let rolling = |all: &mut Gathered| {
        let mut object = object(Kind::DaemonSet, 3, 3);
        merge(
            &mut object,
            &json!({"spec": {"updateStrategy": {"type": "RollingUpdate"}}, "metadata": {"managedFields":
            [{"manager": "helm", "operation": "Apply", "fieldsType": "FieldsV1",
              "fieldsV1": {"f:spec": {"f:updateStrategy": {"f:type": {}}}}}]}}),
        );
        agent(all).workload = Some(read(Kind::DaemonSet, object));
    };
    let refused = problems(in_batches("Overlay"), rolling);
    assert!(
        refused[0].0 == "FieldConflict" && refused[0].1.contains("helm has set it to RollingUpdate"),
        "{refused:?}"
    );
    assert_eq!(problems(json!({}), rolling), []);
}
