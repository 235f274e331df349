//! Finds spire-controller-manager in the pod of SPIRE's server: its container, its flags, and the
//! ConfigMap behind its configuration. Pure.

use k8s_openapi::api::core::v1::Container;
use keylime_attestor_api::{ConfigMapSource, ControllerManager};

use super::{Arguments, mounted};
use crate::model::workload::Workload;

/// A container that may run spire-controller-manager.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Discovered {
    pub(crate) container: String,
    /// Its flags, without the one that names the configuration.
    pub(crate) flags: Vec<String>,
    pub(crate) config_map: String,
    /// The key; [`None`] for the only one in the ConfigMap.
    pub(crate) key: Option<String>,
    /// The container's own command, unless it is ours.
    pub(crate) command: Option<Vec<String>>,
}

/// The containers that may run it. The resource's settings go before the discovered ones.
pub(crate) fn candidates(
    asked: &ControllerManager,
    workload: &Workload,
    spire: Option<&str>,
) -> Vec<Discovered> {
    let named = asked.container.as_deref();
    let containers = workload.containers().iter().filter(|container| match named {
        Some(name) => container.name == name,
        None => Some(container.name.as_str()) != spire,
    });
    containers.filter_map(|container| candidate(asked, workload, container)).collect()
}

fn candidate(asked: &ControllerManager, workload: &Workload, container: &Container) -> Option<Discovered> {
    let arguments = Arguments::of(container);
    let path = arguments.config.map(|path| absolute(container, path));
    let found = path.and_then(|path| mounted(workload.pod_spec(), container, &path));
    let (config_map, key) = match &asked.config_map {
        Some(ConfigMapSource { name, key: Some(key) }) => (name.clone(), Some(key.clone())),
        Some(ConfigMapSource { name, key: None }) => {
            (name.clone(), found.filter(|(found, _)| found == name).map(|(_, key)| key))
        }
        None => found.map(|(name, key)| (name, Some(key)))?,
    };
    Some(Discovered {
        container: container.name.clone(),
        flags: arguments.flags,
        config_map,
        key,
        command: arguments.command,
    })
}

/// The path in the container. A relative one begins in the working directory, which the program's
/// image leaves at the root.
fn absolute(container: &Container, path: String) -> String {
    if path.starts_with('/') {
        return path;
    }
    let folder = container.working_dir.as_deref().unwrap_or_default();
    format!("{}/{path}", folder.trim_end_matches('/'))
}
