//! The status of each workload.

use std::collections::BTreeMap;

use keylime_attestor_api::{ConfigMapEntry, Mode, WorkloadStatus};

use super::Facts;
use crate::configuration::derived;
use crate::model::builds::Builds;
use crate::model::reported::rollout_of;
use crate::model::target::Target;
use crate::model::workload::WorkloadKey;

/// The server, and the agents.
pub(super) fn workloads(facts: &Facts<'_>) -> (Option<WorkloadStatus>, Vec<WorkloadStatus>) {
    match facts.attempt.desired() {
        Some(desired) => {
            let agents = desired.agents.iter().map(|agent| planned(facts, desired.mode, agent)).collect();
            (Some(planned(facts, desired.mode, &desired.server)), agents)
        }
        None => {
            let agents = facts.previous.agents.iter().filter_map(|agent| kept(facts, agent)).collect();
            (facts.previous.server.as_ref().and_then(|server| kept(facts, server)), agents)
        }
    }
}

fn planned(facts: &Facts<'_>, mode: Mode, target: &Target) -> WorkloadStatus {
    let Target { key, container, config_path, source, format, plugin, .. } = target;
    let entry = |name: String| ConfigMapEntry { name, key: source.key.clone() };
    let applied = match mode {
        Mode::InPlace => source.config_map.clone(),
        Mode::Overlay | Mode::ConfigOnly => derived::name(&source.config_map),
    };
    let applied_key = derived::entries(target).into_keys().next();
    let managed = mode != Mode::ConfigOnly;
    // With ConfigOnly, only while the workload gets back what it had.
    let before = rollout_of(facts.previous, key).filter(|_| managed);
    let rollout = facts.attempt.rollouts().get(key).or(before);
    let (plugin_checksum, plugin_checksums) = match &plugin.checksums {
        Builds::One { of, .. } => (Some(of.clone()), BTreeMap::new()),
        Builds::Each(all) => (None, all.clone()),
    };
    WorkloadStatus {
        kind: key.kind.as_str().to_owned(),
        name: key.name.clone(),
        namespace: key.namespace.clone(),
        container: container.clone(),
        config_path: config_path.clone(),
        config_map: Some(entry(source.config_map.clone())),
        format: Some(*format),
        applied_config_map: Some(ConfigMapEntry { name: applied, key: applied_key.unwrap_or_default() }),
        plugin_checksum,
        plugin_checksums,
        plugin_image: managed.then(|| plugin.image.clone()),
        rollout: rollout.cloned(),
    }
}

/// The status of before, as long as the workload is there.
fn kept(facts: &Facts<'_>, before: &WorkloadStatus) -> Option<WorkloadStatus> {
    let Some(gathered) = facts.attempt.gathered() else { return Some(before.clone()) };
    let is_it = |key: &WorkloadKey| {
        key.kind.as_str() == before.kind && key.namespace == before.namespace && key.name == before.name
    };
    let (key, found) = gathered.found.iter().find(|(key, _)| is_it(key))?;
    found.workload.as_ref()?;
    let rollout = facts.attempt.rollouts().get(key).or(before.rollout.as_ref()).cloned();
    Some(WorkloadStatus { rollout, ..before.clone() })
}
