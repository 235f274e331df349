//! The way back: the template first, then the pods, some at a time.

use k8s_openapi::api::core::v1::Pod;
use keylime_attestor_api::{RolloutState, Share};

use super::{BATCH, NOW, delete_pod};
use crate::build::overlay::{Overlay, claim, identity};
use crate::model::pod::carries_overlay;
use crate::model::step::Step;
use crate::model::target::Target;
use crate::model::workload::Workload;
use crate::rollout::batches;
use crate::rollout::plan::{Decision, Plan};
use crate::rollout::progress;
use crate::rollout::strategy::{Strategy, on_delete};

impl Decision<'_> {
    /// Gives the template back, and still no pod with it.
    pub(super) fn roll_back_batch(
        &self,
        target: &Target,
        workload: &Workload,
        overlay: &Overlay,
        plan: &mut Plan,
    ) -> bool {
        let object = match Strategy::of(workload) {
            Strategy::Ours => on_delete(claim(&self.desired.owner, workload)),
            _ => identity(workload),
        };
        plan.steps.push(Step::Withdraw { workload: target.key.clone(), object });
        let back = progress::begun(workload, RolloutState::RolledBack, Some(overlay.hash.clone()), self.now);
        plan.rollouts.insert(target.key.clone(), back);
        plan.requeue_after(NOW);
        false
    }
}

impl Plan {
    /// Replaces the pods that carry an overlay which was withdrawn, some at a time, and then gives
    /// the strategy back.
    pub(crate) fn roll_pods_back(&mut self, pods: &[Pod], workload: &Workload, share: Share) {
        let back = batches::rolled_back(pods, share);
        self.steps.extend(back.iter().map(|pod| delete_pod(pod)));
        if pods.iter().any(carries_overlay) {
            self.requeue_after(BATCH);
        } else if Strategy::of(workload) == Strategy::Ours {
            self.steps.push(Step::Withdraw { workload: workload.key.clone(), object: identity(workload) });
        }
    }
}
