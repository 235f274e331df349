//! The overlay of a workload: only fields that nobody else owns.

use std::collections::BTreeMap;

use keylime_attestor_api::Mode;
use keylime_attestor_api::names::{QUOTER_FOLDER, TOKEN_AUDIENCE, annotation, path};
use ring::digest::{SHA256, digest};
use serde_json::{Value, json};

use super::install;
use crate::configuration::derived;
use crate::model::builds::Builds;
use crate::model::target::{Manager, Owner, Role, Target};
use crate::model::workload::{Workload, owner_labels};

/// The volume with SPIRE's derived configuration.
pub(super) const CONFIGURATION: &str = "keylime-attestor-configuration";
/// The volume that the plugin is installed into.
pub(super) const PLUGIN: &str = "keylime-attestor-plugin";
const SOCKET: &str = "keylime-attestor-socket";
/// The volume with the token of the pod's own account.
pub(crate) const TOKEN: &str = "keylime-attestor-token";
const TLS: &str = "keylime-attestor-tls";
/// The node's folder with the quoter's socket.
const QUOTER: &str = "keylime-attestor-quoter";
const CONTROLLER_MANAGER: &str = "keylime-attestor-controller-manager";

/// The lifetime of a token: the shortest that Kubernetes takes. The kubelet renews it in time.
const TOKEN_SECONDS: u32 = 600;

/// An overlay and the hash that its pods carry.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Overlay {
    /// The whole object to apply.
    pub(crate) patch: Value,
    /// A hash over all that the pods read through us, the overlay itself included; not over the
    /// Secrets' contents, whose changes the plugins follow by themselves.
    pub(crate) hash: String,
}

/// The overlay of a target whose workload exists.
pub(crate) fn overlay(owner: &Owner, mode: Mode, target: &Target, workload: &Workload) -> Overlay {
    let pod = pod(mode, target);
    let hash = hash(&pod, target);
    let mut patch = claim(owner, workload);
    merge(
        &mut patch,
        "spec",
        json!({"template": {"metadata": {"annotations": {annotation::CONTENT_HASH: hash}}, "spec": pod}}),
    );
    Overlay { patch, hash }
}

/// The workload with our labels and annotation, and nothing in its pods.
pub(crate) fn claim(owner: &Owner, workload: &Workload) -> Value {
    let mut patch = identity(workload);
    merge(
        &mut patch,
        "metadata",
        json!({
            "labels": owner_labels(&owner.namespace, &owner.name)
                .into_iter()
                .filter(|(key, _)| key.starts_with(keylime_attestor_api::names::GROUP))
                .collect::<BTreeMap<_, _>>(),
            "annotations": {annotation::ATTESTOR: format!("{}/{}", owner.namespace, owner.name)},
        }),
    );
    patch
}

/// The identity of a workload: an apply of it alone removes all that was applied before. With the
/// UID it can never make an object.
pub(crate) fn identity(workload: &Workload) -> Value {
    json!({
        "apiVersion": "apps/v1",
        "kind": workload.key.kind.as_str(),
        "metadata": {
            "name": workload.key.name,
            "namespace": workload.key.namespace,
            "uid": workload.uid,
        },
    })
}

fn merge(object: &mut Value, key: &str, more: Value) {
    let Some(object) = object.as_object_mut() else { return };
    match (object.get_mut(key).and_then(Value::as_object_mut), more) {
        (Some(there), Value::Object(more)) => there.extend(more),
        (_, more) => {
            object.insert(key.to_owned(), more);
        }
    }
}

fn pod(mode: Mode, target: &Target) -> Value {
    let own_file = mode == Mode::Overlay;
    let fs_group = target.workload.as_ref().is_some_and(has_fs_group);
    let mut volumes = vec![
        json!({"name": PLUGIN, "emptyDir": {"sizeLimit": "64Mi"}}),
        json!({"name": SOCKET, "emptyDir": {"sizeLimit": "1Mi"}}),
    ];
    if own_file {
        let files = derived::files(target).into_iter().map(|(key, path)| json!({"key": key, "path": path}));
        volumes.push(json!({"name": CONFIGURATION, "configMap": {
            "name": derived::name(&target.source.config_map),
            "items": files.collect::<Vec<_>>(),
        }}));
    }
    if let Some(secret) = &target.secret {
        // Without an fsGroup the files are root's, and SPIRE may run as another user.
        let mode = if fs_group { 0o440 } else { 0o444 };
        volumes.push(json!({"name": TLS, "secret": {"secretName": secret, "defaultMode": mode}}));
    }
    if target.quoter {
        // Of another type the kubelet would make what is not there yet, and the quoter's owner could
        // not write into it.
        volumes.push(json!({"name": QUOTER, "hostPath": {"path": QUOTER_FOLDER, "type": "Directory"}}));
    }
    if target.token {
        let token =
            json!({"audience": TOKEN_AUDIENCE, "expirationSeconds": TOKEN_SECONDS, "path": path::TOKEN_FILE});
        volumes.push(json!({"name": TOKEN, "projected": {"sources": [{"serviceAccountToken": token}]}}));
    }
    let mut containers = vec![container(own_file, target)];
    if let Some(manager) = &target.manager {
        containers.push(controller_manager(manager));
        volumes.push(json!({"name": CONTROLLER_MANAGER, "configMap": {
            "name": derived::name(&manager.config_map),
            "items": [{"key": manager.key, "path": manager.key}],
        }}));
    }
    json!({
        "initContainers": [install::container(target)],
        "containers": containers,
        "volumes": volumes,
    })
}

/// spire-controller-manager with the derived configuration and its own other flags. Like SPIRE it
/// reads no flag behind `--`.
fn controller_manager(manager: &Manager) -> Value {
    let Manager { container, program, flags, key, .. } = manager;
    let mut command = vec![program.clone(), format!("--config={}/{key}", path::CONTROLLER_MANAGER)];
    command.extend(flags.iter().cloned());
    command.push("--".to_owned());
    json!({
        "name": container,
        "command": command,
        "volumeMounts": [{"name": CONTROLLER_MANAGER, "mountPath": path::CONTROLLER_MANAGER, "readOnly": true}],
    })
}

fn has_fs_group(workload: &Workload) -> bool {
    let context = workload.pod_spec().and_then(|pod| pod.security_context.as_ref());
    context.is_some_and(|context| context.fs_group.is_some())
}

fn container(own_file: bool, target: &Target) -> Value {
    let mut mounts = vec![
        json!({"name": PLUGIN, "mountPath": path::PLUGIN, "readOnly": true}),
        json!({"name": SOCKET, "mountPath": path::SOCKET}),
    ];
    let mut container = json!({
        "name": target.container,
        "env": environment(target),
    });
    if own_file {
        mounts.push(json!({"name": CONFIGURATION, "mountPath": path::CONFIGURATION, "readOnly": true}));
        merge(&mut container, "command", json!(command(target.role, target)));
    }
    if target.secret.is_some() {
        mounts.push(json!({"name": TLS, "mountPath": path::TLS, "readOnly": true}));
    }
    if target.quoter {
        // A socket can be connected to all the same.
        mounts.push(json!({"name": QUOTER, "mountPath": path::QUOTER, "readOnly": true}));
    }
    if target.token {
        mounts.push(json!({"name": TOKEN, "mountPath": path::TOKEN, "readOnly": true}));
    }
    merge(&mut container, "volumeMounts", json!(mounts));
    container
}

/// The environment of SPIRE's container: the folder of the plugin's socket and, in `TMPDIR`, that
/// of SPIRE's socket with its services for the plugin. A container with a temporary folder of its
/// own keeps it.
fn environment(target: &Target) -> Value {
    let variable = |name: &str| json!({"name": name, "value": path::SOCKET});
    let mut variables = vec![variable("PLUGIN_UNIX_SOCKET_DIR")];
    if !has_temporary_folder(target) {
        variables.push(variable("TMPDIR"));
    }
    json!(variables)
}

fn has_temporary_folder(target: &Target) -> bool {
    install::spire(target).is_some_and(|container| {
        let mut variables = container.env.iter().flatten();
        let mut mounts = container.volume_mounts.iter().flatten();
        variables.any(|variable| variable.name == "TMPDIR" && variable.value.as_deref() != Some(path::SOCKET))
            || mounts.any(|mount| mount.mount_path.trim_end_matches('/') == "/tmp")
    })
}

/// SPIRE with our configuration and its own other flags. Kubernetes appends the container's args,
/// and SPIRE ignores what follows `--`.
fn command(role: Role, target: &Target) -> Vec<String> {
    let folder = match target.derived {
        Builds::One { .. } => path::CONFIGURATION,
        Builds::Each(_) => path::OWN_CONFIGURATION,
    };
    let config = format!("{folder}/{}", target.source.key);
    let mut command = [role.spire(), "run", "-config", &config].map(str::to_owned).to_vec();
    command.extend(target.flags.iter().cloned());
    command.push("--".to_owned());
    command
}

fn hash(pod: &Value, target: &Target) -> String {
    let manager = target.manager.as_ref().map(|manager| format!("\n{}", manager.derived)).unwrap_or_default();
    let derived = match &target.derived {
        Builds::One { of, .. } => of.clone(),
        Builds::Each(all) => json!(all).to_string(),
    };
    hex::encode(digest(&SHA256, format!("{pod}\n{derived}{manager}").as_bytes()))
}
