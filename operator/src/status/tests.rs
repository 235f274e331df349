use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use keylime_attestor_api::conditions::{
    ConditionType, REASONS, Reason, configuration_applied, keylime_reachable,
};
use keylime_attestor_api::{
    AttestedNodeStatus, CanaryStatus, KeylimeAttestor, Mode, NodeReason, RolloutState, RolloutStatus,
};
use serde_json::{Value, json};

use super::*;
use crate::apply::Applied;
use crate::fixture::{controller_manager, gathered, merge, now, object, plan, read, reported, resource};
use crate::gather::Gathered;
use crate::gather::reach::Reach;
use crate::model::problem::Problem;
use crate::model::workload::{Kind, WorkloadKey};
use crate::nodes::NodeView;
use crate::rollout::gate::Waits;
use crate::status::attempt::Hindrance;

/// A look at a resource, and what it came to.
pub(super) struct Look {
    pub(super) resource: KeylimeAttestor,
    pub(super) previous: KeylimeAttestorStatus,
    pub(super) server: RolloutState,
    pub(super) agent: RolloutState,
    pub(super) problems: Vec<Problem>,
    pub(super) complaint: Option<&'static str>,
    pub(super) stuck: bool,
    /// None: nobody has looked yet.
    pub(super) view: Option<View>,
    pub(super) agents_updated: i32,
    /// Of those that are updated.
    pub(super) agents_ready: i32,
    pub(super) server_ready: i32,
    pub(super) server_held: bool,
    pub(super) agents_held: bool,
    /// The configuration of spire-controller-manager in the server's pod.
    pub(super) controller_manager: Option<&'static str>,
    /// How far agents are that move in steps.
    pub(super) canary: Option<CanaryStatus>,
    pub(super) speechless: bool,
    pub(super) waits_for_keylime: BTreeMap<WorkloadKey, Waits>,
}

impl Look {
    pub(super) fn new() -> Self {
        Self {
            resource: resource(json!({})),
            previous: KeylimeAttestorStatus::default(),
            server: Complete,
            agent: Complete,
            problems: Vec::new(),
            complaint: None,
            stuck: false,
            view: Some(view(keylime_reachable::REACHABLE, &[NodeReason::Attested])),
            agents_updated: 3,
            agents_ready: 3,
            server_ready: 3,
            server_held: false,
            agents_held: false,
            controller_manager: None,
            canary: None,
            speechless: false,
            waits_for_keylime: BTreeMap::new(),
        }
    }

    pub(super) fn rolling(server: RolloutState, agent: RolloutState) -> Self {
        Self { server, agent, ..Self::new() }
    }

    pub(super) fn problem(reason: Reason) -> Self {
        Self { problems: vec![Problem::new(reason, format!("because of {}", reason.name))], ..Self::new() }
    }

    pub(super) fn deleted(mut self) -> Self {
        self.resource.metadata.deletion_timestamp =
            Some(serde_json::from_value(json!("2026-01-01T00:00:00Z")).unwrap());
        self.view = None;
        self
    }

    pub(super) fn status(&self) -> KeylimeAttestorStatus {
        let mut gathered = gathered(&self.resource);
        for (key, found) in &mut gathered.found {
            let held = if key.kind == Kind::DaemonSet { self.agents_held } else { self.server_held };
            if held {
                let mut object = object(key.kind, 1, 3);
                merge(&mut object, &json!({"spec": {"updateStrategy": {"type": "OnDelete"}}}));
                found.workload = Some(read(key.kind, object));
            }
        }
        if let Some(text) = self.controller_manager {
            controller_manager(&self.resource, &mut gathered, json!({}), text);
        }
        let mut rollouts = BTreeMap::new();
        for key in gathered.found.keys() {
            let state = if key.kind == Kind::DaemonSet { self.agent } else { self.server };
            let ready = match state {
                Complete if key.kind == Kind::DaemonSet => self.agents_updated,
                Complete => 3,
                _ => 1,
            };
            let mut rollout = reported(key.kind, state, "h", ready, 5).rollout.unwrap();
            let at_most = if key.kind == Kind::DaemonSet { self.agents_ready } else { self.server_ready };
            rollout.ready = rollout.ready.min(at_most);
            rollout.canary = self.canary.clone().filter(|_| key.kind == Kind::DaemonSet);
            let is_managed = self.resource.spec.spire.mode != Mode::ConfigOnly;
            if is_managed || state == Withdrawing {
                rollouts.insert(key.clone(), rollout);
            }
        }
        let attempt = self.attempt(gathered, rollouts);
        status(&Facts {
            resource: &self.resource,
            previous: &self.previous,
            attempt: &attempt,
            keylime_unavailable: self.speechless,
            view: self.view.as_ref(),
            now: now(),
        })
    }

    fn attempt(&self, gathered: Gathered, rollouts: BTreeMap<WorkloadKey, RolloutStatus>) -> Attempt {
        let waits_for_keylime = self.waits_for_keylime.clone();
        let waits_for_server = self.server != Complete;
        let applied = Applied { rollouts, waits_for_server, waits_for_keylime, ..Applied::default() };
        let diagnosis = self.complaint.map(str::to_owned);
        if self.resource.metadata.deletion_timestamp.is_some() {
            let hindrance = self.stuck.then_some(Hindrance { diagnosis });
            return Attempt::Withdrawing { gathered: Some(gathered), applied, hindrance };
        }
        let problems = self.problems.clone();
        // Only what was valid can be fought over.
        if problems.iter().any(|problem| problem.reason != configuration_applied::FIGHTING) {
            return Attempt::Invalid { gathered, problems };
        }
        let desired = Box::new(plan(&self.resource, &gathered));
        Attempt::Applied { gathered, desired, applied, problems, diagnosis }
    }

    pub(super) fn reasons(&self) -> Vec<(String, String)> {
        let conditions = self.status().conditions.into_iter();
        let conditions = conditions.map(|condition| (condition.type_, condition.reason));
        conditions.filter(|(type_, _)| *type_ != PARENTED.as_str()).collect()
    }

    pub(super) fn message(&self, type_: ConditionType) -> String {
        conditions::previous(&self.status(), type_).unwrap().message.clone()
    }
}

use RolloutState::{Complete, Failed, Progressing, RolledBack, Waiting, Withdrawing};

/// What was seen of Keylime and of nodes with these reasons.
pub(super) fn view(reach: Reason, nodes: &[NodeReason]) -> View {
    let node = |(number, reason): (usize, &NodeReason)| {
        let status = AttestedNodeStatus {
            state: reason.state(),
            reason: reason.as_str().to_owned(),
            message: String::new(),
            since: Time(now()),
            agent_id: None,
            matched_by: None,
            verifier: None,
            spiffe_id: None,
            last_success: None,
            reattested_pod: None,
            conditions: Vec::new(),
        };
        let status = Arc::new(status);
        (format!("node-{number}"), NodeView { reason: *reason, last_success: None, status })
    };
    View {
        at: now(),
        nodes: nodes.iter().enumerate().map(node).collect(),
        unmatched: Vec::new(),
        elsewhere: None,
        reach: Reach { reason: reach, message: reach.meaning.to_owned(), answers: Vec::new() },
        loops: Vec::new(),
        told: BTreeMap::new(),
        unreported: Vec::new(),
        trouble: None,
    }
}

/// Each look with the reasons of Ready, ConfigurationApplied, ServerRolledOut, AgentsRolledOut,
/// KeylimeReachable and Degraded.
fn looks() -> Vec<(Look, [&'static str; 6])> {
    let config_only = |server, agent| Look {
        resource: resource(json!({"spire": {"mode": "ConfigOnly"}})),
        ..Look::rolling(server, agent)
    };
    let reach = |reason| Look { view: Some(view(reason, &[NodeReason::Attested])), ..Look::new() };
    let held = |server| Look {
        server: if server { Progressing } else { Complete },
        agent: if server { Waiting } else { Progressing },
        server_held: server,
        agents_held: !server,
        ..Look::new()
    };
    let mut looks = vec![
        (Look::new(), ["Ready", "Applied", "RolledOut", "RolledOut", "Reachable", "AsExpected"]),
        (
            config_only(Complete, Complete),
            ["ConfigurationsWritten", "Applied", "NotManaged", "NotManaged", "Reachable", "AsExpected"],
        ),
        (
            config_only(Complete, Withdrawing),
            ["RollingOut", "Applied", "NotManaged", "Withdrawing", "Reachable", "AsExpected"],
        ),
        (
            Look::rolling(Progressing, Waiting),
            ["RollingOut", "Applied", "Progressing", "WaitingForServer", "Reachable", "AsExpected"],
        ),
        (
            Look::rolling(Complete, Progressing),
            ["RollingOut", "Applied", "RolledOut", "Progressing", "Reachable", "AsExpected"],
        ),
        // A pod that is not ready any longer: nothing rolls.
        (
            Look { agents_ready: 2, ..Look::new() },
            ["Ready", "Applied", "RolledOut", "PodsNotReady", "Reachable", "AsExpected"],
        ),
        (
            Look { server_ready: 2, ..Look::new() },
            ["PodsNotReady", "Applied", "PodsNotReady", "RolledOut", "Reachable", "AsExpected"],
        ),
        (
            Look { waits_for_keylime: waits(), ..Look::rolling(Complete, Waiting) },
            ["WaitingForKeylime", "Applied", "RolledOut", "WaitingForKeylime", "Reachable", "AsExpected"],
        ),
        (
            Look {
                waits_for_keylime: waits(),
                view: Some(view(keylime_reachable::UNREACHABLE, &[NodeReason::Attested])),
                ..Look::rolling(Complete, Complete)
            },
            ["KeylimeUnreachable", "Applied", "RolledOut", "WaitingForKeylime", "Unreachable", "AsExpected"],
        ),
        (
            Look { agents_updated: 2, ..Look::new() },
            ["RollingOut", "Applied", "RolledOut", "Progressing", "Reachable", "AsExpected"],
        ),
        (held(true), ["RollingOut", "Applied", "Paused", "WaitingForServer", "Reachable", "AsExpected"]),
        (held(false), ["RollingOut", "Applied", "RolledOut", "Paused", "Reachable", "AsExpected"]),
        (
            Look::rolling(Failed, Waiting),
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
            Look::rolling(Complete, Failed),
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
            Look::rolling(RolledBack, Waiting),
            ["RolloutFailed", "Applied", "RolledBack", "WaitingForServer", "Reachable", "RolledBack"],
        ),
        (
            Look::rolling(Complete, RolledBack),
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
            Look::rolling(Complete, Withdrawing).deleted(),
            ["Withdrawing", "Withdrawing", "Withdrawing", "Withdrawing", "NotChecked", "AsExpected"],
        ),
        (
            Look { stuck: true, ..Look::rolling(Complete, Withdrawing) }.deleted(),
            ["Withdrawing", "Withdrawing", "Withdrawing", "Withdrawing", "NotChecked", "WithdrawalStuck"],
        ),
    ];
    for (agent, canary, ready, reason) in [
        (Progressing, canary(&["a"], 0), "RollingOut", "MovingInSteps"),
        (Progressing, canary(&[], 1), "WaitingForKeylime", "WaitingForKeylime"),
        (Complete, CanaryStatus { not_enrolled: 1, ..canary(&[], 0) }, "Ready", "EnrolledRolledOut"),
    ] {
        let look = Look {
            agents_updated: 2,
            agents_held: true,
            canary: Some(canary),
            ..Look::rolling(Complete, agent)
        };
        looks.push((look, [ready, "Applied", "RolledOut", reason, "Reachable", "AsExpected"]));
    }
    let wait = "WaitingForConfiguration";
    for reason in REASONS.iter().filter(|reason| reason.condition == ConditionType::ConfigurationApplied) {
        let own = [
            configuration_applied::APPLIED,
            configuration_applied::WITHDRAWING,
            configuration_applied::FIGHTING,
        ];
        if !own.contains(reason) {
            let look = Look { server: Waiting, agent: Waiting, ..Look::problem(*reason) };
            looks.push((look, ["NotApplied", reason.name, wait, wait, "Reachable", "AsExpected"]));
        }
    }
    looks.push((
        Look::problem(configuration_applied::FIGHTING),
        ["NotApplied", "Fighting", "RolledOut", "RolledOut", "Reachable", "Fighting"],
    ));
    looks
}

/// Agents that wait for a node.
fn waits() -> BTreeMap<WorkloadKey, Waits> {
    let gathered = gathered(&resource(json!({})));
    let agents = gathered.found.keys().filter(|key| key.kind == Kind::DaemonSet);
    let nodes = vec![("n".to_owned(), "NotEnrolled".to_owned())];
    agents.map(|key| (key.clone(), Waits::Refused { nodes: nodes.clone(), of: 3 })).collect()
}

#[test]
fn who_waits_for_keylime_is_told_which_nodes_and_what_to_do() {
    let look = Look { waits_for_keylime: waits(), ..Look::rolling(Complete, Waiting) };
    for type_ in [ConditionType::AgentsRolledOut, ConditionType::Ready] {
        let message = look.message(type_);
        for part in ["1 of the 3 nodes", "n (NotEnrolled)", "nodeSelector", "canary", "unattestable: Proceed"]
        {
            assert!(message.contains(part), "{part} is not in {message}");
        }
    }
}

fn canary(step: &[&str], not_passed: i32) -> CanaryStatus {
    let step: Vec<String> = step.iter().map(ToString::to_string).collect();
    CanaryStatus {
        waiting: i32::try_from(step.len()).unwrap(),
        step,
        not_passed,
        not_enrolled: 0,
        left: Vec::new(),
    }
}

#[test]
fn the_nodes_of_a_step_and_those_that_are_left_are_named() {
    let left = |names: &[&str]| names.iter().map(ToString::to_string).collect();
    let agents = |canary| {
        let look = Look { agents_updated: 2, canary: Some(canary), ..Look::rolling(Complete, Progressing) };
        look.message(ConditionType::AgentsRolledOut)
    };
    let moving = agents(CanaryStatus { not_enrolled: 1, left: left(&["z"]), ..canary(&["a", "b"], 0) });
    assert!(
        moving.contains("2 of 2 nodes are not done (a, b)") && moving.contains("stay on their old attestor"),
        "{moving}"
    );
    assert!(moving.ends_with(": z"), "{moving}");
    let many: Vec<String> = (0..20).map(|number| format!("n{number}")).collect();
    let waiting = agents(CanaryStatus { left: many, ..canary(&[], 20) });
    assert!(waiting.ends_with("n9, …"), "{waiting}");
}

#[test]
fn each_look_comes_to_its_conditions() {
    for (look, expected) in looks() {
        let [ready, configuration, server, agents, keylime, degraded] = expected;
        let (nodes, enforcing) = if look.resource.metadata.deletion_timestamp.is_some() {
            ("Withdrawing", "Withdrawing")
        } else {
            ("Attested", "Off")
        };
        let expected = [ready, configuration, server, agents, keylime, nodes, enforcing, degraded];
        let expected: Vec<_> = ConditionType::ALL
            .iter()
            .filter(|type_| **type_ != PARENTED)
            .map(ToString::to_string)
            .zip(expected.map(str::to_owned))
            .collect();
        assert_eq!(look.reasons(), expected);
    }
}

pub(super) const PARENTED: ConditionType = ConditionType::WorkloadsParented;

#[test]
fn every_reason_is_produced() {
    let all_looks = looks()
        .into_iter()
        .map(|(look, _)| look)
        .chain(nodes_tests::looks().into_iter().map(|(look, _)| look));
    let all_looks = all_looks.chain(parented_tests::parented().into_iter().map(|(look, _, _)| look));
    let produced: BTreeSet<(String, String)> = all_looks.flat_map(|look| look.reasons()).collect();
    let all: BTreeSet<(String, String)> = REASONS
        .iter()
        .filter(|reason| reason.condition != PARENTED)
        .map(|reason| (reason.condition.to_string(), reason.name.to_owned()))
        .collect();
    assert_eq!(produced, all);
}

#[test]
fn what_was_seen_before_is_said_until_somebody_looks_again() {
    let mut look = Look {
        resource: resource(json!({"enforcement": {"action": "Evict"}})),
        view: Some(view(keylime_reachable::TLS_FAILED, &[NodeReason::Stale])),
        ..Look::new()
    };
    look.previous = look.status();
    let before = look.reasons();
    look.view = None;
    assert_eq!(look.reasons(), before);
    assert_eq!(look.status().nodes, look.previous.nodes);
}

#[test]
fn a_condition_keeps_its_time_until_its_status_changes() {
    let mut look = Look::rolling(Progressing, Waiting);
    look.previous = look.status();
    for condition in &mut look.previous.conditions {
        condition.last_transition_time = serde_json::from_value::<Value>(json!("2025-01-01T00:00:00Z"))
            .and_then(serde_json::from_value)
            .unwrap();
    }
    let same = look.status();
    assert_eq!(same.conditions, look.previous.conditions);
    (look.server, look.agent) = (Complete, Complete);
    let later = look.status();
    for (before, after) in look.previous.conditions.iter().zip(&later.conditions) {
        let kept = before.last_transition_time == after.last_transition_time;
        assert_eq!(kept, before.status == after.status, "{}", before.type_);
        assert_eq!(after.observed_generation, Some(7));
    }
}

#[test]
fn what_a_pod_said_stays_when_the_pod_is_gone() {
    let mut look = Look { complaint: Some("pod p: it broke"), ..Look::rolling(Failed, Waiting) };
    assert!(look.message(ConditionType::Degraded).ends_with("Last: pod p: it broke"));
    look.previous = look.status();
    (look.server, look.complaint) = (RolledBack, None);
    assert!(look.message(ConditionType::Degraded).ends_with("Last: pod p: it broke"));
    assert!(look.message(ConditionType::Ready).ends_with("Last: pod p: it broke"));
}

#[test]
fn an_agent_that_is_no_longer_ready_is_told_from_a_rollout() {
    let said = "Some are not ready now";
    let message = |look: Look| look.message(ConditionType::AgentsRolledOut);
    let lost = message(Look { agents_ready: 2, ..Look::new() });
    assert!(lost.contains("3 of 3 pods updated, 2 of them ready") && lost.contains(said), "{lost}");
    for rolling in [Look::rolling(Complete, Progressing), Look { agents_updated: 2, ..Look::new() }] {
        assert!(!message(rolling).contains(said));
    }
}

#[test]
fn all_problems_are_in_the_message() {
    let mut look = Look::problem(configuration_applied::SECRET_NOT_FOUND);
    look.problems.push(Problem::new(configuration_applied::COMMAND_SET, "and another"));
    assert_eq!(look.message(ConditionType::Ready), "because of SecretNotFound; and another");
}

#[test]
fn what_was_found_is_shown() {
    let status = Look::new().status();
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
