//! The init container that installs the plugin for SPIRE's container. Pure.

use k8s_openapi::api::core::v1::{Capabilities, Container, SeccompProfile, SecurityContext};
use keylime_attestor_api::names::path;
use serde_json::{Value, json};

use super::overlay::{CONFIGURATION, PLUGIN};
use crate::model::builds::Builds;
use crate::model::target::Target;
use crate::model::workload::Workload;

const NAME: &str = "keylime-attestor-install";

/// The init container of a target.
pub(super) fn container(target: &Target) -> Value {
    let spire = spire(target).and_then(|container| container.security_context.as_ref());
    let program = format!("/{}", target.role.plugin());
    let mut command = vec![program.as_str(), "install", "--to", path::PLUGIN];
    let mut mounts = vec![json!({"name": PLUGIN, "mountPath": path::PLUGIN})];
    if matches!(target.derived, Builds::Each(_)) {
        command.extend(["--configurations", path::CONFIGURATION]);
        mounts.push(json!({"name": CONFIGURATION, "mountPath": path::CONFIGURATION, "readOnly": true}));
    }
    json!({
        "name": NAME,
        "image": target.plugin.image,
        "command": command,
        "resources": {"requests": {"cpu": "10m", "memory": "16Mi"}, "limits": {"memory": "64Mi"}},
        "securityContext": security_context(spire),
        "volumeMounts": mounts,
    })
}

/// SPIRE's container of a target.
pub(super) fn spire(target: &Target) -> Option<&Container> {
    let mut containers = target.workload.iter().flat_map(Workload::containers);
    containers.find(|container| Some(&container.name) == target.container.as_ref())
}

/// The security context with the user of SPIRE's container, and none of its other rights.
///
/// The pod's settings hold for both containers. Those of SPIRE's container alone are repeated: Pod
/// Security `restricted` asks each container for them, and a user of our own would not fit a pod
/// that runs as root.
fn security_context(spire: Option<&SecurityContext>) -> SecurityContext {
    SecurityContext {
        run_as_non_root: spire.and_then(|spire| spire.run_as_non_root),
        run_as_user: spire.and_then(|spire| spire.run_as_user),
        run_as_group: spire.and_then(|spire| spire.run_as_group),
        allow_privilege_escalation: Some(false),
        read_only_root_filesystem: Some(true),
        capabilities: Some(Capabilities { drop: Some(vec!["ALL".to_owned()]), ..Capabilities::default() }),
        seccomp_profile: Some(SeccompProfile {
            type_: "RuntimeDefault".to_owned(),
            ..SeccompProfile::default()
        }),
        ..SecurityContext::default()
    }
}

#[cfg(test)]
mod tests;
