//! Every condition, each with one of its reasons and a message that says what to do.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use keylime_attestor_api::conditions::{
    ConditionType, REASONS, Reason, Status, agents_rolled_out, configuration_applied, degraded, enforcing,
    keylime_reachable, nodes_attested, ready, server_rolled_out,
};
use keylime_attestor_api::{Action, KeylimeAttestorStatus, Mode, RolloutState};

use super::Facts;
use super::binding::binding;
use super::bypass::bypass;
use super::certificate::certificate;
use super::finding::Finding;
use super::parent_ids::parent_ids;
use super::rolled_out::rolled_out;
use crate::keylime_client::reach::Reach;
use crate::model::target::Role;
use crate::nodes::summary;

/// Longest message in characters: the API takes 32768, and all conditions are shown side by side.
const MAX_MESSAGE: usize = 4096;

/// All conditions, in the order in which they are shown.
pub(super) fn conditions(facts: &Facts<'_>) -> Vec<Condition> {
    let configuration = configuration(facts);
    let server = rolled_out(facts, Role::Server);
    let agents = rolled_out(facts, Role::Agent);
    let keylime = keylime(facts);
    let (parent_ids, binding, bypass) = (parent_ids(facts), binding(facts), bypass(facts));
    let (nodes, enforcement) = (nodes(facts), enforcement(facts));
    let degraded = degraded(facts);
    // Ready is about the installation: a node that fails, or one that is not enrolled, breaks
    // nothing for the others.
    let ready = ready(facts, [&configuration, &server, &agents, &keylime, &parent_ids, &degraded]);
    let suspended = configuration.0 == configuration_applied::SUSPENDED;
    let about_nodes = [nodes, enforcement, parent_ids, binding, bypass];
    let findings = [ready, configuration, server, agents, keylime].into_iter().chain(about_nodes);
    let conditions = findings.chain([certificate(facts), degraded]).map(|finding| {
        let own = finding.0.name == ready::SUSPENDED.name;
        let before = previous(facts.previous, finding.0.condition).filter(|_| suspended && !own);
        before.cloned().unwrap_or_else(|| condition(facts, finding))
    });
    conditions.collect()
}

fn configuration(facts: &Facts<'_>) -> Finding {
    if facts.is_deleted() {
        let reason = configuration_applied::WITHDRAWING;
        return (reason, reason.meaning.to_owned());
    }
    match facts.attempt.problems().first() {
        Some(first) => {
            let messages: Vec<&str> =
                facts.attempt.problems().iter().map(|problem| problem.message.as_str()).collect();
            (first.reason, messages.join("; "))
        }
        None if facts.attempt.waits_for_server() => {
            let follow =
                "the configuration is applied to the server; the agents follow when it is rolled out";
            (configuration_applied::APPLIED, follow.to_owned())
        }
        None => (configuration_applied::APPLIED, configuration_applied::APPLIED.meaning.to_owned()),
    }
}

fn keylime(facts: &Facts<'_>) -> Finding {
    match facts.view {
        _ if facts.keylime_unavailable => {
            let Reach { reason, message, .. } = Reach::not_checked();
            (reason, message)
        }
        Some(view) => (view.reach.reason, view.reach.message.clone()),
        None => as_before(facts, keylime_reachable::NOT_CHECKED),
    }
}

fn nodes(facts: &Facts<'_>) -> Finding {
    match facts.view {
        _ if facts.is_deleted() => {
            (nodes_attested::WITHDRAWING, nodes_attested::WITHDRAWING.meaning.to_owned())
        }
        None => as_before(facts, nodes_attested::NOT_CHECKED),
        view => summary::attested(view),
    }
}

fn enforcement(facts: &Facts<'_>) -> Finding {
    let enforcement = facts.resource.spec.enforcement.as_ref();
    let acts = enforcement.is_some_and(|enforcement| enforcement.action != Action::Observe);
    match facts.view {
        _ if facts.is_deleted() => (enforcing::WITHDRAWING, enforcing::WITHDRAWING.meaning.to_owned()),
        None if acts => as_before(facts, enforcing::NOT_OBSERVED),
        view => summary::enforcing(enforcement, view),
    }
}

/// The finding of before; until the first poll nothing is known.
fn as_before(facts: &Facts<'_>, otherwise: Reason) -> Finding {
    let last = previous(facts.previous, otherwise.condition);
    let known = last.and_then(|last| {
        let of = |reason: &&Reason| reason.condition == otherwise.condition && reason.name == last.reason;
        Some((*REASONS.iter().find(of)?, last.message.clone()))
    });
    known.unwrap_or_else(|| (otherwise, otherwise.meaning.to_owned()))
}

fn degraded(facts: &Facts<'_>) -> Finding {
    let has = |state| facts.attempt.rollouts().values().any(|rollout| rollout.state == state);
    let fighting =
        facts.attempt.problems().iter().find(|problem| problem.reason == configuration_applied::FIGHTING);
    let reason = if facts.is_deleted() && facts.attempt.is_stuck() {
        degraded::WITHDRAWAL_STUCK
    } else if let Some(fighting) = fighting {
        return (degraded::FIGHTING, fighting.message.clone());
    } else if has(RolloutState::RolledBack) {
        degraded::ROLLED_BACK
    } else if has(RolloutState::Failed) {
        degraded::ROLLOUT_FAILED
    } else {
        return (degraded::AS_EXPECTED, degraded::AS_EXPECTED.meaning.to_owned());
    };
    (reason, said(facts, reason))
}

/// The message of the pods: of now, or of the failure of the rollout. It is kept, so that a line in
/// a log does not make the status change again and again, and is not lost with the pods.
fn said(facts: &Facts<'_>, reason: Reason) -> String {
    let about = [degraded::ROLLOUT_FAILED.name, degraded::ROLLED_BACK.name, degraded::WITHDRAWAL_STUCK.name];
    let before = previous(facts.previous, ConditionType::Degraded)
        .filter(|last| about.contains(&last.reason.as_str()));
    let before = before.and_then(|last| Some(last.message.split_once(DIAGNOSIS)?.1));
    match facts.attempt.diagnosis().or(before) {
        Some(diagnosis) => format!("{} {}{DIAGNOSIS}{diagnosis}", reason.meaning, reason.remedy),
        None => format!("{} {}", reason.meaning, reason.remedy),
    }
}

/// The text between our message and a pod's.
const DIAGNOSIS: &str = " Last: ";

fn ready(facts: &Facts<'_>, others: [&Finding; 6]) -> Finding {
    let [configuration, server, agents, keylime, parent_ids, degraded] = others;
    if facts.is_deleted() {
        return (ready::WITHDRAWING, ready::WITHDRAWING.meaning.to_owned());
    }
    let is_true = |finding: &Finding| finding.0.status == Status::True;
    if configuration.0 == configuration_applied::SUSPENDED {
        return (ready::SUSPENDED, ready::SUSPENDED.meaning.to_owned());
    }
    if !is_true(configuration) {
        return (ready::NOT_APPLIED, configuration.1.clone());
    }
    if is_true(degraded) {
        return (ready::ROLLOUT_FAILED, degraded.1.clone());
    }
    let config_only = facts.resource.spec.spire.mode == Mode::ConfigOnly;
    if server.0 == server_rolled_out::PODS_NOT_READY {
        return (ready::PODS_NOT_READY, server.1.clone());
    }
    let waits = match agents.0 {
        agents_rolled_out::WAITING_FOR_KEYLIME => Some(ready::WAITING_FOR_KEYLIME),
        agents_rolled_out::ARCHITECTURE_UNKNOWN => Some(ready::ARCHITECTURE_UNKNOWN),
        _ => None,
    };
    for rollout in [server, agents] {
        let unmanaged = config_only && rollout.0.status == Status::Unknown;
        let waits = waits.is_some() && rollout == agents;
        if !is_true(rollout) && !unmanaged && !waits {
            return (ready::ROLLING_OUT, rollout.1.clone());
        }
    }
    if !is_true(keylime) {
        return (ready::KEYLIME_UNREACHABLE, keylime.1.clone());
    }
    if let Some(waits) = waits {
        return (waits, agents.1.clone());
    }
    if parent_ids.0.status == Status::False {
        return (ready::PARENT_IDS_NOT_CONFIGURED, parent_ids.1.clone());
    }
    let good = if config_only { ready::CONFIGURATIONS_WRITTEN } else { ready::READY };
    (good, good.meaning.to_owned())
}

fn condition(facts: &Facts<'_>, (reason, message): Finding) -> Condition {
    let status = reason.status.as_str();
    let since = previous(facts.previous, reason.condition)
        .filter(|last| last.status == status)
        .map_or(Time(facts.now), |last| last.last_transition_time.clone());
    Condition {
        type_: reason.condition.as_str().to_owned(),
        status: status.to_owned(),
        reason: reason.name.to_owned(),
        message: message.chars().take(MAX_MESSAGE).collect(),
        observed_generation: facts.resource.metadata.generation,
        last_transition_time: since,
    }
}

pub(super) fn previous(status: &KeylimeAttestorStatus, type_: ConditionType) -> Option<&Condition> {
    status.conditions.iter().find(|condition| condition.type_ == type_.as_str())
}
