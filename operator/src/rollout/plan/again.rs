//! The reasons that hold a change back although its turn has come: agents that Keylime would
//! refuse, and an earlier failure.

use std::time::Duration;

use keylime_attestor_api::{RolloutState, RolloutStatus};

use super::{Decision, Plan, seen};
use crate::build::covers::applied;
use crate::build::overlay::Overlay;
use crate::model::reported::rollout_of;
use crate::model::target::{Role, Target};
use crate::model::workload::{Workload, WorkloadKey};
use crate::rollout::gate::Waits;
use crate::rollout::progress;
use crate::rollout::retry;
use crate::rollout::strategy::Strategy;

/// The pause before a reconcile for nodes that agents wait for; a poll that changes their state
/// wakes it at once.
pub(super) const KEYLIME: Duration = Duration::from_secs(15);
/// The pause for facts that are not known at the operator's start, until the first lists have
/// arrived.
const SOON: Duration = Duration::from_secs(2);

impl Decision<'_> {
    /// True for agents that are to change and have to wait. Steps that restart no pod
    /// are done all the same.
    pub(super) fn must_wait(
        &self,
        target: &Target,
        workload: &Workload,
        overlay: &Overlay,
        begun: bool,
        plan: &mut Plan,
    ) -> bool {
        if target.role != Role::Agent || !changes(target, workload, overlay) {
            return false;
        }
        let Some(waits) = self.waits(target) else { return false };
        if begun {
            plan.steps.extend(self.configuration(target, true));
        }
        let previous = self.rollout_of(&target.key);
        let waiting = progress::begun(workload, RolloutState::Waiting, None, self.now);
        plan.rollouts.insert(target.key.clone(), seen(previous.as_ref(), workload).unwrap_or(waiting));
        plan.requeue_after(if waits == Waits::NotKnown { SOON } else { KEYLIME });
        plan.waits.insert(target.key.clone(), waits);
        true
    }

    /// The reason why the agents of a DaemonSet may not change now.
    fn waits(&self, agents: &Target) -> Option<Waits> {
        let builds = &agents.plugin.checksums;
        self.gathered.agents.wait(&agents.key, builds, self.rollout.unattestable)
    }

    /// The next try of a rollout that was rolled back.
    pub(super) fn retry(&self, key: &WorkloadKey, last: &RolloutStatus) -> retry::Next {
        // In batches, each node waits for itself.
        let in_batches = self.rollout.batch_size.is_some();
        let target = self.desired.agents.iter().find(|target| target.key == *key);
        let may_change = in_batches || target.is_none_or(|target| self.waits(target).is_none());
        let now = retry::Now {
            keylime_is_well: self.gathered.agents.keylime_answers(),
            secrets: self.gathered.secret_versions.as_deref(),
            progress_deadline: self.rollout.progress_deadline.get(),
            time: self.now,
        };
        if may_change { retry::next(last, &now) } else { retry::Next::OnChange }
    }

    /// Reconciles again when it is time to try again.
    pub(super) fn requeue_for_retry(&self, key: &WorkloadKey, plan: &mut Plan) {
        let Some(last) = rollout_of(self.previous, key) else { return };
        if let retry::Next::In(pause) = self.retry(key, last) {
            plan.requeue_after(pause);
        }
    }
}

/// True for a workload that is to change.
pub(super) fn changes(target: &Target, workload: &Workload, overlay: &Overlay) -> bool {
    held_by_us(target, workload) || !applied(&workload.live, &overlay.patch)
}

/// True for agents that moved in batches before, and no longer are to.
pub(super) fn held_by_us(target: &Target, workload: &Workload) -> bool {
    target.role == Role::Agent && Strategy::of(workload) == Strategy::Ours
}
