//! The steps that are due: the server's first, the agents' when it is rolled out. Pure.

mod again;
mod batched;
mod configuration;
mod steps;

use std::collections::BTreeMap;
use std::time::Duration;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use k8s_openapi::jiff::Timestamp;
use keylime_attestor_api::conditions::server_rolled_out;
use keylime_attestor_api::{KeylimeAttestorStatus, Mode, Rollout, RolloutState, RolloutStatus};

pub(crate) use steps::{delete, restore, stuck, withdraw};

use crate::build::overlay::{Overlay, identity, overlay};
use crate::gather::Gathered;
use crate::model::reported::rollout_of;
use crate::model::step::Step;
use crate::model::target::{Desired, Role, Target};
use crate::model::workload::{Workload, WorkloadKey};
use crate::rollout::gate::Waits;
use crate::rollout::progress;
use crate::rollout::retry;
use configuration::is_of;

/// The pause before a reconcile for pods that are missing.
const MISSING: Duration = Duration::from_secs(2);

/// The steps that are due, and the state of the rollouts after them.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Plan {
    pub(crate) steps: Vec<Step>,
    pub(crate) rollouts: BTreeMap<WorkloadKey, RolloutStatus>,
    /// True where the agents wait for the server.
    pub(crate) waits_for_server: bool,
    /// The agents that wait for Keylime, or for a plugin, with the reasons.
    pub(crate) waits: BTreeMap<WorkloadKey, Waits>,
    /// The pause before a reconcile by ourselves; changes of the cluster wake it earlier.
    pub(crate) requeue: Option<Duration>,
}

/// Plans the steps that are due.
pub(crate) fn plan(
    desired: &Desired,
    gathered: &Gathered,
    previous: &KeylimeAttestorStatus,
    rollout: &Rollout,
    now: Timestamp,
) -> Plan {
    let decision = Decision { desired, gathered, previous, rollout, now };
    let mut plan = Plan { steps: decision.orphans(), ..Plan::default() };
    let server_done = decision.target(&desired.server, true, &mut plan);
    let mut done = server_done;
    for agent in &desired.agents {
        done &= decision.target(agent, server_done, &mut plan);
    }
    for (key, rollout) in &mut plan.rollouts {
        rollout.observed_generation = desired.generation;
        rollout.retry = retry::kept(rollout_of(previous, key), rollout);
    }
    plan.waits_for_server = !server_done;
    if done && plan.steps.is_empty() {
        plan.steps = decision.leftovers();
    }
    plan
}

/// Every step to the desired state, whatever its time has to wait for: what a resource comes to in
/// the end.
pub(crate) fn all_steps(
    desired: &Desired,
    gathered: &Gathered,
    previous: &KeylimeAttestorStatus,
    rollout: &Rollout,
    now: Timestamp,
) -> Vec<Step> {
    let decision = Decision { desired, gathered, previous, rollout, now };
    let mut steps = decision.orphans();
    for target in desired.targets() {
        let workload = target.workload.as_ref().filter(|_| desired.mode != Mode::ConfigOnly);
        let overlay =
            workload.map(|workload| (workload, overlay(&desired.owner, desired.mode, target, workload)));
        let last = decision.rollout_of(&target.key).and_then(|last| last.content_hash);
        let known = overlay.as_ref().is_some_and(|(_, overlay)| last.as_ref() == Some(&overlay.hash));
        steps.extend(decision.configuration(target, known));
        if let Some((workload, overlay)) = overlay
            && again::changes(target, workload, &overlay)
        {
            let object = overlay.patch;
            steps.push(Step::Overlay { workload: target.key.clone(), object, correction: known });
        }
    }
    steps.extend(decision.leftovers());
    steps
}

/// The progress of the server's other attestors, which are to be back before agents get theirs.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Readmission {
    /// These steps are due.
    Going(Plan),
    /// All of the server's pods have them.
    Done,
    /// The server cannot be brought to run with them and Keylime's.
    Failed,
}

/// Plans the steps until SPIRE's server admits nodes by its other attestors again.
pub(crate) fn readmission(
    desired: &Desired,
    gathered: &Gathered,
    previous: &KeylimeAttestorStatus,
    rollout: &Rollout,
    now: Timestamp,
) -> Readmission {
    let decision = Decision { desired, gathered, previous, rollout, now };
    let mut plan = Plan::default();
    let done = decision.target(&desired.server, true, &mut plan);
    let state = plan.rollouts.get(&desired.server.key).map(|rollout| rollout.state);
    match state {
        Some(RolloutState::Failed | RolloutState::RolledBack) => Readmission::Failed,
        _ if done => Readmission::Done,
        _ => Readmission::Going(plan),
    }
}

struct Decision<'a> {
    desired: &'a Desired,
    gathered: &'a Gathered,
    previous: &'a KeylimeAttestorStatus,
    rollout: &'a Rollout,
    now: Timestamp,
}

impl Decision<'_> {
    /// Plans the steps of one workload; true when it runs with all that it should.
    fn target(&self, target: &Target, may_begin: bool, plan: &mut Plan) -> bool {
        let Some(workload) = target.workload.as_ref().filter(|_| self.desired.mode != Mode::ConfigOnly)
        else {
            plan.steps.extend(self.configuration(target, false));
            return true;
        };
        if let (Role::Agent, Some(share)) = (target.role, self.rollout.batch_size) {
            return self.batched(target, workload, share, may_begin, plan);
        }
        let overlay = overlay(&self.desired.owner, self.desired.mode, target, workload);
        let previous = self.rollout_of(&target.key);
        let previous = previous.as_ref();
        let same = previous.filter(|previous| previous.content_hash.as_deref() == Some(&overlay.hash));
        let state = same.map(|previous| previous.state);
        if state == Some(RolloutState::RolledBack) {
            plan.steps.extend(stuck(self.gathered, workload, None));
            plan.rollouts.extend(seen(same, workload).map(|back| (target.key.clone(), back)));
            self.requeue_for_retry(&target.key, plan);
            return false;
        }
        plan.steps.extend(stuck(self.gathered, workload, Some(&overlay.hash)));
        let begun = state.is_some_and(|state| state != RolloutState::Waiting);
        if !begun && !may_begin {
            let waiting = progress::begun(workload, RolloutState::Waiting, None, self.now);
            plan.rollouts.insert(target.key.clone(), seen(previous, workload).unwrap_or(waiting));
            return false;
        }
        if self.must_wait(target, workload, &overlay, begun, plan) {
            return false;
        }
        self.in_turn(target, workload, overlay, plan)
    }

    /// Plans the steps of a workload whose turn has come.
    fn in_turn(&self, target: &Target, workload: &Workload, overlay: Overlay, plan: &mut Plan) -> bool {
        let previous = self.rollout_of(&target.key);
        let previous = previous.as_ref();
        let known = previous.is_some_and(|previous| previous.content_hash.as_deref() == Some(&overlay.hash));
        plan.steps.extend(self.configuration(target, known));
        if again::changes(target, workload, &overlay) {
            let begun = progress::begun(workload, RolloutState::Progressing, Some(overlay.hash), self.now);
            plan.rollouts.insert(target.key.clone(), begun);
            let object = overlay.patch;
            let correction = known && !again::held_by_us(target, workload);
            plan.steps.push(Step::Overlay { workload: target.key.clone(), object, correction });
            return false;
        }
        let deadline = self.rollout.progress_deadline.get();
        let seen = progress::Seen {
            deadline,
            was_held: was_held(self.previous, target.role),
            uncreated: self.gathered.uncreated.contains_key(&target.key),
        };
        let rollout = progress::advanced(previous, workload, &overlay.hash, &seen, self.now);
        let (state, failed_before) =
            (rollout.state, previous.is_some_and(|previous| previous.state == RolloutState::Failed));
        if state == RolloutState::Progressing && workload.held.is_none() {
            plan.requeue_after(progress::left(&rollout, deadline, self.now));
            if workload.pods.missing > 0 {
                // No event tells when the workload's controller is refused a pod.
                plan.requeue_after(MISSING);
            }
        }
        let rolls_back = self.rolls_back(target);
        let roll_back = state == RolloutState::Failed && failed_before && known && rolls_back;
        if roll_back {
            plan.steps.extend(self.roll_back(target, workload));
            let back = progress::begun(workload, RolloutState::RolledBack, Some(overlay.hash), self.now);
            plan.rollouts.insert(target.key.clone(), back);
            return false;
        }
        if state == RolloutState::Failed && rolls_back {
            // The failure is reported first, with the pods' own messages, and then rolled back.
            plan.requeue_after(Duration::from_secs(1));
        }
        plan.rollouts.insert(target.key.clone(), rollout);
        state == RolloutState::Complete && workload.pods.complete
    }

    /// The rollout of a workload as it was last reported. One that failed has another try when the
    /// resource has changed since.
    fn rollout_of(&self, key: &WorkloadKey) -> Option<RolloutStatus> {
        let last = rollout_of(self.previous, key)?.clone();
        match last.state {
            RolloutState::RolledBack if self.retry(key, &last) == retry::Next::Now => None,
            _ if last.observed_generation == self.desired.generation => Some(last),
            RolloutState::RolledBack => None,
            RolloutState::Failed => Some(RolloutStatus {
                state: RolloutState::Progressing,
                last_progress_time: Time(self.now),
                ..last
            }),
            _ => Some(last),
        }
    }

    /// Whether a failed rollout gets what was there before. Agents do not where the server would
    /// not admit them by that.
    fn rolls_back(&self, target: &Target) -> bool {
        let admits_keylime_alone = self.desired.is_exclusive() || self.previous.readmission_due;
        self.rollout.rollback && (target.role == Role::Server || !admits_keylime_alone)
    }

    fn roll_back(&self, target: &Target, workload: &Workload) -> Vec<Step> {
        let edits = self.gathered.edits.iter().filter(|edit| is_of(edit, target));
        let key = &target.source.key;
        let mut steps: Vec<Step> =
            edits.filter_map(|edit| restore(edit, |_, edited| edited == key)).collect();
        steps.push(Step::Withdraw { workload: workload.key.clone(), object: identity(workload) });
        steps
    }

    /// The steps for workloads that carry our overlay and are no longer to.
    fn orphans(&self) -> Vec<Step> {
        let kept = |workload: &&Workload| {
            self.desired.mode != Mode::ConfigOnly
                && self.desired.targets().any(|target| target.key == workload.key)
        };
        let orphans = self.gathered.ours.iter().filter(|workload| !kept(workload));
        orphans.flat_map(|workload| withdraw(self.gathered, workload)).collect()
    }
}

impl Plan {
    pub(crate) fn requeue_after(&mut self, after: Duration) {
        self.requeue = Some(self.requeue.map_or(after, |requeue| requeue.min(after)));
    }
}

/// The last state, with the pods' counts of now.
fn seen(previous: Option<&RolloutStatus>, workload: &Workload) -> Option<RolloutStatus> {
    let pods = workload.pods;
    previous.map(|previous| RolloutStatus {
        desired: pods.desired,
        updated: pods.updated,
        ready: pods.ready,
        ..previous.clone()
    })
}

fn was_held(status: &KeylimeAttestorStatus, role: Role) -> bool {
    let type_ = match role {
        Role::Server => "ServerRolledOut",
        Role::Agent => "AgentsRolledOut",
    };
    let mut conditions = status.conditions.iter();
    conditions.any(|condition| condition.type_ == type_ && condition.reason == server_rolled_out::PAUSED.name)
}

#[cfg(test)]
mod tests;
