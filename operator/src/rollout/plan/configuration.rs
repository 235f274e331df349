//! The steps for ConfigMaps: the derived ones, SPIRE's own in place, and those out of use.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::ConfigMap;
use keylime_attestor_api::Mode;
use kube::ResourceExt as _;

use super::Decision;
use super::steps::{delete, is_applied, restore};
use crate::build::in_place;
use crate::build::overlay::overlay;
use crate::configuration::{derived, original};
use crate::gather::Edited;
use crate::model::step::Step;
use crate::model::target::{Desired, Role, Target};

impl Decision<'_> {
    /// The steps for a target's configuration that is not as it should be. `known` is true when it
    /// was so before.
    pub(super) fn configuration(&self, target: &Target, known: bool) -> Vec<Step> {
        let Desired { owner, mode, .. } = self.desired;
        let source = &target.source;
        let mut steps = Vec::new();
        if let Some(manager) = &target.manager {
            let object = derived::of_manager(owner, &target.key.namespace, manager);
            if !is_applied(manager.beside.as_ref(), &object) {
                steps.push(Step::Configure { object, correction: known });
            }
        }
        let edited = source.beside.as_ref().is_some_and(|beside| !original::edited(beside).is_empty());
        if *mode == Mode::InPlace {
            let keep = in_place::keep(owner, target);
            if !is_applied(source.beside.as_ref(), &keep) {
                steps.push(Step::Configure { object: keep, correction: known });
            }
            let object = in_place::edit(owner, target);
            if !is_applied(Some(&source.live), &object) {
                steps.push(Step::Edit { object, correction: known });
            }
            if in_place::readmits(target) {
                // What is kept is only found by the edit that it is from before.
                steps.reverse();
            }
            return steps;
        }
        // An edit in place, from a former mode.
        let edits = self.gathered.edits.iter().filter(|edit| is_of(edit, target));
        steps.extend(edits.filter_map(|edit| restore(edit, |_, _| true)));
        let object = derived::config_map(owner, target, self.beside(target));
        if edited || !is_applied(source.beside.as_ref(), &object) {
            steps.push(Step::Configure { object, correction: known });
        }
        steps
    }

    /// The derived texts of other workloads from the same ConfigMap of SPIRE, which an apply has to
    /// repeat: the new one, or until an agent's turn has come the present one.
    fn beside(&self, target: &Target) -> BTreeMap<String, String> {
        let same = |other: &&Target| {
            other.key != target.key
                && other.key.namespace == target.key.namespace
                && other.source.config_map == target.source.config_map
        };
        let entries = |other: &Target| match (other.role, &other.source.beside) {
            (Role::Server, _) => derived::entries(other),
            (Role::Agent, _) if self.has_begun(other) => derived::entries(other),
            (Role::Agent, Some(beside)) => derived::present(beside, &other.source.key),
            (Role::Agent, None) => BTreeMap::new(),
        };
        self.desired.targets().filter(same).flat_map(entries).collect()
    }

    fn has_begun(&self, target: &Target) -> bool {
        let Some(workload) = &target.workload else { return true };
        let hash = overlay(&self.desired.owner, self.desired.mode, target, workload).hash;
        self.rollout_of(&target.key).is_some_and(|previous| previous.content_hash.as_deref() == Some(&hash))
    }

    /// The steps for our ConfigMaps that are no longer in use.
    pub(super) fn leftovers(&self) -> Vec<Step> {
        let used = |map: &&ConfigMap| {
            self.desired.targets().any(|target| {
                let manager = target.manager.as_ref().map(|manager| &manager.config_map);
                map.namespace().as_deref() == Some(&target.key.namespace)
                    && std::iter::once(&target.source.config_map)
                        .chain(manager)
                        .any(|source| map.name_any() == derived::name(source))
            })
        };
        let unused = |edit: &&Edited| !used(&&edit.beside);
        let mut steps: Vec<Step> =
            self.gathered.edits.iter().filter(unused).filter_map(|edit| restore(edit, |_, _| true)).collect();
        steps.extend(self.gathered.our_maps.iter().filter(|map| !used(map)).map(delete));
        steps
    }
}

pub(super) fn is_of(edit: &Edited, target: &Target) -> bool {
    edit.live.namespace().as_deref() == Some(&target.key.namespace)
        && edit.live.name_any() == target.source.config_map
}
