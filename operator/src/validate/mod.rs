//! From the resource and the gathered objects to a [`Desired`] that cannot be wrong, or to every
//! problem in its way. Pure.

mod architecture;
mod batches;
mod binding;
mod configuration;
mod exclusive;
mod located;
pub(crate) mod manager;
mod secrets;
mod spec;
mod taint;
mod variables;

use std::collections::BTreeMap;

use hcl::edit::Placement;
use keylime::KeyHash;
use keylime_attestor_api::conditions::configuration_applied as reason;
use keylime_attestor_api::{AgentAddress, Binding, KeylimeAgent, KeylimeAttestor, Mode};

use crate::configuration::derived;
use crate::configuration::parent::Parents;
use crate::configuration::parent::aliases::aliases;
use crate::gather::Gathered;
use crate::model::alias::{Aliases, Aliasing};
use crate::model::binding::{Bound, Tokens};
use crate::model::problem::Problem;
use crate::model::target::{Asked, Desired, Manager, Owner, Plugin, Role, Source, Target};
use crate::model::workload::Workload;
use crate::plugins::Checksums;
use configuration::configuration;
use located::discovered;

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
    let service_accounts = binding::service_accounts(gathered);
    let bound = binding::bound(resource, gathered, &service_accounts);
    let tokens = binding::tokens(&bound, service_accounts);
    problems.extend(binding::problem(resource, &bound));
    let tokens = tokens.as_ref();
    let image = gathered.image.as_deref();
    let context = Context { resource, gathered, image, checksums, bound: &bound, tokens };
    let mut targets = Vec::new();
    for asked in Asked::all(resource) {
        match context.target(&asked) {
            Ok(target) => targets.push(target),
            Err(problem) => problems.push(problem),
        }
    }
    problems.extend(secrets::problems(&resource.spec, gathered));
    if context.image.is_none() && resource.spec.spire.mode != Mode::ConfigOnly {
        problems.push(Problem::new(
            reason::PLUGIN_IMAGE_UNKNOWN,
            "expected the name of the operator's own image in its pod, found none: let it get its pod, or start it with --plugin-image",
        ));
    }
    problems.extend(same_configuration(&targets));
    problems.extend(batches::problems(&resource.spec, &targets));
    problems.extend(taint::problems(&resource.spec, &targets));
    problems.extend(exclusive::problem(resource, gathered, &targets));
    let manager = context.manager(&targets);
    let mut targets = targets.into_iter();
    match (targets.next(), manager) {
        (Some(server), Ok(manager)) if problems.is_empty() => Ok(Desired {
            owner: Owner::of(resource),
            generation: resource.metadata.generation,
            mode: resource.spec.spire.mode,
            server: Target { manager, ..server },
            agents: targets.collect(),
            bound,
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
    bound: &'a Bound,
    tokens: Option<&'a Tokens>,
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
        let plugin = self.plugin(asked, found.workload.as_ref())?;
        let server = |applied: &str| exclusive::placement(self.resource, self.gathered, applied);
        let found_out = (self.report_client(asked.role)?, self.tokens);
        let (source, placement, derived) =
            configuration(asked, &discovered, found, &plugin, spec, server, found_out)?;
        self.is_free(&asked.key.namespace, &source.config_map)?;
        let secret = match &asked.keylime_agent {
            None => Some(spec.keylime.tls.secret_name.clone()),
            Some(agent) => agent.secret_name().map(str::to_owned),
        };
        let address = asked.keylime_agent.as_ref().map(KeylimeAgent::address);
        Ok(Target {
            role: asked.role,
            key: asked.key.clone(),
            workload: found.workload.clone(),
            container: discovered.container,
            config_path: discovered.config_path,
            flags: discovered.flags,
            format: derived::format(&source.original),
            source,
            placement,
            derived,
            secret,
            quoter: matches!(address, Some(AgentAddress::Socket(_))),
            token: asked.role == Role::Agent && self.tokens.is_some(),
            plugin,
            manager: None,
        })
    }

    /// Whom the server's report answers; [`None`] where nothing is reported.
    fn report_client(&self, role: Role) -> Result<Option<KeyHash>, Problem> {
        self.gathered.report_client.clone().filter(|_| role == Role::Server).transpose()
    }

    /// spire-controller-manager, where there is one beside SPIRE's server. A missing server is
    /// reported already.
    fn manager(&self, targets: &[Target]) -> Result<Option<Manager>, Problem> {
        let spec = &self.resource.spec;
        let asked = &spec.spire.controller_manager;
        let server = targets.iter().find(|target| target.role == Role::Server);
        let Some((parents, server)) = Parents::of(spec).zip(server) else { return Ok(None) };
        let Some(workload) = &server.workload else { return Ok(None) };
        let exclusive = server.placement == Placement::Sole;
        let managers = &self.gathered.managers;
        let aliases = |text: &str| self.aliases(text);
        let manager =
            manager::manager(spec.spire.mode, asked, workload, managers, (&parents, exclusive, &aliases))?;
        let Some(manager) = manager else { return Ok(None) };
        self.is_free(&server.key.namespace, &manager.config_map)?;
        manager::shared(&manager, &server.key.namespace, targets).map_or(Ok(Some(manager)), Err)
    }

    /// The node aliases for a configuration of spire-controller-manager. They need agents that prove
    /// their Node.
    fn aliases(&self, configuration: &str) -> Result<Aliases, Option<String>> {
        if self.resource.spec.spire.mode == Mode::ConfigOnly || self.bound.binding == Binding::Off {
            return Err(None);
        }
        match &self.gathered.aliasing {
            Aliasing::NotAsked => Err(None),
            Aliasing::Impossible(text) => Err(Some(text.clone())),
            Aliasing::Possible => aliases(configuration, &self.resource.spec.spire.plugin_name).map_err(Some),
        }
    }

    /// No other has a ConfigMap where ours beside one of SPIRE is to be.
    fn is_free(&self, namespace: &str, config_map: &str) -> Result<(), Problem> {
        let name = derived::name(config_map);
        if !self.gathered.foreign.contains(&(namespace.to_owned(), name.clone())) {
            return Ok(());
        }
        let message = format!(
            "expected no ConfigMap {namespace}/{name}, or the one that was made for this resource, found another: find out whose it is; one that an earlier KeylimeAttestor left behind can be deleted"
        );
        Err(Problem::new(reason::CONFIG_MAP_NOT_OURS, message))
    }

    fn plugin(&self, asked: &Asked, workload: Option<&Workload>) -> Result<Plugin, Problem> {
        let spire = &self.resource.spec.spire;
        Ok(Plugin {
            name: spire.plugin_name.clone(),
            checksums: architecture::checksums(asked, spire.mode, workload, self.checksums)?,
            image: self.image.unwrap_or_default().to_owned(),
        })
    }
}

/// The problem of two that read the same entry, where their NodeAttestors differ: the server and an
/// agent, or agents beside other Keylime agents.
fn same_configuration(targets: &[Target]) -> Option<Problem> {
    let mut first: BTreeMap<(&str, &str, &str), &Target> = BTreeMap::new();
    for target in targets {
        let Source { config_map, key, .. } = &target.source;
        let entry = (target.key.namespace.as_str(), config_map.as_str(), key.as_str());
        let other = *first.entry(entry).or_insert(target);
        let told = if other.role != target.role {
            format!("the server and the {}", target.key)
        } else if other.derived != target.derived {
            format!("the {} and the {}, whose node attestors differ,", other.key, target.key)
        } else {
            continue;
        };
        let message = format!(
            "{told} have the same configuration, {key} in the ConfigMap {config_map}: give each a ConfigMap of its own, and set configMap of both in spec.spire where it is not found"
        );
        return Some(Problem::new(reason::CONFIGURATION_INVALID, message));
    }
    None
}

#[cfg(test)]
mod tests;
