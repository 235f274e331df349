//! The steps of a DaemonSet whose agents move in batches. Its update strategy is OnDelete while
//! pods of two kinds are to live side by side, so that nothing but the operator replaces a pod.

mod assessed;
mod back;

use std::time::Duration;

use k8s_openapi::api::core::v1::Pod;
use keylime_attestor_api::{RolloutState, RolloutStatus, Share};
use kube::ResourceExt as _;

use super::{Decision, Plan, seen};
use crate::build::covers::applied;
use crate::build::overlay::{Overlay, claim, overlay};
use crate::model::step::Step;
use crate::model::target::Target;
use crate::model::workload::Workload;
use crate::rollout::batches::{self, Assessment, Facts};
use crate::rollout::gate::Waits;
use crate::rollout::progress;
use crate::rollout::strategy::{Strategy, on_delete};

/// The pause before a reconcile for a batch under way, and for nodes that Keylime may pass later.
const BATCH: Duration = Duration::from_secs(5);
const LATER: Duration = Duration::from_secs(15);

/// The pause before a reconcile for a node that was not enrolled.
const ENROLLED: Duration = Duration::from_secs(30);

/// The pause before a step that the status has announced.
const NOW: Duration = Duration::from_secs(1);

impl Decision<'_> {
    /// Plans the steps of a DaemonSet whose agents move in batches; true when all agents that can
    /// be moved are.
    pub(super) fn batched(
        &self,
        target: &Target,
        workload: &Workload,
        share: Share,
        may_begin: bool,
        plan: &mut Plan,
    ) -> bool {
        let overlay = overlay(&self.desired.owner, self.desired.mode, target, workload);
        let previous = self.rollout_of(&target.key);
        let previous = previous.as_ref();
        let same = previous.filter(|previous| previous.content_hash.as_deref() == Some(&overlay.hash));
        let state = same.map(|previous| previous.state);
        if let Some(back) = same.filter(|same| same.state == RolloutState::RolledBack) {
            let back =
                RolloutStatus { batch: None, ..seen(Some(back), workload).unwrap_or_else(|| back.clone()) };
            plan.rollouts.insert(target.key.clone(), back);
            plan.roll_pods_back(self.pods(workload), workload, share);
            self.requeue_for_retry(&target.key, plan);
            return false;
        }
        if !state.is_some_and(|state| state != RolloutState::Waiting) && !may_begin {
            let waiting = progress::begun(workload, RolloutState::Waiting, None, self.now);
            plan.rollouts.insert(target.key.clone(), seen(previous, workload).unwrap_or(waiting));
            return false;
        }
        let known = same.is_some();
        plan.steps.extend(self.configuration(target, known));
        if !applied(&workload.live, &overlay.patch) {
            self.put_on(target, workload, overlay, known, plan);
            return false;
        }
        self.move_on(target, workload, &overlay, share, plan)
    }

    /// Changes the template, and no pod with it.
    fn put_on(&self, target: &Target, workload: &Workload, overlay: Overlay, known: bool, plan: &mut Plan) {
        let begun = progress::begun(workload, RolloutState::Progressing, Some(overlay.hash), self.now);
        plan.rollouts.insert(target.key.clone(), begun);
        let strategy = Strategy::of(workload);
        if strategy == Strategy::Free {
            plan.steps.push(hold(workload, on_delete(claim(&self.desired.owner, workload))));
        }
        let object = if strategy == Strategy::Theirs { overlay.patch } else { on_delete(overlay.patch) };
        plan.steps.push(Step::Overlay { workload: target.key.clone(), object, correction: known });
        plan.requeue_after(NOW);
    }

    /// Replaces the next pods, when those before them are done.
    fn move_on(
        &self,
        target: &Target,
        workload: &Workload,
        overlay: &Overlay,
        share: Share,
        plan: &mut Plan,
    ) -> bool {
        let previous = self.rollout_of(&target.key);
        let previous = previous.as_ref();
        let same = previous.filter(|previous| previous.content_hash.as_deref() == Some(&overlay.hash));
        let batch = same.and_then(|same| same.batch.as_ref()).map(|batch| batch.nodes.as_slice());
        let unsupported = self.gathered.agents.unsupported(&target.key, &target.plugin.checksums);
        let without_plugin = unsupported.iter().flat_map(|found| &found.nodes);
        let assessment = batches::decide(&Facts {
            unsupported: &without_plugin.map(|(node, _)| node.clone()).collect(),
            nodes: &self.gathered.nodes,
            keylime_answers: self.gathered.agents.keylime_answers(),
            pods: self.pods(workload),
            hash: &overlay.hash,
            share,
            needs_identity: self.gathered.knows_identities,
            batch: batch.unwrap_or_default(),
        });
        let strategy = Strategy::of(workload);
        let all_moved = workload.pods.complete
            || assessment.is_done() && assessment.moved >= desired_pods(workload).max(1);
        let rollout = self.assessed(same, workload, overlay, &assessment, all_moved);
        let state = rollout.state;
        if let Some(unsupported) = unsupported.filter(|_| assessment.batch.is_empty()) {
            plan.waits.insert(target.key.clone(), Waits::Unsupported(unsupported));
        }
        let failed_before = same.is_some_and(|same| same.state == RolloutState::Failed);
        plan.rollouts.insert(target.key.clone(), rollout);
        if state == RolloutState::Failed && failed_before && self.rolls_back(target) {
            return self.roll_back_batch(target, workload, overlay, plan);
        }
        if all_moved {
            if strategy == Strategy::Ours {
                let object = overlay.patch.clone();
                plan.steps.push(Step::Overlay { workload: target.key.clone(), object, correction: false });
            }
            return state == RolloutState::Complete;
        }
        if strategy == Strategy::Free {
            plan.steps.push(hold(workload, on_delete(overlay.patch.clone())));
            plan.requeue_after(NOW);
            return false;
        }
        if state == RolloutState::Progressing {
            plan.steps.extend(assessment.replace.iter().map(delete_pod));
        }
        plan.requeue_after(self.pause(target, state, &assessment));
        state == RolloutState::Complete
    }

    /// The pause before the next reconcile, should no change come first.
    fn pause(&self, target: &Target, state: RolloutState, assessment: &Assessment) -> Duration {
        match state {
            RolloutState::Complete => ENROLLED,
            // The failure is reported first, with the pods' own messages, and then rolled back.
            RolloutState::Failed if self.rolls_back(target) => NOW,
            _ if assessment.begins => NOW,
            _ if assessment.waiting.is_empty() => LATER,
            _ => BATCH,
        }
    }

    fn pods(&self, workload: &Workload) -> &[Pod] {
        self.gathered.pods.get(&workload.key).map(Vec::as_slice).unwrap_or_default()
    }
}

fn desired_pods(workload: &Workload) -> usize {
    usize::try_from(workload.pods.desired).unwrap_or_default()
}

fn hold(workload: &Workload, object: serde_json::Value) -> Step {
    Step::Hold { workload: workload.key.clone(), object }
}

fn delete_pod(pod: &Pod) -> Step {
    Step::DeletePod {
        namespace: pod.namespace().unwrap_or_default(),
        name: pod.name_any(),
        uid: pod.uid().unwrap_or_default(),
    }
}

#[cfg(test)]
mod tests;
