//! SPIRE as its charts set it up, for the tests of pure functions.

use k8s_openapi::api::core::v1::ConfigMap;
use k8s_openapi::jiff::Timestamp;
use keylime_attestor_api::{KeylimeAttestor, KeylimeAttestorStatus, RolloutState, WorkloadStatus};
use ring::digest::{SHA256, digest};
use serde_json::{Value, json};

use crate::configuration::derived;
use crate::discover::discover;
use crate::discover::manager;
use crate::gather::{Found, FoundManager, Gathered, Presence};
use crate::model::agents::Keylime;
use crate::model::target::{Asked, Desired, Role};
use crate::model::workload::{Kind, Workload};
use crate::plugins::Checksums;
use crate::validate::validate;

pub(crate) const SERVER_JSON: &str = include_str!("../../plugins/hcl/testdata/chart-server.conf");
pub(crate) const AGENT_JSON: &str = include_str!("../../plugins/hcl/testdata/chart-agent.conf");
pub(crate) const SERVER_HCL: &str = include_str!("../../plugins/hcl/testdata/manual-server.conf");
pub(crate) const AGENT_HCL: &str = include_str!("../../plugins/hcl/testdata/manual-agent.conf");

/// The generation of the resource.
const GENERATION: i64 = 7;

pub(crate) fn now() -> Timestamp {
    "2026-01-01T12:00:00Z".parse().unwrap()
}

/// The resource, with its spec changed as asked for.
pub(crate) fn resource(changes: Value) -> KeylimeAttestor {
    let mut resource = json!({
        "apiVersion": "spire.keylime.dev/v1alpha1",
        "kind": "KeylimeAttestor",
        "metadata": {"name": "spire", "namespace": "spire-system", "generation": GENERATION},
        "spec": {
            "keylime": {
                "verifiers": [{"host": "keylime.example"}],
                "tls": {"secretName": "keylime-client"},
                "agent": {"tls": {"secretName": "keylime-node"}},
            },
            "spire": {
                "server": {"name": "spire-server", "namespace": "spire-server"},
                "agents": [{"name": "spire-agent"}],
            },
        },
    });
    merge(&mut resource, &json!({"spec": changes}));
    serde_json::from_value(resource).unwrap()
}

pub(crate) fn merge(into: &mut Value, changes: &Value) {
    match (into, changes) {
        (Value::Object(into), Value::Object(changes)) => {
            for (key, value) in changes {
                merge(into.entry(key).or_insert(Value::Null), value);
            }
        }
        (into, value) => *into = value.clone(),
    }
}

/// Puts spire-controller-manager beside the server, as SPIFFE's charts do, with its container
/// changed as asked for.
pub(crate) fn controller_manager(
    resource: &KeylimeAttestor,
    gathered: &mut Gathered,
    changes: Value,
    text: &str,
) {
    let (name, key) = ("spire-controller-manager", "controller-manager-config.yaml");
    let mut container = json!({"name": name, "image": "manager", "args": [format!("--config={key}"), "--expand-env"],
        "volumeMounts": [{"name": "manager", "mountPath": format!("/{key}"), "subPath": key}]});
    merge(&mut container, &changes);
    let found = gathered.found.values_mut().find(|found| found.role == Role::Server).unwrap();
    let kind = found.workload.as_ref().unwrap().key.kind;
    let mut object = object(kind, 3, 3);
    let pod = object.pointer_mut("/spec/template/spec").unwrap();
    pod["containers"].as_array_mut().unwrap().push(container);
    pod["volumes"].as_array_mut().unwrap().push(json!({"name": "manager", "configMap": {"name": name}}));
    let workload = read(kind, object);
    let asked = Asked::all(resource).remove(0);
    let discovered = discover(&asked, &workload);
    let spire = discovered.as_ref().unwrap().container.clone();
    let candidates = manager::candidates(&resource.spec.spire.controller_manager, &workload, Some(&spire));
    gathered.managers = candidates
        .into_iter()
        .map(|discovered| FoundManager {
            discovered,
            source: Some(config_map(&workload.key.namespace, name, key, text)),
            beside: None,
        })
        .collect();
    (found.workload, found.discovered) = (Some(workload), Some(discovered));
}

/// A workload of three pods, with the counts of those with the present template and of those that
/// are available.
pub(crate) fn workload(kind: Kind, updated: i32, available: i32) -> Workload {
    read(kind, object(kind, updated, available))
}

pub(crate) fn read(kind: Kind, object: Value) -> Workload {
    Workload::read(kind, serde_json::from_value(object).unwrap()).unwrap()
}

pub(crate) fn object(kind: Kind, updated: i32, available: i32) -> Value {
    let (name, namespace, args, mount) = match kind {
        Kind::DaemonSet => (
            "spire-agent",
            "spire-system",
            json!(["-config", "/opt/spire/conf/agent/agent.conf"]),
            "/opt/spire/conf/agent",
        ),
        Kind::StatefulSet | Kind::Deployment => (
            "spire-server",
            "spire-server",
            json!(["-expandEnv", "-config", "/run/spire/config/server.conf"]),
            "/run/spire/config",
        ),
    };
    let status = match kind {
        Kind::DaemonSet => {
            json!({"desiredNumberScheduled": 3, "currentNumberScheduled": 3, "numberMisscheduled": 0,
            "numberReady": available, "numberAvailable": available, "updatedNumberScheduled": updated})
        }
        Kind::Deployment => {
            json!({"replicas": 3, "updatedReplicas": updated, "availableReplicas": available})
        }
        Kind::StatefulSet => {
            json!({"replicas": 3, "updatedReplicas": updated, "availableReplicas": available,
            "currentRevision": if updated == 3 { "new" } else { "old" }, "updateRevision": "new"})
        }
    };
    let mut object = json!({
        "apiVersion": "apps/v1", "kind": kind.as_str(),
        "metadata": {"name": name, "namespace": namespace, "uid": format!("uid-of-{name}"), "generation": 4},
        "spec": {
            "replicas": 3,
            "serviceName": name,
            "selector": {"matchLabels": {"app": name}},
            "template": {
                "metadata": {"labels": {"app": name}},
                "spec": {
                    "containers": [{"name": name, "image": "spire", "args": args,
                        "volumeMounts": [{"name": "spire-config", "mountPath": mount}]}],
                    "volumes": [{"name": "spire-config", "configMap": {"name": name}}],
                },
            },
        },
        "status": {"observedGeneration": 4},
    });
    merge(&mut object, &json!({"status": status}));
    object
}

pub(crate) fn config_map(namespace: &str, name: &str, key: &str, text: &str) -> ConfigMap {
    serde_json::from_value(json!({
        "apiVersion": "v1", "kind": "ConfigMap",
        "metadata": {"name": name, "namespace": namespace, "uid": format!("uid-of-{name}"), "resourceVersion": "1"},
        "data": {key: text},
    }))
    .unwrap()
}

pub(crate) fn checksums() -> Checksums {
    checksums_for(&[])
}

/// The checksums in an image that is made for these architectures; the operator runs on the first.
pub(crate) fn checksums_for(architectures: &[&str]) -> Checksums {
    let folder = tempfile::tempdir().unwrap();
    let mut build = serde_json::Map::new();
    for name in [Role::Server, Role::Agent].map(Role::plugin) {
        std::fs::write(folder.path().join(name), name).unwrap();
        build.insert(name.to_owned(), json!(hex::encode(digest(&SHA256, name.as_bytes()))));
    }
    let mut written = serde_json::Map::new();
    for architecture in architectures {
        written.insert((*architecture).to_owned(), json!(build));
        build
            .values_mut()
            .for_each(|sum| *sum = json!(hex::encode(digest(&SHA256, sum.to_string().as_bytes()))));
    }
    if !written.is_empty() {
        std::fs::write(folder.path().join("checksums.json"), json!(written).to_string()).unwrap();
    }
    Checksums::read(folder.path()).unwrap()
}

/// SPIRE's server and agents, nothing of ours.
pub(crate) fn gathered(resource: &KeylimeAttestor) -> Gathered {
    let mut gathered =
        Gathered { image: Some("registry.example/k@sha256:0".to_owned()), ..Gathered::default() };
    for asked in Asked::all(resource) {
        let workload = workload(asked.key.kind, 3, 3);
        let namespace = &asked.key.namespace;
        let source = match asked.role {
            Role::Server => config_map(namespace, "spire-server", "server.conf", SERVER_JSON),
            Role::Agent => config_map(namespace, "spire-agent", "agent.conf", AGENT_JSON),
        };
        let secret = match asked.role {
            Role::Server => "keylime-client",
            Role::Agent => "keylime-node",
        };
        gathered.secrets.insert((namespace.clone(), secret.to_owned()), Presence::There);
        let discovered = Some(discover(&asked, &workload));
        let found = Found {
            role: asked.role,
            workload: Some(workload),
            discovered,
            source: Some(source),
            beside: None,
        };
        gathered.agents.pods.insert(asked.key.clone(), Vec::new());
        gathered.found.insert(asked.key, found);
    }
    gathered.agents.keylime = Some(Keylime::default());
    gathered.report_client =
        resource.spec.enforcement.as_ref().map(|_| Ok("0123456789abcdef".repeat(4).parse().unwrap()));
    gathered
}

pub(crate) fn desired(resource: &KeylimeAttestor, gathered: &Gathered) -> Desired {
    validate(resource, gathered, &checksums()).unwrap()
}

/// Replaces a workload by one with other counts, and with what was applied to it.
pub(crate) fn replace(
    gathered: &mut Gathered,
    kind: Kind,
    updated: i32,
    available: i32,
    applied: Option<&Value>,
) {
    let found = gathered.found.iter_mut().find(|(key, _)| key.kind == kind).unwrap().1;
    let mut object = object(kind, updated, available);
    if let Some(applied) = applied {
        apply(&mut object, applied);
    }
    found.workload = Some(read(kind, object));
}

/// The effect of an apply on an object, as far as the tests need it.
pub(crate) fn apply(object: &mut Value, applied: &Value) {
    match (object, applied) {
        (Value::Object(object), Value::Object(applied)) => {
            for (key, value) in applied {
                apply(object.entry(key).or_insert(Value::Null), value);
            }
        }
        (Value::Array(list), Value::Array(applied)) => {
            for element in applied {
                let same = |other: &&mut Value| {
                    ["name", "mountPath"].iter().all(|key| other.get(key) == element.get(key))
                };
                match list.iter_mut().find(same) {
                    Some(there) => apply(there, element),
                    None => list.push(element.clone()),
                }
            }
        }
        (object, applied) => *object = applied.clone(),
    }
}

/// Our ConfigMap beside SPIRE's.
pub(crate) fn beside(gathered: &mut Gathered, role: Role, map: &Value) {
    let found = gathered.found.values_mut().find(|found| found.role == role).unwrap();
    found.beside = Some(serde_json::from_value(map.clone()).unwrap());
    assert_eq!(
        found.beside.as_ref().unwrap().metadata.name,
        found.source.as_ref().map(|source| derived::name(source.metadata.name.as_ref().unwrap()))
    );
}

/// A status with the rollout of a workload.
pub(crate) fn reported(
    kind: Kind,
    state: RolloutState,
    hash: &str,
    ready: i32,
    seconds_ago: i64,
) -> WorkloadStatus {
    let object = object(kind, 0, 0);
    let text = |path| object.pointer(path).and_then(Value::as_str).unwrap().to_owned();
    let since = Timestamp::from_second(now().as_second() - seconds_ago).unwrap();
    serde_json::from_value(json!({
        "kind": kind.as_str(), "name": text("/metadata/name"), "namespace": text("/metadata/namespace"),
        "rollout": {"state": state, "contentHash": (state != RolloutState::Waiting).then_some(hash), "lastProgressTime": since.to_string(), "desired": 3,
            "observedGeneration": GENERATION, "updated": ready, "ready": ready},
    }))
    .unwrap()
}

pub(crate) fn status(server: WorkloadStatus, agents: Vec<WorkloadStatus>) -> KeylimeAttestorStatus {
    KeylimeAttestorStatus { server: Some(server), agents, ..KeylimeAttestorStatus::default() }
}
