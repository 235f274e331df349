//! Finds spire-controller-manager in the pod of SPIRE's server: its container, its flags, and the ConfigMap behind its configuration. Pure.

use k8s_openapi::api::core::v1::Container;
use keylime_attestor_api::conditions::configuration_applied as reason;
use keylime_attestor_api::{ConfigMapSource, ControllerManager, Mode};

use super::Problem;
use super::discover::{Arguments, mounted};
use crate::build::derived;
use crate::build::parent::{Parents, config};
use crate::gather::FoundManager;
use crate::target::{Manager, text};
use crate::workload::Workload;

/// A container that may run spire-controller-manager.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Discovered {
    pub(crate) container: String,
    /// Its flags, without the one that names the configuration.
    pub(crate) flags: Vec<String>,
    pub(crate) config_map: String,
    /// [`None`] is the only key that there is.
    pub(crate) key: Option<String>,
    /// The container's own command, unless it is ours.
    pub(crate) command: Option<Vec<String>>,
}

/// The containers that may run it. What the resource says wins over what is found.
pub(crate) fn candidates(
    asked: Option<&ControllerManager>,
    workload: &Workload,
    spire: Option<&str>,
) -> Vec<Discovered> {
    let named = asked.and_then(|asked| asked.container.as_deref());
    let containers = workload.containers().iter().filter(|container| match named {
        Some(name) => container.name == name,
        None => Some(container.name.as_str()) != spire,
    });
    containers.filter_map(|container| candidate(asked, workload, container)).collect()
}

fn candidate(
    asked: Option<&ControllerManager>,
    workload: &Workload,
    container: &Container,
) -> Option<Discovered> {
    let arguments = Arguments::of(container);
    let path = arguments.config.map(|path| absolute(container, path));
    let found = path.and_then(|path| mounted(workload.pod_spec(), container, &path));
    let (config_map, key) = match asked.and_then(|asked| asked.config_map.as_ref()) {
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

/// Relative paths begin in the container's working directory, which the program's image leaves at the root.
fn absolute(container: &Container, path: String) -> String {
    if path.starts_with('/') {
        return path;
    }
    let folder = container.working_dir.as_deref().unwrap_or_default();
    format!("{}/{path}", folder.trim_end_matches('/'))
}

/// What is asked for, complete and valid.
pub(super) fn manager(
    mode: Mode,
    asked: &ControllerManager,
    workload: &Workload,
    found: &[FoundManager],
    parents: &Parents<'_>,
) -> Result<Manager, Problem> {
    let found = only(workload, found)?;
    let Discovered { container, flags, config_map, command, .. } = &found.discovered;
    if let Some(command) = command
        && mode != Mode::ConfigOnly
        && !workload.owns_command(container)
    {
        return Err(Problem::new(
            reason::COMMAND_SET,
            format!(
                "expected no command in container {container} of the {}, it has {}: give the flags of spire-controller-manager as args, or \
                 remove spec.spire.controllerManager and set its parentIDTemplate yourself",
                workload.key,
                command.join(" ")
            ),
        ));
    }
    let namespace = &workload.key.namespace;
    let (key, current) = found.entry().ok_or_else(|| {
        let expected =
            found.discovered.key.as_ref().map_or("one key".to_owned(), |key| format!("the key {key}"));
        let advice = "create it, or set spec.spire.controllerManager.configMap";
        let message = format!(
            "expected {expected} in the ConfigMap {namespace}/{config_map}, it is not there: {advice}"
        );
        Problem::new(reason::CONFIGURATION_NOT_FOUND, message)
    })?;
    let derived = config::derive(current, |original| parents.template(original)).map_err(|error| {
        let message = format!(
            "{key} in the ConfigMap {namespace}/{config_map}: {error}. Correct it, or remove spec.spire.controllerManager and set parentIDTemplate yourself"
        );
        Problem::new(reason::CONFIGURATION_INVALID, message)
    })?;
    Ok(Manager {
        container: container.clone(),
        program: asked.program.clone(),
        flags: flags.clone(),
        config_map: config_map.clone(),
        key: key.to_owned(),
        derived,
        beside: found.beside.clone(),
    })
}

/// The one that it must be.
fn only<'f>(workload: &Workload, found: &'f [FoundManager]) -> Result<&'f FoundManager, Problem> {
    let problem = |came: String| {
        Problem::new(
            reason::CONTAINER_NOT_FOUND,
            format!(
                "expected one container of the {} that runs spire-controller-manager with a configuration from a ConfigMap, found {came}: set \
                 container, and if need be configMap, in spec.spire.controllerManager",
                workload.key
            ),
        )
    };
    match found {
        [] => Err(problem("none".to_owned())),
        [only] => Ok(only),
        several => {
            let names = several.iter().map(|found| found.discovered.container.as_str());
            Err(problem(names.collect::<Vec<_>>().join(", ")))
        }
    }
}

/// The ConfigMap is nobody else's: two texts that are derived for themselves cannot share one.
pub(super) fn shared(
    manager: &Manager,
    namespace: &str,
    others: &[crate::target::Target],
) -> Option<Problem> {
    let name = &manager.config_map;
    let other =
        others.iter().find(|other| other.key.namespace == namespace && other.source.config_map == *name)?;
    let message = format!(
        "spire-controller-manager and the {} have their configurations in one ConfigMap, {namespace}/{name}, from which {} would be made \
         twice: move the one of spire-controller-manager to a ConfigMap of its own",
        other.key,
        derived::name(name)
    );
    Some(Problem::new(reason::CONFIGURATION_INVALID, message))
}

impl FoundManager {
    /// The key of the configuration, and the configuration.
    pub(crate) fn entry(&self) -> Option<(&str, &str)> {
        let source = self.source.as_ref()?;
        let key = match &self.discovered.key {
            Some(key) => key,
            None => super::only_key(source)?,
        };
        Some((key, text(source, key)?))
    }
}

#[cfg(test)]
#[path = "manager_tests.rs"]
mod tests;
