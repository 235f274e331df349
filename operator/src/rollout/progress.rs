//! The progress of a rollout, from its last state and the pods of now. Pure.

use std::time::Duration;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use k8s_openapi::jiff::Timestamp;
use keylime_attestor_api::{RolloutState, RolloutStatus};

use crate::model::workload::Workload;

/// A rollout that begins with an apply of now.
pub(crate) fn begun(
    workload: &Workload,
    state: RolloutState,
    hash: Option<String>,
    now: Timestamp,
) -> RolloutStatus {
    RolloutStatus {
        state,
        content_hash: hash,
        observed_generation: None,
        last_progress_time: Time(now),
        desired: workload.pods.desired,
        updated: 0,
        ready: 0,
        batch: None,
        retry: None,
    }
}

/// The facts of a rollout besides the pods' counts.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Seen {
    pub(crate) deadline: Duration,
    /// True where the workload's own settings held it at the last reconcile.
    pub(crate) was_held: bool,
    /// True where the workload's controller is refused pods.
    pub(crate) uncreated: bool,
}

/// The next state of a rollout whose apply is in place already.
///
/// One that was complete stays so: later failures of single pods are the workload's controller's
/// and show in the counts, and no reason to roll everything back. One whose pods cannot be created
/// has failed at once: waiting brings none.
pub(crate) fn advanced(
    previous: Option<&RolloutStatus>,
    workload: &Workload,
    hash: &str,
    seen: &Seen,
    now: Timestamp,
) -> RolloutStatus {
    let Seen { deadline, was_held, uncreated } = *seen;
    let pods = workload.pods;
    let previous = previous.filter(|previous| previous.content_hash.as_deref() == Some(hash));
    let got_on =
        previous.is_none_or(|previous| pods.ready > previous.ready) || workload.held.is_some() != was_held;
    let last = previous.filter(|_| !got_on).map_or(now, |previous| previous.last_progress_time.0);
    let before = previous.map_or(RolloutState::Waiting, |previous| previous.state);
    let late = elapsed(last, now) >= deadline && workload.held.is_none();
    let state = match before {
        _ if pods.complete => RolloutState::Complete,
        RolloutState::Complete => RolloutState::Complete,
        RolloutState::Failed if !got_on => RolloutState::Failed,
        _ if uncreated => RolloutState::Failed,
        _ if late => RolloutState::Failed,
        _ => RolloutState::Progressing,
    };
    RolloutStatus {
        state,
        content_hash: Some(hash.to_owned()),
        observed_generation: None,
        last_progress_time: Time(if state == before { last } else { now }),
        desired: pods.desired,
        updated: pods.updated,
        ready: pods.ready,
        batch: None,
        retry: None,
    }
}

/// The time that is left until a rollout has failed.
pub(crate) fn left(rollout: &RolloutStatus, deadline: Duration, now: Timestamp) -> Duration {
    deadline.saturating_sub(elapsed(rollout.last_progress_time.0, now))
}

pub(crate) fn elapsed(since: Timestamp, now: Timestamp) -> Duration {
    now.duration_since(since).try_into().unwrap_or_default()
}
