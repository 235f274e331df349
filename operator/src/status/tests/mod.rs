mod binding;
mod bypass;
mod case;
mod certificate;
mod gitops;
mod nodes;
mod parent_ids;

use std::collections::{BTreeMap, BTreeSet};

use keylime_attestor_api::conditions::{ConditionType, REASONS, configuration_applied, keylime_reachable};
use keylime_attestor_api::{BatchStatus, NodeReason, RolloutState};
use serde_json::{Value, json};

use crate::fixture::{gathered, resource};
use crate::model::agents::{Agent, Agents};
use crate::model::builds::Builds;
use crate::model::problem::Problem;
use crate::model::workload::{Kind, WorkloadKey};
use crate::rollout::gate::Waits;
use case::{Case, view};

use RolloutState::{Complete, Failed, Progressing, RolledBack, Waiting, Withdrawing};

/// Each case with the reasons of Ready, ConfigurationApplied, ServerRolledOut, AgentsRolledOut,
/// KeylimeReachable and Degraded.
fn cases() -> Vec<(Case, [&'static str; 6])> {
    let config_only = |server, agent| Case {
        resource: resource(json!({"spire": {"mode": "ConfigOnly"}})),
        ..Case::rolling(server, agent)
    };
    let reach = |reason| Case { view: Some(view(reason, &[NodeReason::Attested])), ..Case::new() };
    let held = |server| Case {
        server: if server { Progressing } else { Complete },
        agent: if server { Waiting } else { Progressing },
        server_held: server,
        agents_held: !server,
        ..Case::new()
    };
    let mut cases = vec![
        (Case::new(), ["Ready", "Applied", "RolledOut", "RolledOut", "Reachable", "AsExpected"]),
        (
            config_only(Complete, Complete),
            ["ConfigurationsWritten", "Applied", "NotManaged", "NotManaged", "Reachable", "AsExpected"],
        ),
        (
            config_only(Complete, Withdrawing),
            ["RollingOut", "Applied", "NotManaged", "Withdrawing", "Reachable", "AsExpected"],
        ),
        (
            Case::rolling(Progressing, Waiting),
            ["RollingOut", "Applied", "Progressing", "WaitingForServer", "Reachable", "AsExpected"],
        ),
        (
            Case::rolling(Complete, Progressing),
            ["RollingOut", "Applied", "RolledOut", "Progressing", "Reachable", "AsExpected"],
        ),
        // A pod that is not ready any longer: nothing rolls.
        (
            Case { agents_ready: 2, ..Case::new() },
            ["Ready", "Applied", "RolledOut", "PodsNotReady", "Reachable", "AsExpected"],
        ),
        (
            Case { server_ready: 2, ..Case::new() },
            ["PodsNotReady", "Applied", "PodsNotReady", "RolledOut", "Reachable", "AsExpected"],
        ),
        (
            Case { waits: waits(), ..Case::rolling(Complete, Waiting) },
            ["WaitingForKeylime", "Applied", "RolledOut", "WaitingForKeylime", "Reachable", "AsExpected"],
        ),
        (
            Case {
                waits: waits(),
                view: Some(view(keylime_reachable::UNREACHABLE, &[NodeReason::Attested])),
                ..Case::rolling(Complete, Complete)
            },
            ["KeylimeUnreachable", "Applied", "RolledOut", "WaitingForKeylime", "Unreachable", "AsExpected"],
        ),
        (
            Case { waits: unsupported(), ..Case::rolling(Complete, Waiting) },
            ["ArchitectureUnknown", "Applied", "RolledOut", "ArchitectureUnknown", "Reachable", "AsExpected"],
        ),
        (
            Case { agents_updated: 2, ..Case::new() },
            ["RollingOut", "Applied", "RolledOut", "Progressing", "Reachable", "AsExpected"],
        ),
        (held(true), ["RollingOut", "Applied", "Paused", "WaitingForServer", "Reachable", "AsExpected"]),
        (held(false), ["RollingOut", "Applied", "RolledOut", "Paused", "Reachable", "AsExpected"]),
        (
            Case::rolling(Failed, Waiting),
            [
                "RolloutFailed",
                "Applied",
                "ProgressDeadlineExceeded",
                "WaitingForServer",
                "Reachable",
                "RolloutFailed",
            ],
        ),
        (
            Case::rolling(Complete, Failed),
            [
                "RolloutFailed",
                "Applied",
                "RolledOut",
                "ProgressDeadlineExceeded",
                "Reachable",
                "RolloutFailed",
            ],
        ),
        (
            Case::rolling(RolledBack, Waiting),
            ["RolloutFailed", "Applied", "RolledBack", "WaitingForServer", "Reachable", "RolledBack"],
        ),
        (
            Case::rolling(Complete, RolledBack),
            ["RolloutFailed", "Applied", "RolledOut", "RolledBack", "Reachable", "RolledBack"],
        ),
        (
            reach(keylime_reachable::UNREACHABLE),
            ["KeylimeUnreachable", "Applied", "RolledOut", "RolledOut", "Unreachable", "AsExpected"],
        ),
        (
            reach(keylime_reachable::TLS_FAILED),
            ["KeylimeUnreachable", "Applied", "RolledOut", "RolledOut", "TlsFailed", "AsExpected"],
        ),
        (
            reach(keylime_reachable::UNEXPECTED_ANSWER),
            ["KeylimeUnreachable", "Applied", "RolledOut", "RolledOut", "UnexpectedAnswer", "AsExpected"],
        ),
        (
            Case::rolling(Complete, Withdrawing).deleted(),
            ["Withdrawing", "Withdrawing", "Withdrawing", "Withdrawing", "NotChecked", "AsExpected"],
        ),
        (
            Case { stuck: true, ..Case::rolling(Complete, Withdrawing) }.deleted(),
            ["Withdrawing", "Withdrawing", "Withdrawing", "Withdrawing", "NotChecked", "WithdrawalStuck"],
        ),
    ];
    for (agent, batch, ready, reason) in [
        (Progressing, batch(&["a"], 0), "RollingOut", "MovingInBatches"),
        (Progressing, batch(&[], 1), "WaitingForKeylime", "WaitingForKeylime"),
        (Complete, BatchStatus { not_enrolled: 1, ..batch(&[], 0) }, "Ready", "EnrolledRolledOut"),
    ] {
        let case = Case {
            agents_updated: 2,
            agents_held: true,
            batch: Some(batch),
            ..Case::rolling(Complete, agent)
        };
        cases.push((case, [ready, "Applied", "RolledOut", reason, "Reachable", "AsExpected"]));
    }
    let wait = "WaitingForConfiguration";
    for reason in REASONS.iter().filter(|reason| reason.condition == ConditionType::ConfigurationApplied) {
        let own = [
            configuration_applied::APPLIED,
            configuration_applied::WITHDRAWING,
            configuration_applied::FIGHTING,
        ];
        if !own.contains(reason) {
            let case = Case { server: Waiting, agent: Waiting, ..Case::problem(*reason) };
            let suspended = *reason == configuration_applied::SUSPENDED;
            let ready = if suspended { "Suspended" } else { "NotApplied" };
            cases.push((case, [ready, reason.name, wait, wait, "Reachable", "AsExpected"]));
        }
    }
    cases.push((
        Case::problem(configuration_applied::FIGHTING),
        ["NotApplied", "Fighting", "RolledOut", "RolledOut", "Reachable", "Fighting"],
    ));
    cases
}

/// Agents that wait for a node.
fn waits() -> BTreeMap<WorkloadKey, Waits> {
    let gathered = gathered(&resource(json!({})));
    let agents = gathered.found.keys().filter(|key| key.kind == Kind::DaemonSet);
    let nodes = vec![("n".to_owned(), "NotEnrolled".to_owned())];
    agents.map(|key| (key.clone(), Waits::Refused { nodes: nodes.clone(), of: 3 })).collect()
}

/// The agents, on a node that there is no plugin for.
fn unsupported() -> BTreeMap<WorkloadKey, Waits> {
    let one = |key: WorkloadKey| {
        let agent = Agent { node: "n".to_owned(), moved: false, architecture: Some("s390x".to_owned()) };
        let agents = Agents { pods: BTreeMap::from([(key.clone(), vec![agent])]), ..Agents::default() };
        let builds = Builds::One { architecture: Some("amd64".to_owned()), of: String::new() };
        (key.clone(), agents.unsupported(&key, &builds).map(Waits::Unsupported).unwrap())
    };
    waits().into_keys().map(one).collect()
}

#[test]
fn who_waits_for_a_plugin_is_told_which_nodes_and_what_to_do() {
    let case = Case { waits: unsupported(), ..Case::rolling(Complete, Waiting) };
    for type_ in [ConditionType::AgentsRolledOut, ConditionType::Ready] {
        let message = case.message(type_);
        for part in ["plugins for amd64", "n (s390x)", "Install an image", "nodeSelector"] {
            assert!(message.contains(part), "{part} is not in {message}");
        }
    }
}

#[test]
fn who_waits_for_keylime_is_told_which_nodes_and_what_to_do() {
    let case = Case { waits: waits(), ..Case::rolling(Complete, Waiting) };
    for type_ in [ConditionType::AgentsRolledOut, ConditionType::Ready] {
        let message = case.message(type_);
        for part in
            ["1 of the 3 nodes", "n (NotEnrolled)", "nodeSelector", "batchSize", "unattestable: Proceed"]
        {
            assert!(message.contains(part), "{part} is not in {message}");
        }
    }
}

fn batch(nodes: &[&str], not_passed: i32) -> BatchStatus {
    let nodes: Vec<String> = nodes.iter().map(ToString::to_string).collect();
    BatchStatus {
        waiting: i32::try_from(nodes.len()).unwrap(),
        nodes,
        not_passed,
        not_enrolled: 0,
        left: Vec::new(),
    }
}

#[test]
fn the_nodes_of_a_step_and_those_that_are_left_are_named() {
    let left = |names: &[&str]| names.iter().map(ToString::to_string).collect();
    let agents = |batch| {
        let case = Case { agents_updated: 2, batch: Some(batch), ..Case::rolling(Complete, Progressing) };
        case.message(ConditionType::AgentsRolledOut)
    };
    let moving = agents(BatchStatus { not_enrolled: 1, left: left(&["z"]), ..batch(&["a", "b"], 0) });
    assert!(
        moving.contains("2 of 2 nodes are not done (a, b)") && moving.contains("stay on their old attestor"),
        "{moving}"
    );
    assert!(moving.ends_with(": z"), "{moving}");
    let many: Vec<String> = (0..20).map(|number| format!("n{number}")).collect();
    let waiting = agents(BatchStatus { left: many, ..batch(&[], 20) });
    assert!(waiting.ends_with("n9, …"), "{waiting}");
}

#[test]
fn each_case_comes_to_its_conditions() {
    for (case, expected) in cases() {
        let [ready, configuration, server, agents, keylime, degraded] = expected;
        let (nodes, enforcing) = if case.resource.metadata.deletion_timestamp.is_some() {
            ("Withdrawing", "Withdrawing")
        } else {
            ("Attested", "NotConfigured")
        };
        let expected = [ready, configuration, server, agents, keylime, nodes, enforcing, degraded];
        let expected: Vec<_> = ConditionType::ALL
            .iter()
            .filter(|type_| !APART.contains(type_))
            .map(ToString::to_string)
            .zip(expected.map(str::to_owned))
            .collect();
        assert_eq!(case.reasons(), expected);
    }
}

pub(super) const PARENT_IDS: ConditionType = ConditionType::ParentIdsConfigured;
pub(super) const BYPASS: ConditionType = ConditionType::BypassPossible;
pub(super) const BINDING: ConditionType = ConditionType::BindingRequired;
pub(super) const CERTIFICATE: ConditionType = ConditionType::CertificateValid;
/// Those that have tests of their own.
pub(super) const APART: [ConditionType; 4] = [PARENT_IDS, BINDING, BYPASS, CERTIFICATE];

#[test]
fn every_reason_is_produced() {
    let all_cases =
        cases().into_iter().map(|(case, _)| case).chain(nodes::cases().into_iter().map(|(case, _)| case));
    let all_cases = all_cases.chain(parent_ids::parent_ids().into_iter().map(|(case, _, _)| case));
    let produced: BTreeSet<(String, String)> = all_cases.flat_map(|case| case.reasons()).collect();
    let all: BTreeSet<(String, String)> = REASONS
        .iter()
        .filter(|reason| !APART.contains(&reason.condition))
        .map(|reason| (reason.condition.to_string(), reason.name.to_owned()))
        .collect();
    assert_eq!(produced, all);
}

#[test]
fn while_it_is_suspended_the_other_conditions_stay() {
    let before = Case::new().status();
    let after = Case { previous: before.clone(), ..Case::problem(configuration_applied::SUSPENDED) }.status();
    let suspended = [ConditionType::Ready, ConditionType::ConfigurationApplied].map(ConditionType::as_str);
    for (before, after) in before.conditions.iter().zip(&after.conditions) {
        assert_eq!(before.type_, after.type_);
        if suspended.contains(&after.type_.as_str()) {
            assert_eq!((after.status.as_str(), after.reason.as_str()), ("Unknown", "Suspended"));
        } else {
            assert_eq!(before, after);
        }
    }
    assert!(after.server.is_some() && after.server == before.server && after.agents == before.agents);
}

#[test]
fn what_was_seen_before_is_said_until_the_next_poll() {
    let mut case = Case {
        resource: resource(json!({"enforcement": {"action": "Evict"}})),
        view: Some(view(keylime_reachable::TLS_FAILED, &[NodeReason::Stale])),
        ..Case::new()
    };
    case.previous = case.status();
    let before = case.reasons();
    case.view = None;
    assert_eq!(case.reasons(), before);
    assert_eq!(case.status().nodes, case.previous.nodes);
}

#[test]
fn a_condition_keeps_its_time_until_its_status_changes() {
    let mut case = Case::rolling(Progressing, Waiting);
    case.previous = case.status();
    for condition in &mut case.previous.conditions {
        condition.last_transition_time = serde_json::from_value::<Value>(json!("2025-01-01T00:00:00Z"))
            .and_then(serde_json::from_value)
            .unwrap();
    }
    let same = case.status();
    assert_eq!(same.conditions, case.previous.conditions);
    (case.server, case.agent) = (Complete, Complete);
    let later = case.status();
    for (before, after) in case.previous.conditions.iter().zip(&later.conditions) {
        let kept = before.last_transition_time == after.last_transition_time;
        assert_eq!(kept, before.status == after.status, "{}", before.type_);
        assert_eq!(after.observed_generation, Some(7));
    }
}

#[test]
fn what_a_pod_said_stays_when_the_pod_is_gone() {
    let mut case = Case { diagnosis: Some("pod p: it broke"), ..Case::rolling(Failed, Waiting) };
    assert!(case.message(ConditionType::Degraded).ends_with("Last: pod p: it broke"));
    case.previous = case.status();
    (case.server, case.diagnosis) = (RolledBack, None);
    assert!(case.message(ConditionType::Degraded).ends_with("Last: pod p: it broke"));
    assert!(case.message(ConditionType::Ready).ends_with("Last: pod p: it broke"));
}

#[test]
fn an_agent_that_is_no_longer_ready_is_told_from_a_rollout() {
    let said = "Some are not ready now";
    let message = |case: Case| case.message(ConditionType::AgentsRolledOut);
    let lost = message(Case { agents_ready: 2, ..Case::new() });
    assert!(lost.contains("3 of 3 pods updated, 2 of them ready") && lost.contains(said), "{lost}");
    for rolling in [Case::rolling(Complete, Progressing), Case { agents_updated: 2, ..Case::new() }] {
        assert!(!message(rolling).contains(said));
    }
}

#[test]
fn all_problems_are_in_the_message() {
    let mut case = Case::problem(configuration_applied::SECRET_NOT_FOUND);
    case.problems.push(Problem::new(configuration_applied::COMMAND_SET, "and another"));
    assert_eq!(case.message(ConditionType::Ready), "because of SecretNotFound; and another");
}

#[test]
fn what_was_found_is_shown() {
    let status = Case::new().status();
    let server = serde_json::to_value(status.server).unwrap();
    let expected = json!({
        "kind": "StatefulSet", "name": "spire-server", "namespace": "spire-server", "container": "spire-server",
        "configPath": "/run/spire/config/server.conf", "format": "JSON",
        "configMap": {"name": "spire-server", "key": "server.conf"},
        "appliedConfigMap": {"name": "spire-server-keylime", "key": "server.conf"},
        "pluginImage": "registry.example/k@sha256:0",
    });
    for (key, value) in expected.as_object().unwrap() {
        assert_eq!(server.get(key), Some(value), "{key}");
    }
    assert_eq!(status.nodes.map(|nodes| (nodes.total, nodes.attested)), Some((1, 1)));
    assert_eq!(status.agents.len(), 1);
}
