//! ParentIDsConfigured, and the status of spire-controller-manager.

use keylime_attestor_api::conditions::parent_ids_configured as reason;
use keylime_attestor_api::{ConfigMapEntry, ControllerManagerStatus, Mode, RolloutState};

use super::Facts;
use super::finding::Finding;
use crate::configuration::derived;
use crate::configuration::parent::{Parents, config};
use crate::gather::FoundManager;
use crate::model::target::Manager;

/// The condition ParentIDsConfigured.
pub(super) fn parent_ids(facts: &Facts<'_>) -> Finding {
    let plain = |reason: keylime_attestor_api::conditions::Reason| (reason, reason.meaning.to_owned());
    if facts.is_deleted() {
        return plain(reason::WITHDRAWING);
    }
    let Some((desired, gathered)) = facts.attempt.desired().zip(facts.attempt.gathered()) else {
        return plain(reason::WAITING_FOR_CONFIGURATION);
    };
    if let Some(manager) = &desired.server.manager {
        let server = facts.attempt.rollouts().get(&desired.server.key).map(|rollout| rollout.state);
        return match (desired.mode, server) {
            (Mode::ConfigOnly, _) => plain(reason::NOT_MANAGED),
            (_, Some(RolloutState::Complete)) => in_force(manager),
            _ => plain(reason::ROLLING_OUT),
        };
    }
    let Some(parents) = Parents::of(&facts.resource.spec) else {
        return plain(reason::WAITING_FOR_CONFIGURATION);
    };
    let unclear = gathered.managers.iter().any(|found| names_no_agents(found, &parents));
    let lacking: Vec<String> = gathered
        .managers
        .iter()
        .filter_map(|found| lacking(found, &desired.server.key.namespace, &parents))
        .collect();
    match lacking.first() {
        Some(_) => (reason::TEMPLATE_MISSING, lacking.join("; ")),
        None if gathered.managers.is_empty() => {
            let parent = parents.template(None, true);
            let no = reason::NO_CONTROLLER_MANAGER;
            (no, format!("{} {} In the words of a parentIDTemplate: {parent}", no.meaning, no.remedy))
        }
        None if unclear => (
            reason::TEMPLATE_UNCLEAR,
            format!("{} {}", reason::TEMPLATE_UNCLEAR.meaning, reason::TEMPLATE_UNCLEAR.remedy),
        ),
        None => plain(reason::TEMPLATE_SET),
    }
}

/// The parents that spire-controller-manager gives workloads.
fn in_force(manager: &Manager) -> Finding {
    match &manager.aliases {
        Ok(_) => (reason::ALIASED, reason::ALIASED.meaning.to_owned()),
        Err(None) => (reason::OVERLAID, reason::OVERLAID.meaning.to_owned()),
        Err(Some(why)) => {
            let meaning = reason::OVERLAID.meaning;
            (
                reason::OVERLAID,
                format!(
                    "{meaning} Node aliases, which no kubelet can write, stand in where they can be made: {why}."
                ),
            )
        }
    }
}

/// The path below which the IDs of SPIRE's agents lie, and no alias of theirs can.
const AGENTS: &str = "/spire/agent/";

/// True for a template that gives pods another kind of parent than an agent, such as a node alias,
/// whose agents are not known here.
fn names_no_agents(found: &FoundManager, parents: &Parents<'_>) -> bool {
    let template = found.entry().and_then(|(_, text)| config::parent_id_template(text).ok().flatten());
    template.is_some_and(|template| !template.contains(AGENTS) && !parents.are_known_to(&template))
}

/// The remedy for a controller manager that knows nothing of Keylime: the template, and its place.
fn lacking(found: &FoundManager, namespace: &str, parents: &Parents<'_>) -> Option<String> {
    let (key, text) = found.entry()?;
    let original = config::parent_id_template(text).ok()?;
    let is_right = |template: &str| parents.are_known_to(template) || !template.contains(AGENTS);
    if original.as_deref().is_some_and(is_right) {
        return None;
    }
    let template = parents.template(original.as_deref(), false);
    Some(format!(
        "on nodes that attest by Keylime workloads get no SVIDs: set spec.spire.controllerManager.mode to Auto, or parentIDTemplate in {key} of \
         the ConfigMap {namespace}/{} to: {template}",
        found.discovered.config_map
    ))
}

/// The status of spire-controller-manager. Of several, none is shown.
pub(super) fn controller_manager(facts: &Facts<'_>) -> Option<ControllerManagerStatus> {
    let Some(gathered) = facts.attempt.gathered() else { return facts.previous.controller_manager.clone() };
    let [found] = gathered.managers.as_slice() else { return None };
    let (key, _) = found.entry()?;
    let entry = |name: String| ConfigMapEntry { name, key: key.to_owned() };
    let source = &found.discovered.config_map;
    let applied = facts.attempt.desired().filter(|desired| desired.server.manager.is_some());
    Some(ControllerManagerStatus {
        container: found.discovered.container.clone(),
        config_map: entry(source.clone()),
        applied_config_map: applied.map(|_| entry(derived::name(source))),
    })
}
