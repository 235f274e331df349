//! Corrections while somebody else keeps reverting them: carried out less and less often, and
//! reported.

use std::collections::HashSet;
use std::time::Instant;

use k8s_openapi::api::core::v1::ConfigMap;
use keylime_attestor_api::conditions::configuration_applied::FIGHTING;
use kube::ResourceExt as _;
use serde_json::Value;

use crate::gather::Gathered;
use crate::model::problem::Problem;
use crate::model::step::Step;
use crate::model::target::Owner;
use crate::model::workload::last_writer;
use crate::reconcile::backoff::Memory;
use crate::rollout::plan::Plan;

/// The plan without the corrections that have to wait, and a problem for each object that is still
/// being reverted.
pub(crate) fn held_back(
    memory: &Memory,
    owner: &Owner,
    gathered: &Gathered,
    mut plan: Plan,
    now: Instant,
) -> (Plan, Vec<Problem>) {
    memory.of(owner, |memory| {
        let due: HashSet<String> = plan.steps.iter().filter_map(corrects).collect();
        let mut waits = Vec::new();
        let known = &memory.fighting;
        plan.steps.retain(|step| {
            let fighting = corrects(step).and_then(|object| known.get(&object));
            let wait = fighting.and_then(|fighting| fighting.wait(now));
            waits.extend(wait);
            wait.is_none()
        });
        waits.into_iter().for_each(|wait| plan.requeue_after(wait));
        let mut problems = Vec::new();
        for (object, fighting) in &mut memory.fighting {
            if !due.contains(object) {
                fighting.right(now);
            }
            if let Some(after) = fighting.goes_on(now) {
                plan.requeue_after(after);
                problems.push(problem(object, writer(gathered, object)));
            }
        }
        (plan, problems)
    })
}

/// Records the corrections that were made.
pub(crate) fn corrected(memory: &Memory, owner: &Owner, done: &[Step], now: Instant) {
    memory.of(owner, |memory| {
        for object in done.iter().filter_map(corrects) {
            memory.fighting.entry(object).or_default().corrected(now);
        }
    });
}

/// The object that a step corrects.
fn corrects(step: &Step) -> Option<String> {
    match step {
        Step::Overlay { workload, correction: true, .. } => Some(workload.to_string()),
        Step::Configure { object, correction: true } | Step::Edit { object, correction: true } => {
            let part = |path| object.pointer(path).and_then(Value::as_str).unwrap_or_default();
            Some(config_map(part("/metadata/namespace"), part("/metadata/name")))
        }
        _ => None,
    }
}

fn config_map(namespace: &str, name: &str) -> String {
    format!("ConfigMap {namespace}/{name}")
}

fn problem(object: &str, writer: Option<String>) -> Problem {
    let who = writer.unwrap_or_else(|| "somebody".to_owned());
    let advice = "stop it there; until then the operator tries less and less often";
    Problem::new(
        FIGHTING,
        format!("{who} keeps reverting what the operator applies to the {object}: {advice}"),
    )
}

/// The field manager, other than us, that last wrote an object.
fn writer(gathered: &Gathered, object: &str) -> Option<String> {
    let named = gathered.found.values().filter_map(|found| found.workload.as_ref());
    if let Some(workload) = named.into_iter().find(|workload| workload.key.to_string() == object) {
        return workload.last_writer.clone();
    }
    let found = gathered.found.values().flat_map(|found| found.source.iter().chain(&found.beside));
    let is_it =
        |map: &&ConfigMap| config_map(&map.namespace().unwrap_or_default(), &map.name_any()) == object;
    found.into_iter().find(is_it).and_then(|map| last_writer(map.managed_fields()))
}

#[cfg(test)]
mod tests;
