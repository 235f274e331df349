//! Agents that move in steps: which of their DaemonSet's steps is due. Its update strategy is
//! OnDelete while pods of two kinds are to live side by side, so that nothing but the operator
//! replaces a pod.

use std::time::Duration;

use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use keylime_attestor_api::{CanaryStatus, RolloutState, RolloutStatus, Share};
use kube::ResourceExt as _;

use super::{Decision, Next, seen};
use crate::build::covers::applied;
use crate::build::overlay::{Overlay, claim, identity, overlay};
use crate::model::pod::carries_overlay;
use crate::model::step::Step;
use crate::model::target::Target;
use crate::model::workload::Workload;
use crate::rollout::batches::{self, Facts, Verdict};
use crate::rollout::progress;
use crate::rollout::strategy::{Strategy, on_delete};

/// When to look again at a step under way, and at nodes that Keylime may pass later.
const STEP: Duration = Duration::from_secs(5);
const LATER: Duration = Duration::from_secs(15);
/// When to look whether a node that was not enrolled is.
const ENROLLED: Duration = Duration::from_secs(30);
/// When to go on with what was announced.
const NOW: Duration = Duration::from_secs(1);

impl Decision<'_> {
    /// What a DaemonSet is due whose agents move in steps, and whether all that can be moved is.
    pub(super) fn staged(
        &self,
        target: &Target,
        workload: &Workload,
        share: Share,
        may_begin: bool,
        next: &mut Next,
    ) -> bool {
        let overlay = overlay(&self.plan.owner, self.plan.mode, target, workload);
        let previous = self.rollout_of(&target.key);
        let previous = previous.as_ref();
        let same = previous.filter(|previous| previous.content_hash.as_deref() == Some(&overlay.hash));
        let state = same.map(|previous| previous.state);
        if let Some(back) = same.filter(|same| same.state == RolloutState::RolledBack) {
            let back =
                RolloutStatus { canary: None, ..seen(Some(back), workload).unwrap_or_else(|| back.clone()) };
            next.rollouts.insert(target.key.clone(), back);
            next.take_pods_back(self.pods(workload), workload, share);
            self.look_for_retry(&target.key, next);
            return false;
        }
        if !state.is_some_and(|state| state != RolloutState::Waiting) && !may_begin {
            let waiting = progress::begun(workload, RolloutState::Waiting, None, self.now);
            next.rollouts.insert(target.key.clone(), seen(previous, workload).unwrap_or(waiting));
            return false;
        }
        let known = same.is_some();
        next.steps.extend(self.configuration(target, known));
        if !applied(&workload.live, &overlay.patch) {
            self.put_on(target, workload, overlay, known, next);
            return false;
        }
        self.move_on(target, workload, &overlay, share, next)
    }

    /// The template changes, and no pod with it.
    fn put_on(&self, target: &Target, workload: &Workload, overlay: Overlay, known: bool, next: &mut Next) {
        let begun = progress::begun(workload, RolloutState::Progressing, Some(overlay.hash), self.now);
        next.rollouts.insert(target.key.clone(), begun);
        let strategy = Strategy::of(workload);
        if strategy == Strategy::Free {
            next.steps.push(hold(workload, on_delete(claim(&self.plan.owner, workload))));
        }
        let object = if strategy == Strategy::Theirs { overlay.patch } else { on_delete(overlay.patch) };
        next.steps.push(Step::Overlay { workload: target.key.clone(), object, correction: known });
        next.look_again(NOW);
    }

    /// The next pods are replaced, when those before them are done.
    fn move_on(
        &self,
        target: &Target,
        workload: &Workload,
        overlay: &Overlay,
        share: Share,
        next: &mut Next,
    ) -> bool {
        let previous = self.rollout_of(&target.key);
        let previous = previous.as_ref();
        let same = previous.filter(|previous| previous.content_hash.as_deref() == Some(&overlay.hash));
        let step = same.and_then(|same| same.canary.as_ref()).map(|canary| canary.step.as_slice());
        let verdict = batches::decide(&Facts {
            nodes: &self.gathered.nodes,
            keylime_answers: self.gathered.agents.keylime_answers(),
            pods: self.pods(workload),
            hash: &overlay.hash,
            share,
            needs_identity: self.gathered.knows_identities,
            step: step.unwrap_or_default(),
        });
        let strategy = Strategy::of(workload);
        let all_moved =
            workload.pods.complete || verdict.is_done() && verdict.moved >= desired(workload).max(1);
        let rollout = self.judged(same, workload, overlay, &verdict, all_moved);
        let state = rollout.state;
        let failed_before = same.is_some_and(|same| same.state == RolloutState::Failed);
        next.rollouts.insert(target.key.clone(), rollout);
        if state == RolloutState::Failed && failed_before && self.rollout.rollback {
            return self.give_up(target, workload, overlay, next);
        }
        if all_moved {
            if strategy == Strategy::Ours {
                let object = overlay.patch.clone();
                next.steps.push(Step::Overlay { workload: target.key.clone(), object, correction: false });
            }
            return state == RolloutState::Complete;
        }
        if strategy == Strategy::Free {
            next.steps.push(hold(workload, on_delete(overlay.patch.clone())));
            next.look_again(NOW);
            return false;
        }
        if state == RolloutState::Progressing {
            next.steps.extend(verdict.replace.iter().map(delete_pod));
        }
        next.look_again(match state {
            RolloutState::Complete => ENROLLED,
            // The failure is reported first, with what the pods say, and then taken back.
            RolloutState::Failed if self.rollout.rollback => NOW,
            _ if verdict.begins => NOW,
            _ if verdict.waiting.is_empty() => LATER,
            _ => STEP,
        });
        state == RolloutState::Complete
    }

    /// How far it is. Only a step that is under way has a deadline.
    fn judged(
        &self,
        same: Option<&RolloutStatus>,
        workload: &Workload,
        overlay: &Overlay,
        verdict: &Verdict,
        all_moved: bool,
    ) -> RolloutStatus {
        let before = same.and_then(|same| same.canary.as_ref());
        let got_on = verdict.begins
            || before
                .is_none_or(|before| verdict.waiting.len() < usize::try_from(before.waiting).unwrap_or(0));
        let last = same.filter(|_| !got_on).map_or(self.now, |same| same.last_progress_time.0);
        let late = progress::elapsed(last, self.now) >= self.rollout.progress_deadline.get()
            || self.gathered.uncreated.contains_key(&workload.key);
        let was = same.map(|same| same.state);
        let all_seen = verdict.moved + verdict.not_enrolled.len() >= desired(workload).max(1);
        let state = if all_moved || verdict.is_done() && all_seen {
            RolloutState::Complete
        } else if verdict.waiting.is_empty() {
            RolloutState::Progressing
        } else if late || was == Some(RolloutState::Failed) && !got_on {
            RolloutState::Failed
        } else {
            RolloutState::Progressing
        };
        RolloutStatus {
            state,
            content_hash: Some(overlay.hash.clone()),
            observed_generation: None,
            last_progress_time: Time(last),
            desired: workload.pods.desired,
            updated: workload.pods.updated,
            ready: workload.pods.ready,
            canary: Some(told(verdict)),
            retry: None,
        }
    }

    /// The template is given back, and still no pod with it.
    fn give_up(&self, target: &Target, workload: &Workload, overlay: &Overlay, next: &mut Next) -> bool {
        let object = match Strategy::of(workload) {
            Strategy::Ours => on_delete(claim(&self.plan.owner, workload)),
            _ => identity(workload),
        };
        next.steps.push(Step::Withdraw { workload: target.key.clone(), object });
        let back = progress::begun(workload, RolloutState::RolledBack, Some(overlay.hash.clone()), self.now);
        next.rollouts.insert(target.key.clone(), back);
        next.look_again(NOW);
        false
    }

    fn pods(&self, workload: &Workload) -> &[Pod] {
        self.gathered.pods.get(&workload.key).map(Vec::as_slice).unwrap_or_default()
    }
}

/// Nodes that the status lists as left on their old agents.
const MAX_LEFT: usize = 50;

/// What the status says of the steps.
fn told(verdict: &Verdict) -> CanaryStatus {
    let count = |nodes: &[String]| i32::try_from(nodes.len()).unwrap_or(i32::MAX);
    let left = verdict.not_enrolled.iter().chain(&verdict.not_passed);
    CanaryStatus {
        step: verdict.step.clone(),
        waiting: count(&verdict.waiting),
        not_passed: count(&verdict.not_passed),
        not_enrolled: count(&verdict.not_enrolled),
        left: left.take(MAX_LEFT).cloned().collect(),
    }
}

impl Next {
    /// Pods that carry an overlay which was taken back are replaced, some at a time. Then the
    /// strategy is given back.
    pub(crate) fn take_pods_back(&mut self, pods: &[Pod], workload: &Workload, share: Share) {
        let back = batches::taken_back(pods, share);
        self.steps.extend(back.iter().map(|pod| delete_pod(pod)));
        if pods.iter().any(carries_overlay) {
            self.look_again(STEP);
        } else if Strategy::of(workload) == Strategy::Ours {
            self.steps.push(Step::Withdraw { workload: workload.key.clone(), object: identity(workload) });
        }
    }
}

fn desired(workload: &Workload) -> usize {
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
