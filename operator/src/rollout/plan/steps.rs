//! Single steps: overlays that are withdrawn, ConfigMaps that are restored, objects that are
//! deleted.

use k8s_openapi::api::core::v1::ConfigMap;
use kube::ResourceExt as _;
use serde_json::Value;

use crate::build::covers::applied;
use crate::build::in_place;
use crate::build::overlay::identity;
use crate::configuration::original;
use crate::gather::{Edited, Gathered};
use crate::model::pod::is_stuck;
use crate::model::step::Step;
use crate::model::target::Role;
use crate::model::workload::{Workload, is_ours};

/// Withdraws the overlay of a workload, with the pods that would stand in its way.
pub(crate) fn withdraw(gathered: &Gathered, workload: &Workload) -> Vec<Step> {
    let step = Step::Withdraw { workload: workload.key.clone(), object: identity(workload) };
    std::iter::once(step).chain(stuck(gathered, workload, None)).collect()
}

/// The steps for pods of other overlays than the wanted one that never became ready.
pub(crate) fn stuck(gathered: &Gathered, workload: &Workload, wanted: Option<&str>) -> Vec<Step> {
    let pods = gathered.pods.get(&workload.key).into_iter().flatten();
    pods.filter(|pod| is_stuck(pod, wanted))
        .map(|pod| Step::DeletePod {
            namespace: pod.namespace().unwrap_or_default(),
            name: pod.name_any(),
            uid: pod.uid().unwrap_or_default(),
        })
        .collect()
}

/// Restores an edited ConfigMap in the entries that are picked; [`None`] when it is so already.
pub(crate) fn restore(edit: &Edited, picked: impl Fn(Role, &str) -> bool) -> Option<Step> {
    let Edited { live, beside } = edit;
    let object = in_place::restore(live, beside, &picked);
    let release = original::edited(beside).iter().all(|(role, key)| picked(*role, key));
    let still_ours = live.managed_fields().iter().any(is_ours);
    let due = !is_applied(Some(live), &object) || release && still_ours;
    let release = release.then(|| in_place::owners(beside));
    due.then_some(Step::Restore { object, release })
}

pub(crate) fn delete(map: &ConfigMap) -> Step {
    Step::Delete {
        namespace: map.namespace().unwrap_or_default(),
        name: map.name_any(),
        uid: map.uid().unwrap_or_default(),
    }
}

pub(super) fn is_applied(live: Option<&ConfigMap>, wanted: &Value) -> bool {
    let live = live.and_then(|live| serde_json::to_value(live).ok());
    live.is_some_and(|live| applied(&live, wanted))
}
