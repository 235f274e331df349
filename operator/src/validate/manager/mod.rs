//! The set-up of spire-controller-manager, complete and valid, or the problems in its way. Pure.

use keylime_attestor_api::conditions::configuration_applied as reason;
use keylime_attestor_api::{ControllerManager, ControllerManagerMode, Mode};

use crate::configuration::derived;
use crate::configuration::parent::{Parents, config};
use crate::discover::container;
use crate::discover::manager::Discovered;
use crate::gather::FoundManager;
use crate::model::alias;
use crate::model::problem::Problem;
use crate::model::target::Manager;
use crate::model::workload::Workload;

/// The parents of workloads: the agents that Keylime attests, whether the others have none, and the
/// node aliases in place of both for a configuration, or why there are none.
type ParentsOf<'a> = (&'a Parents<'a>, bool, &'a dyn Fn(&str) -> Result<alias::Aliases, Option<String>>);

/// The name of its program and of its image, perhaps with a vendor's words before and behind.
const PROGRAM: &str = "spire-controller-manager";

/// The spire-controller-manager to set up; [`None`] where there is none, or where it is to be left
/// alone.
///
/// One that cannot be set up is a problem, and nothing of SPIRE is changed: workloads on the nodes
/// that attest by Keylime would get no SVIDs any longer.
pub(super) fn manager(
    mode: Mode,
    asked: &ControllerManager,
    workload: &Workload,
    found: &[FoundManager],
    (parents, exclusive, aliases): ParentsOf<'_>,
) -> Result<Option<Manager>, Problem> {
    if asked.mode == ControllerManagerMode::Ignore {
        return Ok(None);
    }
    let Some(found) = only(asked, workload, found)? else { return Ok(None) };
    let Discovered { container, flags, config_map, command, .. } = &found.discovered;
    if let Some(command) = command
        && mode != Mode::ConfigOnly
        && !workload.owns_command(container)
    {
        return Err(Problem::new(
            reason::COMMAND_SET,
            format!(
                "expected no command in container {container} of the {}, it has {}: give the flags of spire-controller-manager as args, or \
                 {YOURSELF}",
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
    let aliases = aliases(current);
    let template = |original: Option<&str>| match &aliases {
        Ok(_) => alias::TEMPLATE.to_owned(),
        Err(_) => parents.template(original, exclusive),
    };
    let derived = config::derive(current, template).map_err(|error| {
        let message =
            format!("{key} in the ConfigMap {namespace}/{config_map}: {error}. Correct it, or {YOURSELF}");
        Problem::new(reason::CONFIGURATION_INVALID, message)
    })?;
    Ok(Some(Manager {
        container: container.clone(),
        program: asked.program.clone(),
        flags: flags.clone(),
        config_map: config_map.clone(),
        key: key.to_owned(),
        derived,
        aliases,
        beside: found.beside.clone(),
    }))
}

/// The remedy where the operator cannot set it up.
const YOURSELF: &str = "set spec.spire.controllerManager.mode to Ignore and its parentIDTemplate yourself, as operator/README.md says";

/// The only candidate; [`None`] where there is no sign of one.
fn only<'f>(
    asked: &ControllerManager,
    workload: &Workload,
    found: &'f [FoundManager],
) -> Result<Option<&'f FoundManager>, Problem> {
    let problem = |came: String| {
        Problem::new(
            reason::CONTAINER_NOT_FOUND,
            format!(
                "expected one container of the {} that runs spire-controller-manager with a configuration from a ConfigMap, found {came}: set \
                 container, and if need be configMap, in spec.spire.controllerManager; or {YOURSELF}",
                workload.key
            ),
        )
    };
    let named = asked.container.is_some() || asked.config_map.is_some();
    match found {
        [] if named => Err(problem("none".to_owned())),
        [] => match workload.containers().iter().find(|container| container::runs(container, PROGRAM)) {
            Some(container) => Err(problem(format!("{}, whose configuration is in none", container.name))),
            None => Ok(None),
        },
        [only] => Ok(Some(only)),
        several => {
            let names = several.iter().map(|found| found.discovered.container.as_str());
            Err(problem(names.collect::<Vec<_>>().join(", ")))
        }
    }
}

/// Refuses a ConfigMap that SPIRE's workloads use as well: two derived texts cannot share one.
pub(super) fn shared(
    manager: &Manager,
    namespace: &str,
    others: &[crate::model::target::Target],
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

#[cfg(test)]
mod tests;
