//! The state of a rollout in batches.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use keylime_attestor_api::{BatchStatus, RolloutState, RolloutStatus};

use super::desired_pods;
use crate::build::overlay::Overlay;
use crate::model::workload::Workload;
use crate::rollout::batches::Assessment;
use crate::rollout::plan::Decision;
use crate::rollout::progress;

/// Most nodes that the status lists as left on their old agents.
const MAX_LEFT: usize = 50;

impl Decision<'_> {
    /// The state of the rollout. Only a batch under way has a deadline.
    pub(super) fn assessed(
        &self,
        same: Option<&RolloutStatus>,
        workload: &Workload,
        overlay: &Overlay,
        assessment: &Assessment,
        all_moved: bool,
    ) -> RolloutStatus {
        let before = same.and_then(|same| same.batch.as_ref());
        let got_on = assessment.begins
            || before
                .is_none_or(|before| assessment.waiting.len() < usize::try_from(before.waiting).unwrap_or(0));
        let last = same.filter(|_| !got_on).map_or(self.now, |same| same.last_progress_time.0);
        let late = progress::elapsed(last, self.now) >= self.rollout.progress_deadline.get()
            || self.gathered.uncreated.contains_key(&workload.key);
        let was = same.map(|same| same.state);
        let all_seen = assessment.moved + assessment.not_enrolled.len() >= desired_pods(workload).max(1);
        let state = if all_moved || assessment.is_done() && all_seen {
            RolloutState::Complete
        } else if assessment.waiting.is_empty() {
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
            batch: Some(told(assessment)),
            retry: None,
        }
    }
}

/// The status of the batches.
fn told(assessment: &Assessment) -> BatchStatus {
    let count = |nodes: &[String]| i32::try_from(nodes.len()).unwrap_or(i32::MAX);
    let left = assessment.not_enrolled.iter().chain(&assessment.not_passed);
    BatchStatus {
        nodes: assessment.batch.clone(),
        waiting: count(&assessment.waiting),
        not_passed: count(&assessment.not_passed),
        not_enrolled: count(&assessment.not_enrolled),
        left: left.take(MAX_LEFT).cloned().collect(),
    }
}
