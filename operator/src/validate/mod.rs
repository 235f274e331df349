//! From the resource and the gathered objects to a [`Desired`] that cannot be wrong, or to every
//! problem in its way. Pure.

pub(crate) mod manager;
mod spec;
mod taint;
mod variables;

use std::collections::BTreeMap;

use hcl::edit::{self, Variables};
use k8s_openapi::api::core::v1::ConfigMap;
use keylime_attestor_api::conditions::configuration_applied as reason;
use keylime_attestor_api::{KeylimeAttestor, KeylimeAttestorSpec, Mode};

use crate::configuration::parent::Parents;
use crate::configuration::{derived, original, plugin_data};
use crate::discover::Discovered;
use crate::gather::{Found, Gathered, Presence};
use crate::model::problem::Problem;
use crate::model::target::{Asked, Desired, Manager, Owner, Plugin, Role, Source, Target, only_key, text};
use crate::plugins::Checksums;
use crate::rollout::strategy::Strategy;

/// The largest ConfigMap in bytes, as the apiserver counts.
const MAX_CONFIG_MAP: usize = 1 << 20;
/// An upper bound of our node attestor's size in any spelling: the schema limits every text in it.
const OUR_PART: usize = 16 << 10;

/// Validates the resource with the gathered objects.
///
/// # Errors
/// Every problem, those that hide others first.
pub(crate) fn validate(
    resource: &KeylimeAttestor,
    gathered: &Gathered,
    checksums: &Checksums,
) -> Result<Desired, Vec<Problem>> {
    let mut problems = spec::problems(&resource.spec);
    let context = Context { resource, gathered, image: gathered.image.as_deref(), checksums };
    let mut targets = Vec::new();
    for asked in Asked::all(resource) {
        match context.target(&asked) {
            Ok(target) => targets.push(target),
            Err(problem) => problems.push(problem),
        }
    }
    problems.extend(context.secrets());
    if context.image.is_none() && resource.spec.spire.mode != Mode::ConfigOnly {
        problems.push(Problem::new(
            reason::PLUGIN_IMAGE_UNKNOWN,
            "expected the name of the operator's own image in its pod, found none: let it get its pod, or start it with --plugin-image",
        ));
    }
    problems.extend(same_configuration(&targets));
    problems.extend(batches(&resource.spec, &targets));
    problems.extend(taint::problems(&resource.spec, &targets));
    let manager = context.manager(&targets);
    let mut targets = targets.into_iter();
    match (targets.next(), manager) {
        (Some(server), Ok(manager)) if problems.is_empty() => Ok(Desired {
            owner: Owner::of(resource),
            generation: resource.metadata.generation,
            mode: resource.spec.spire.mode,
            server: Target { manager, ..server },
            agents: targets.collect(),
        }),
        (_, manager) => {
            problems.extend(manager.err());
            Err(problems)
        }
    }
}

struct Context<'a> {
    resource: &'a KeylimeAttestor,
    gathered: &'a Gathered,
    image: Option<&'a str>,
    checksums: &'a Checksums,
}

impl Context<'_> {
    fn target(&self, asked: &Asked) -> Result<Target, Problem> {
        if let Some(other) = self.gathered.claims.get(&asked.key) {
            return Err(Problem::new(
                reason::WORKLOAD_CLAIMED,
                format!(
                    "the {} belongs to the KeylimeAttestor {other}, which is in its namespace or older: delete one of the two",
                    asked.key
                ),
            ));
        }
        let spec = &self.resource.spec;
        let found = self.gathered.found.get(&asked.key);
        let (found, discovered) = discovered(spec.spire.mode, asked, found)?;
        let plugin = self.plugin(asked.role);
        let (source, derived) = configuration(asked, &discovered, found, &plugin, spec)?;
        let secret = match asked.role {
            Role::Server => Some(spec.keylime.tls.secret_name.clone()),
            Role::Agent => spec.keylime.agent.tls.as_ref().map(|tls| tls.secret_name.clone()),
        };
        Ok(Target {
            role: asked.role,
            key: asked.key.clone(),
            workload: found.workload.clone(),
            container: discovered.container,
            config_path: discovered.config_path,
            flags: discovered.flags,
            format: derived::format(&derived),
            source,
            derived,
            secret,
            plugin,
            manager: None,
        })
    }

    /// spire-controller-manager, where there is one beside SPIRE's server. A missing server is
    /// reported already.
    fn manager(&self, targets: &[Target]) -> Result<Option<Manager>, Problem> {
        let spec = &self.resource.spec;
        let asked = &spec.spire.controller_manager;
        let server = targets.iter().find(|target| target.role == Role::Server);
        let Some((parents, server)) = Parents::of(spec).zip(server) else { return Ok(None) };
        let Some(workload) = &server.workload else { return Ok(None) };
        let manager = manager::manager(spec.spire.mode, asked, workload, &self.gathered.managers, &parents)?;
        let Some(manager) = manager else { return Ok(None) };
        manager::shared(&manager, &server.key.namespace, targets).map_or(Ok(Some(manager)), Err)
    }

    fn plugin(&self, role: Role) -> Plugin {
        Plugin {
            name: self.resource.spec.spire.plugin_name.clone(),
            checksum: self.checksums.of(role).to_owned(),
            image: self.image.unwrap_or_default().to_owned(),
        }
    }

    /// The problems of Secrets that are missing where they are to be mounted.
    fn secrets(&self) -> Vec<Problem> {
        let keylime = &self.resource.spec.keylime;
        let mut problems = Vec::new();
        for ((namespace, name), presence) in &self.gathered.secrets {
            let problem = match presence {
                Presence::Missing => Problem::new(
                    reason::SECRET_NOT_FOUND,
                    format!(
                        "expected the Secret {name} in the namespace {namespace}, where SPIRE's pods mount it and none of another can be \
                         mounted: create it there, copy it there, or have it issued there"
                    ),
                ),
                Presence::Incomplete(details) => Problem::new(
                    reason::SECRET_INCOMPLETE,
                    format!("the Secret {namespace}/{name} cannot be used: {}", details.join("; ")),
                ),
                Presence::Forbidden => Problem::new(
                    reason::SECRET_FORBIDDEN,
                    format!(
                        "expected the right to get the Secret {name} in the namespace {namespace}, the operator has none: add it to the \
                         chart's rbac.keylimeSecrets, as {{namespace: {namespace}, names: [{name}]}}, or make such a Role yourself"
                    ),
                ),
                Presence::There => continue,
            };
            // An agents' Secret is read by pods alone, which this mode does not touch.
            if self.resource.spec.spire.mode != Mode::ConfigOnly || *name == keylime.tls.secret_name {
                problems.push(problem);
            }
        }
        problems
    }
}

/// A discovered workload, with all that the mode needs of it.
fn discovered<'f>(
    mode: Mode,
    asked: &Asked,
    found: Option<&'f Found>,
) -> Result<(&'f Found, Located), Problem> {
    let absent = || {
        Problem::new(
            reason::WORKLOAD_NOT_FOUND,
            format!(
                "expected the {}, it is not there: install SPIRE, or correct its name or namespace in spec.spire",
                asked.key
            ),
        )
    };
    let found = found.ok_or_else(absent)?;
    let workload = found.workload.as_ref().filter(|workload| !workload.deleting);
    match (&found.discovered, workload) {
        (Some(Ok(discovered)), Some(workload)) => {
            if let Some(command) = &discovered.command
                && mode == Mode::Overlay
                && !workload.managed
            {
                return Err(Problem::new(
                    reason::COMMAND_SET,
                    format!(
                        "expected no command in container {} of the {}, it has {}: give SPIRE's flags as args, or choose mode InPlace",
                        discovered.container,
                        asked.key,
                        command.join(" ")
                    ),
                ));
            }
            Ok((found, Located::from(discovered)))
        }
        (Some(Err(problem)), Some(_)) => Err(problem.clone()),
        _ => match &asked.config_map {
            // Enough for this mode, which only writes configurations.
            Some(config_map) if mode == Mode::ConfigOnly => Ok((
                found,
                Located {
                    container: asked.container.clone(),
                    config_path: asked.config_path.clone(),
                    flags: Vec::new(),
                    config_map: config_map.name.clone(),
                    key: config_map.key.clone(),
                    // The flags of SPIRE are not known; variables stay as they are either way.
                    variables: Variables::Expanded,
                },
            )),
            _ => Err(absent()),
        },
    }
}

/// The parts of a workload, some of which the mode may not need.
struct Located {
    container: Option<String>,
    config_path: Option<String>,
    flags: Vec<String>,
    config_map: String,
    key: Option<String>,
    variables: Variables,
}

impl From<&Discovered> for Located {
    fn from(discovered: &Discovered) -> Self {
        let Discovered { container, flags, config_path, config_map, key, command } = discovered.clone();
        let words = command.iter().flatten().chain(&flags).map(String::as_str);
        let variables = variables::of_arguments(words);
        Self { container: Some(container), config_path: Some(config_path), flags, config_map, key, variables }
    }
}

/// SPIRE's configuration, and the same with our node attestor in it.
fn configuration(
    asked: &Asked,
    located: &Located,
    found: &Found,
    plugin: &Plugin,
    spec: &KeylimeAttestorSpec,
) -> Result<(Source, String), Problem> {
    let (namespace, name) = (&asked.key.namespace, &located.config_map);
    let missing = |what: String| {
        let advice = "create it, or set configMap or configPath of the workload in spec.spire";
        Problem::new(reason::CONFIGURATION_NOT_FOUND, format!("expected {what}, it is not there: {advice}"))
    };
    let live = found.source.as_ref().ok_or_else(|| missing(format!("the ConfigMap {namespace}/{name}")))?;
    let key = match &located.key {
        Some(key) => key.clone(),
        None => only_key(live)
            .cloned()
            .ok_or_else(|| missing(format!("one key in the ConfigMap {namespace}/{name}")))?,
    };
    let current = text(live, &key)
        .ok_or_else(|| missing(format!("the key {key} in the ConfigMap {namespace}/{name}")))?;
    fits(name, live)?;
    let invalid = |error: String| {
        let at = format!("{key} in the ConfigMap {namespace}/{name}");
        Problem::new(reason::CONFIGURATION_INVALID, format!("{at}: {error}. The pods keep the last good one"))
    };
    let refused = |error: edit::Error| invalid(error.to_string());
    let original = original::original_of(asked.role, (live, found.beside.as_ref()), &key, current)
        .ok_or_else(|| {
            // A text that SPIRE would not read either is reported before our own part is looked
            // for.
            if let Err(error) = edit::node_attestors(current) {
                return refused(error);
            }
            let advice =
                "put back what SPIRE had before, as by applying its manifests or its chart once more";
            invalid(format!(
                "our node attestor in it cannot be told from the rest, or what was kept is lost: {advice}"
            ))
        })?;
    let data = plugin_data::plugin_data(asked.role, spec, &located.flags, (&original, located.variables))
        .map_err(|error| invalid(error.to_string()))?;
    let derived =
        derived::derive(asked.role, &original, plugin, &data, located.variables).map_err(refused)?;
    let source =
        Source { config_map: name.clone(), key, original, live: live.clone(), beside: found.beside.clone() };
    Ok((source, derived))
}

/// Checks the size of both ConfigMaps, SPIRE's edited in place and ours beside it: each holds at
/// most SPIRE's content of now and our part.
fn fits(name: &str, live: &ConfigMap) -> Result<(), Problem> {
    let now: usize = live.data.iter().flatten().map(|(key, text)| key.len() + text.len()).sum();
    if now + OUR_PART <= MAX_CONFIG_MAP {
        return Ok(());
    }
    let expected = format!(
        "expected at most {} bytes, so that our node attestor has room, got {now}",
        MAX_CONFIG_MAP - OUR_PART
    );
    let message = format!("the ConfigMap {name}: {expected}: make SPIRE's configuration smaller");
    Err(Problem::new(reason::CONFIGURATION_TOO_LARGE, message))
}

/// The problem of a server and an agent that read the same entry: their NodeAttestors differ.
fn same_configuration(targets: &[Target]) -> Option<Problem> {
    let mut roles: BTreeMap<(&str, &str, &str), Role> = BTreeMap::new();
    for target in targets {
        let Source { config_map, key, .. } = &target.source;
        let entry = (target.key.namespace.as_str(), config_map.as_str(), key.as_str());
        if *roles.entry(entry).or_insert(target.role) != target.role {
            let message = format!(
                "the server and the {} have the same configuration, {key} in the ConfigMap {config_map}: set configMap of both in spec.spire",
                target.key
            );
            return Some(Problem::new(reason::CONFIGURATION_INVALID, message));
        }
    }
    None
}

/// The problems of agents that are to move in batches: nobody else may have their pods replaced
/// meanwhile, and agents that have not moved have to keep their configuration.
fn batches(spec: &KeylimeAttestorSpec, targets: &[Target]) -> Vec<Problem> {
    if spec.rollout.as_ref().is_none_or(|rollout| rollout.batch_size.is_none()) {
        return Vec::new();
    }
    if spec.spire.mode != Mode::Overlay {
        let message = "spec.rollout.batchSize: expected spire.mode Overlay: in any other mode agents that have not moved would read the new \
                       configuration when they restart";
        return vec![Problem::new(reason::SPEC_INVALID, message)];
    }
    let agents = targets.iter().filter(|target| target.role == Role::Agent);
    let strategies = agents.filter_map(|target| Some((&target.key, Strategy::of(target.workload.as_ref()?))));
    strategies
        .filter_map(|(key, strategy)| match strategy {
            Strategy::Rolling(manager) => Some(Problem::new(
                reason::FIELD_CONFLICT,
                format!(
                    "spec.rollout.batchSize: expected updateStrategy.type of the {key} to be OnDelete or not set, {manager} has set it to \
                     RollingUpdate: set it to OnDelete there (with SPIFFE's charts the value spire-agent.updateStrategy.type), or remove batchSize"
                ),
            )),
            Strategy::Ours | Strategy::Theirs | Strategy::Free => None,
        })
        .collect()
}

#[cfg(test)]
mod tests;
