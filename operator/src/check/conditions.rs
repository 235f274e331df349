//! The conditions: as the operator reported them, or, where it never did, as it would when all is
//! rolled out.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use k8s_openapi::jiff::Timestamp;
use keylime_attestor_api::conditions::{
    ConditionType, REASONS, Reason, Status, agents_rolled_out, parent_ids_configured, server_rolled_out,
};
use keylime_attestor_api::{KeylimeAttestor, KeylimeAttestorStatus, RolloutState};

use super::finding::{Finding, Level, Subject};
use crate::apply::Applied;
use crate::gather::Gathered;
use crate::model::target::Desired;
use crate::rollout::progress;
use crate::status::attempt::Attempt;
use crate::status::{Facts, status};

/// Conditions on what a resource comes to, which need nothing that only a running operator sees.
const FORESEEN: [ConditionType; 3] =
    [ConditionType::ParentIdsConfigured, ConditionType::BindingRequired, ConditionType::BypassPossible];

/// Reasons that end by themselves.
const PASSING: [Reason; 4] = [
    server_rolled_out::PROGRESSING,
    agents_rolled_out::PROGRESSING,
    agents_rolled_out::MOVING_IN_BATCHES,
    parent_ids_configured::ROLLING_OUT,
];

pub(super) fn findings(
    resource: &KeylimeAttestor,
    gathered: Gathered,
    desired: Desired,
    now: Timestamp,
) -> Vec<Finding> {
    if is_reported(resource) {
        return reported(resource);
    }
    let status = foreseen(resource, gathered, desired, now);
    let mut findings = of(&status, |type_| FORESEEN.contains(&type_));
    findings.push(not_asked());
    findings
}

/// As the operator reported them, where it did.
pub(super) fn reported(resource: &KeylimeAttestor) -> Vec<Finding> {
    if !is_reported(resource) {
        return vec![not_asked()];
    }
    let status = resource.status.clone().unwrap_or_default();
    // Ready sums up the others.
    let mut findings = of(&status, |type_| type_ != ConditionType::Ready);
    if status.observed_generation != resource.metadata.generation {
        findings.push(Finding::warning(
            Subject::Conditions,
            "the operator has not reported on the last change of the resource yet",
            "Wait a few seconds; then see the operator's log.",
        ));
    }
    findings
}

fn is_reported(resource: &KeylimeAttestor) -> bool {
    resource.status.as_ref().is_some_and(|status| !status.conditions.is_empty())
}

/// Keylime has to be reached from inside of the cluster, by the operator's pod.
fn not_asked() -> Finding {
    Finding::warning(
        Subject::Keylime,
        "not asked: whether its servers are reached from inside of the cluster, the operator tells when it is installed; see to it yourself that they are 7.14 or later",
        "Install the chart, apply the resource, and check again.",
    )
}

/// The status with every workload rolled out.
fn foreseen(
    resource: &KeylimeAttestor,
    gathered: Gathered,
    desired: Desired,
    now: Timestamp,
) -> KeylimeAttestorStatus {
    let rollouts = desired.targets().filter_map(|target| {
        let workload = target.workload.as_ref()?;
        Some((target.key.clone(), progress::begun(workload, RolloutState::Complete, None, now)))
    });
    let applied = Applied { rollouts: rollouts.collect::<BTreeMap<_, _>>(), ..Applied::default() };
    let desired = Box::new(desired);
    let attempt = Attempt::Applied { gathered, desired, applied, problems: Vec::new(), diagnosis: None };
    let previous = KeylimeAttestorStatus::default();
    status(&Facts {
        resource,
        previous: &previous,
        attempt: &attempt,
        keylime_unavailable: false,
        view: None,
        now,
    })
}

fn of(status: &KeylimeAttestorStatus, told: impl Fn(ConditionType) -> bool) -> Vec<Finding> {
    let of = |condition: &Condition| {
        let is_it = |reason: &&Reason| {
            reason.condition.as_str() == condition.type_ && reason.name == condition.reason
        };
        let reason = *REASONS.iter().find(is_it)?;
        told(reason.condition)
            .then(|| Finding::reason(level(reason), subject(reason), reason, &condition.message))
    };
    status.conditions.iter().filter_map(of).collect()
}

const fn subject(reason: Reason) -> Subject {
    match reason.condition {
        ConditionType::KeylimeReachable => Subject::Keylime,
        ConditionType::NodesAttested => Subject::Nodes,
        _ => Subject::Conditions,
    }
}

/// Failures are what Ready depends on, and what does not end by itself.
fn level(reason: Reason) -> Level {
    let good = match reason.condition {
        ConditionType::BypassPossible | ConditionType::Degraded => Status::False,
        _ => Status::True,
    };
    let grave = match reason.condition {
        ConditionType::Ready
        | ConditionType::ConfigurationApplied
        | ConditionType::ServerRolledOut
        | ConditionType::AgentsRolledOut
        | ConditionType::KeylimeReachable
        | ConditionType::ParentIdsConfigured
        | ConditionType::Degraded => true,
        ConditionType::NodesAttested
        | ConditionType::Enforcing
        | ConditionType::BindingRequired
        | ConditionType::BypassPossible
        | ConditionType::CertificateValid => false,
    };
    if reason.status == good {
        Level::Ok
    } else if grave && reason.status != Status::Unknown && !PASSING.contains(&reason) {
        Level::Failure
    } else {
        Level::Warning
    }
}
