//! The objects to apply, whole, for each kind of workload, language and mode, compared with
//! `testdata`. `UPDATE_GENERATED=1 cargo test -p keylime-attestor-operator` writes it anew.

use std::collections::BTreeMap;
use std::path::Path;

use keylime_attestor_api::Mode;
use serde_json::{Value, json};

use super::{in_place, overlay::overlay};
use crate::configuration::derived;
use crate::fixture::{AGENT_HCL, SERVER_HCL, checksums_for, config_map, desired, gathered, resource};
use crate::gather::Gathered;
use crate::model::binding::Review;
use crate::model::target::{Desired, Role};
use crate::validate::validate;

/// SPIRE from manifests of one's own: a Deployment, HCL, no TLS to Keylime's agents.
fn manual(mode: &str) -> Desired {
    let mut resource = resource(json!({
        "spire": {"mode": mode, "server": {"kind": "Deployment", "name": "spire-server", "namespace": "spire-server"}},
        "attestation": {"canReattest": false, "allowedMetadataKeys": ["rack"], "maxAttestationAge": "0"},
    }));
    resource.spec.keylime.agent.tls = None;
    let mut gathered = gathered(&resource);
    for (key, found) in &mut gathered.found {
        let (name, file, text) = match found.role {
            Role::Server => ("spire-server", "server.conf", SERVER_HCL),
            Role::Agent => ("spire-agent", "agent.conf", AGENT_HCL),
        };
        found.source = Some(config_map(&key.namespace, name, file, text));
    }
    desired(&resource, &gathered)
}

/// SPIFFE's charts, pinned agents on another address; the server may review tokens.
fn charts() -> Desired {
    let resource = resource(json!({
        "keylime": {
            "verifiers": [{"host": "keylime.example"}, {"host": "fd00::2"}, {"host": "verifier-2.example", "port": 8882}],
            "registrar": {"host": "registrar.example", "port": 8892},
            "tls": {"serverName": "localhost"},
            "agent": {"host": "10.0.0.1", "tls": {"pinServerCertificate": true}},
        },
        "attestation": {"allowedNodeLabelKeys": ["topology.kubernetes.io/zone"]},
        "enforcement": {"action": "Evict", "grace": "1m"},
    }));
    desired(&resource, &Gathered { review: Review::Possible, ..gathered(&resource) })
}

/// Nodes whose Keylime agents open no port.
fn push() -> Desired {
    let socket = "/run/keylime-attestor/quoter.sock";
    let resource = resource(json!({"keylime": {"agent": {"tls": null, "socket": socket}}}));
    desired(&resource, &gathered(&resource))
}

/// With spire-controller-manager beside the server.
fn controller_manager() -> Desired {
    let resource = resource(json!({"spire": {"controllerManager": {}}}));
    let mut gathered = gathered(&resource);
    let text = include_str!("../../testdata/controller-manager/manual.yaml");
    crate::fixture::controller_manager(&resource, &mut gathered, json!({}), text);
    desired(&resource, &gathered)
}

/// An image that was made for two architectures.
fn mixed() -> Desired {
    let resource = resource(json!({}));
    validate(&resource, &gathered(&resource), &checksums_for(&["amd64", "arm64"])).unwrap()
}

fn objects(desired: &Desired) -> Vec<Value> {
    let mut objects = Vec::new();
    if let Some(manager) = &desired.server.manager {
        objects.push(derived::of_manager(&desired.owner, &desired.server.key.namespace, manager));
        let server = &desired.server;
        objects.push(overlay(&desired.owner, desired.mode, server, server.workload.as_ref().unwrap()).patch);
        return objects;
    }
    for target in desired.targets() {
        match desired.mode {
            Mode::InPlace => {
                objects.push(in_place::keep(&desired.owner, target));
                objects.push(in_place::edit(&desired.owner, target));
            }
            _ => objects.push(derived::config_map(&desired.owner, target, BTreeMap::new())),
        }
        objects.push(overlay(&desired.owner, desired.mode, target, target.workload.as_ref().unwrap()).patch);
    }
    objects
}

/// Texts of several lines as blocks, all others on one line.
fn yaml(object: &Value) -> String {
    let options = serde_yaml::ser_options! { folded_wrap_chars: usize::MAX };
    serde_yaml::to_string_with_options(object, options).unwrap()
}

#[test]
fn what_is_applied_is_as_it_was_reviewed() {
    for (name, desired) in [
        ("charts-overlay", charts()),
        ("controller-manager", controller_manager()),
        ("manual-overlay", manual("Overlay")),
        ("manual-in-place", manual("InPlace")),
        ("mixed-overlay", mixed()),
        ("push-overlay", push()),
    ] {
        let text: String = objects(&desired).iter().map(|object| format!("---\n{}", yaml(object))).collect();
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata").join(format!("{name}.yaml"));
        if std::env::var_os("UPDATE_GENERATED").is_some() {
            std::fs::write(&path, &text).unwrap();
        }
        let expected = std::fs::read_to_string(&path).unwrap_or_default();
        assert_eq!(text, expected, "{} is not what is applied", path.display());
    }
}

#[test]
fn an_image_of_one_architecture_gives_the_same_wherever_that_is_told() {
    let resource = resource(json!({}));
    let gathered = gathered(&resource);
    let plain = objects(&desired(&resource, &gathered));
    for (changes, image) in
        [(json!({}), &["amd64"][..]), (json!("amd64"), &["amd64"]), (json!("amd64"), &["amd64", "arm64"])]
    {
        let mut resource = resource.clone();
        if let Some(architecture) = changes.as_str() {
            resource.spec.spire.server.architecture = Some(architecture.to_owned());
            resource.spec.spire.agents[0].workload.architecture = Some(architecture.to_owned());
        }
        let told = validate(&resource, &gathered, &checksums_for(image)).unwrap();
        assert_eq!(objects(&told), plain, "{changes} {image:?}");
    }
}

#[test]
fn the_hash_changes_with_a_build_of_whichever_architecture() {
    let resource = resource(json!({}));
    let gathered = gathered(&resource);
    let hash = |architectures: &[&str]| {
        let desired = validate(&resource, &gathered, &checksums_for(architectures)).unwrap();
        let server = &desired.server;
        overlay(&desired.owner, desired.mode, server, server.workload.as_ref().unwrap()).hash
    };
    let hashes =
        [&["amd64"][..], &["amd64", "arm64"], &["arm64", "amd64"], &["amd64", "arm64", "s390x"]].map(hash);
    assert_eq!(std::collections::BTreeSet::from(hashes).len(), 4);
}

#[test]
fn the_hash_changes_with_the_configuration_of_the_controller_manager() {
    let hash = |change: &str| {
        let resource = resource(json!({"spire": {"controllerManager": {}}}));
        let mut gathered = gathered(&resource);
        let text = include_str!("../../testdata/controller-manager/manual.yaml").replace("test", change);
        crate::fixture::controller_manager(&resource, &mut gathered, json!({}), &text);
        let desired = desired(&resource, &gathered);
        overlay(&desired.owner, desired.mode, &desired.server, desired.server.workload.as_ref().unwrap()).hash
    };
    assert_eq!(hash("test"), hash("test"));
    assert_ne!(hash("test"), hash("other"));
}

#[test]
fn the_hash_changes_with_what_the_pods_read_and_with_nothing_else() {
    let of = |changes: Value| {
        let resource = resource(changes);
        let desired = desired(&resource, &gathered(&resource));
        overlay(&desired.owner, desired.mode, &desired.server, desired.server.workload.as_ref().unwrap()).hash
    };
    let hash = of(json!({}));
    for changes in [
        json!({"attestation": {"maxAttestationAge": "1m"}}),
        json!({"keylime": {"tls": {"secretName": "another"}}}),
        json!({"spire": {"pluginName": "another"}}),
        json!({"spire": {"mode": "InPlace"}}),
        json!({"enforcement": {}}),
        json!({"keylime": {"verifiers": [{"host": "keylime.example"}, {"host": "another"}]}}),
    ] {
        assert_ne!(of(changes.clone()), hash, "{changes}");
    }
    let resource = resource(json!({}));
    let gathered = Gathered { image: Some("another".to_owned()), ..gathered(&resource) };
    let desired = desired(&resource, &gathered);
    let of_image =
        overlay(&desired.owner, desired.mode, &desired.server, desired.server.workload.as_ref().unwrap());
    assert_ne!(of_image.hash, hash);
    for changes in
        [json!({"rollout": {"progressDeadline": "1m"}}), json!({"keylime": {"agent": {"port": 9003}}})]
    {
        assert_eq!(of(changes.clone()), hash, "{changes}");
    }
}
