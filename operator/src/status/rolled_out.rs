//! ServerRolledOut and AgentsRolledOut.

use keylime_attestor_api::conditions::{Reason, agents_rolled_out, server_rolled_out};
use keylime_attestor_api::{BatchStatus, Mode, RolloutState, RolloutStatus};

use super::Facts;
use crate::model::target::{Desired, Role, Target};

/// The reasons that both conditions have.
struct Reasons {
    rolled_out: Reason,
    not_managed: Reason,
    waiting_for_configuration: Reason,
    progressing: Reason,
    pods_not_ready: Reason,
    paused: Reason,
    deadline_exceeded: Reason,
    rolled_back: Reason,
    withdrawing: Reason,
}

const SERVER: Reasons = Reasons {
    rolled_out: server_rolled_out::ROLLED_OUT,
    not_managed: server_rolled_out::NOT_MANAGED,
    waiting_for_configuration: server_rolled_out::WAITING_FOR_CONFIGURATION,
    progressing: server_rolled_out::PROGRESSING,
    pods_not_ready: server_rolled_out::PODS_NOT_READY,
    paused: server_rolled_out::PAUSED,
    deadline_exceeded: server_rolled_out::PROGRESS_DEADLINE_EXCEEDED,
    rolled_back: server_rolled_out::ROLLED_BACK,
    withdrawing: server_rolled_out::WITHDRAWING,
};

const AGENTS: Reasons = Reasons {
    rolled_out: agents_rolled_out::ROLLED_OUT,
    not_managed: agents_rolled_out::NOT_MANAGED,
    waiting_for_configuration: agents_rolled_out::WAITING_FOR_CONFIGURATION,
    progressing: agents_rolled_out::PROGRESSING,
    pods_not_ready: agents_rolled_out::PODS_NOT_READY,
    paused: agents_rolled_out::PAUSED,
    deadline_exceeded: agents_rolled_out::PROGRESS_DEADLINE_EXCEEDED,
    rolled_back: agents_rolled_out::ROLLED_BACK,
    withdrawing: agents_rolled_out::WITHDRAWING,
};

/// The condition of the server or of the agents: of several workloads, that of the one which is
/// worst off.
pub(super) fn rolled_out(facts: &Facts<'_>, role: Role) -> (Reason, String) {
    let reasons = match role {
        Role::Server => &SERVER,
        Role::Agent => &AGENTS,
    };
    if facts.is_deleted() {
        return (reasons.withdrawing, reasons.withdrawing.meaning.to_owned());
    }
    let Some(desired) = facts.attempt.desired() else {
        return (reasons.waiting_for_configuration, reasons.waiting_for_configuration.meaning.to_owned());
    };
    // With ConfigOnly, workloads that get back what they had, where the mode was another before.
    let is_managed = |target: &&Target| {
        desired.mode != Mode::ConfigOnly || facts.attempt.rollouts().contains_key(&target.key)
    };
    let mut states: Vec<_> =
        targets(desired, role).filter(is_managed).map(|target| state(facts, reasons, target)).collect();
    if states.is_empty() {
        let reason = reasons.not_managed;
        return (reason, format!("{} {}", reason.meaning, reason.remedy));
    }
    states.sort_by_key(|(severity, _, _)| std::cmp::Reverse(*severity));
    match states.into_iter().next() {
        Some((_, reason, message)) if message.is_empty() => (reason, reason.meaning.to_owned()),
        Some((_, reason, message)) => (reason, message),
        None => (reasons.waiting_for_configuration, reasons.waiting_for_configuration.meaning.to_owned()),
    }
}

fn targets(desired: &Desired, role: Role) -> impl Iterator<Item = &Target> {
    desired.targets().filter(move |target| target.role == role)
}

/// The state of agents that move in batches, unless the counts say it all.
fn in_batches(state: RolloutState, batch: &BatchStatus) -> Option<(u8, Reason, String)> {
    let BatchStatus { nodes, waiting, not_passed, not_enrolled, left } = batch;
    let left = format!(
        ". {not_enrolled} nodes are not enrolled and stay on their old attestor, {not_passed} wait for Keylime to pass them: {}",
        some(left)
    );
    let left = if not_enrolled + not_passed == 0 { String::new() } else { left };
    let told = |reason: Reason| format!("{}{left}", reason.remedy.trim_end_matches('.'));
    match state {
        RolloutState::Complete if *not_enrolled > 0 => {
            let reason = agents_rolled_out::ENROLLED_ROLLED_OUT;
            Some((1, reason, told(reason)))
        }
        RolloutState::Progressing if nodes.is_empty() && *not_passed > 0 => {
            let reason = agents_rolled_out::WAITING_FOR_KEYLIME;
            Some((2, reason, told(reason)))
        }
        RolloutState::Progressing => {
            let (reason, number) = (agents_rolled_out::MOVING_IN_BATCHES, nodes.len());
            Some((
                2,
                reason,
                format!("This batch: {waiting} of {number} nodes are not done ({}){left}", some(nodes)),
            ))
        }
        _ => None,
    }
}

/// The first of some names, for a human.
fn some(names: &[String]) -> String {
    const MANY: usize = 10;
    let more = if names.len() > MANY { ", …" } else { "" };
    names.iter().take(MANY).cloned().collect::<Vec<_>>().join(", ") + more
}

/// The severity, the reason and the message of one workload.
fn state(facts: &Facts<'_>, reasons: &Reasons, target: &Target) -> (u8, Reason, String) {
    let Some(rollout) = facts.attempt.rollouts().get(&target.key) else {
        let reason = reasons.waiting_for_configuration;
        return (3, reason, reason.meaning.to_owned());
    };
    let RolloutStatus { state, desired, updated, ready, .. } = rollout;
    let of = format!("{}: {updated} of {desired} pods updated, {ready} of them ready", target.key);
    let held = target.workload.as_ref().and_then(|workload| workload.held);
    let all = updated == desired && ready == desired;
    let waits =
        target.role == Role::Agent && facts.attempt.waits_for_server() && *state != RolloutState::Complete;
    if let Some(why) = facts.attempt.waits(&target.key) {
        let reason = why.reason();
        return (3, reason, format!("{why}. {}", reason.remedy));
    }
    if let Some(batch) = rollout.batch.as_ref().filter(|_| !waits)
        && let Some((severity, reason, message)) = in_batches(*state, batch)
    {
        return (severity, reason, format!("{of}. {message}"));
    }
    match state {
        RolloutState::RolledBack => (
            6,
            reasons.rolled_back,
            format!("the {} got back what it had. {}", target.key, reasons.rolled_back.remedy),
        ),
        RolloutState::Failed => {
            let deadline = reasons.deadline_exceeded;
            (5, deadline, format!("{of}. {} {}", deadline.meaning, deadline.remedy))
        }
        _ if waits => {
            let reason = agents_rolled_out::WAITING_FOR_SERVER;
            (3, reason, format!("{} {}", reason.meaning, reason.remedy))
        }
        RolloutState::Complete if all => (0, reasons.rolled_out, String::new()),
        RolloutState::Waiting => {
            (3, reasons.waiting_for_configuration, reasons.waiting_for_configuration.meaning.to_owned())
        }
        RolloutState::Progressing | RolloutState::Complete => match held {
            Some(held) => (4, reasons.paused, format!("{of}, and {held}. {}", reasons.paused.remedy)),
            None if *state == RolloutState::Complete && updated == desired => {
                let reason = reasons.pods_not_ready;
                (1, reason, format!("{of}. {} {}", reason.meaning, reason.remedy))
            }
            None => (2, reasons.progressing, of),
        },
        RolloutState::Withdrawing => (2, reasons.withdrawing, of),
    }
}
