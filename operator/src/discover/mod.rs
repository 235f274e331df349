//! The discovery in a workload of settings that the resource leaves open: the container that runs
//! SPIRE, its configuration file, and the ConfigMap behind it.

pub(crate) mod container;
pub(crate) mod manager;

use k8s_openapi::api::core::v1::{ConfigMapVolumeSource, Container, KeyToPath, PodSpec, Volume, VolumeMount};
use keylime_attestor_api::ConfigMapSource;
use keylime_attestor_api::conditions::configuration_applied as reason;
use keylime_attestor_api::names::path;

use crate::model::problem::Problem;
use crate::model::target::Asked;
use crate::model::workload::Workload;

/// The folder of relative paths for SPIRE's programs: the working directory of their images.
pub(crate) const WORKING_DIRECTORY: &str = "/opt/spire";

/// The container that runs SPIRE in a workload, and the source of its configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Discovered {
    pub(crate) container: String,
    /// SPIRE's flags, without the one that names the configuration.
    pub(crate) flags: Vec<String>,
    /// The path of SPIRE's own configuration file.
    pub(crate) config_path: String,
    pub(crate) config_map: String,
    /// The key; [`None`] for the only one in the ConfigMap.
    pub(crate) key: Option<String>,
    /// The container's own command, unless it is ours.
    pub(crate) command: Option<Vec<String>>,
}

/// Reads the workload. The resource's settings go before the discovered ones.
pub(crate) fn discover(asked: &Asked, workload: &Workload) -> Result<Discovered, Problem> {
    let container = container::find(asked, workload)?;
    let arguments = Arguments::of(container);
    let config_path = asked
        .config_path
        .clone()
        .or_else(|| arguments.config.clone())
        .map_or_else(|| asked.role.default_config_path().to_owned(), absolute);
    let (config_map, key) = match &asked.config_map {
        Some(ConfigMapSource { name, key: Some(key) }) => (name.clone(), Some(key.clone())),
        Some(ConfigMapSource { name, key: None }) => {
            let mounted = mounted(workload.pod_spec(), container, &config_path);
            let key = mounted.and_then(|(config_map, key)| (config_map == *name).then_some(key));
            (name.clone(), key)
        }
        None => {
            let found = mounted(workload.pod_spec(), container, &config_path);
            let (name, key) = found.ok_or_else(|| not_mounted(workload, container, &config_path))?;
            (name, Some(key))
        }
    };
    Ok(Discovered {
        container: container.name.clone(),
        flags: arguments.flags,
        config_path,
        config_map,
        key,
        command: arguments.command,
    })
}

fn not_mounted(workload: &Workload, container: &Container, config_path: &str) -> Problem {
    Problem::new(
        reason::CONFIGURATION_NOT_FOUND,
        format!(
            "expected a ConfigMap mounted where {config_path} lies in container {} of the {}, found none: set configMap or \
             configPath of the workload in spec.spire",
            container.name, workload.key
        ),
    )
}

/// A container's command and arguments, parsed.
pub(super) struct Arguments {
    pub(super) config: Option<String>,
    pub(super) flags: Vec<String>,
    pub(super) command: Option<Vec<String>>,
}

impl Arguments {
    /// Parses both. Kubernetes appends args to command; with our command in place, SPIRE's own
    /// arguments are args alone.
    pub(super) fn of(container: &Container) -> Self {
        let foreign = |command: &Vec<String>| !command.is_empty() && !is_ours(command);
        let command = container.command.clone().filter(foreign);
        let args = container.args.as_deref().unwrap_or_default();
        let (mut config, flags) = parse(args);
        if let Some(command) = &command {
            let words: Vec<String> = command.iter().chain(args).cloned().collect();
            (config, _) = parse(&words);
        }
        Self { config, flags, command }
    }
}

impl Arguments {
    /// True where they name a configuration of SPIRE, which is HCL or JSON: a YAML file is another
    /// program's.
    pub(super) fn names_configuration(&self) -> bool {
        self.config.as_ref().is_some_and(|path| !path.ends_with(".yaml") && !path.ends_with(".yml"))
    }
}

/// True for a command that an overlay of ours gives a container.
fn is_ours(command: &[String]) -> bool {
    let folders = [path::CONFIGURATION, path::OWN_CONFIGURATION, path::CONTROLLER_MANAGER];
    command
        .iter()
        .any(|word| folders.iter().any(|folder| word.trim_start_matches("--config=").starts_with(folder)))
}

/// The path after -config, and the other flags, parsed as Go's flag package does.
fn parse(words: &[String]) -> (Option<String>, Vec<String>) {
    let mut config = None;
    let mut flags = Vec::new();
    // Present with images whose entry point is the program alone.
    let words = words.strip_prefix(&["run".to_owned()]).unwrap_or(words);
    let mut words = words.iter();
    while let Some(word) = words.next() {
        let name = word.strip_prefix("--").or_else(|| word.strip_prefix('-'));
        match name {
            // Go's flag package reads no flag behind `--`.
            Some("") => break,
            Some("config") => config = words.next().cloned(),
            Some(name) if name.starts_with("config=") => {
                config = name.strip_prefix("config=").map(str::to_owned);
            }
            _ => flags.push(word.clone()),
        }
    }
    (config, flags)
}

fn absolute(path: String) -> String {
    if path.starts_with('/') { path } else { format!("{WORKING_DIRECTORY}/{path}") }
}

/// The ConfigMap and the key behind a path in a container, by the mount nearest above it, which
/// hides the others.
pub(super) fn mounted(pod: Option<&PodSpec>, container: &Container, path: &str) -> Option<(String, String)> {
    let mounts = container.volume_mounts.iter().flatten();
    let (mount, rest) = mounts
        .filter_map(|mount| Some((mount, below(&mount.mount_path, path)?)))
        .max_by_key(|(mount, _)| mount.mount_path.trim_end_matches('/').len())?;
    let volume = pod?.volumes.iter().flatten().find(|volume| volume.name == mount.name)?;
    let file = in_volume(mount, rest);
    sources(volume).find_map(|(name, items)| Some((name, key(items, &file)?)))
}

/// The part of `path` below `folder`, empty when they are the same; [`None`] for a path elsewhere.
fn below<'p>(folder: &str, path: &'p str) -> Option<&'p str> {
    let rest = path.strip_prefix(folder.trim_end_matches('/'))?;
    if rest.is_empty() { Some(rest) } else { rest.strip_prefix('/') }
}

fn in_volume(mount: &VolumeMount, rest: &str) -> String {
    match mount.sub_path.as_deref().filter(|path| !path.is_empty()) {
        Some(sub_path) if rest.is_empty() => sub_path.to_owned(),
        Some(sub_path) => format!("{}/{rest}", sub_path.trim_end_matches('/')),
        None => rest.to_owned(),
    }
}

/// The ConfigMaps in a volume, with the keys that are picked from each.
fn sources(volume: &Volume) -> impl Iterator<Item = (String, Option<&[KeyToPath]>)> {
    let plain = volume
        .config_map
        .iter()
        .map(|ConfigMapVolumeSource { name, items, .. }| (name.clone(), items.as_deref()));
    let projected = volume.projected.iter().flat_map(|projected| projected.sources.iter().flatten());
    let projected = projected
        .filter_map(|source| source.config_map.as_ref())
        .map(|source| (source.name.clone(), source.items.as_deref()));
    plain.chain(projected)
}

fn key(items: Option<&[KeyToPath]>, file: &str) -> Option<String> {
    match items {
        Some(items) => items.iter().find(|item| item.path == file).map(|item| item.key.clone()),
        None if file.is_empty() || file.contains('/') => None,
        None => Some(file.to_owned()),
    }
}

#[cfg(test)]
mod tests;
