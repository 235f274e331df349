//! Resources with gathered objects, for the tests of the status.

use std::collections::BTreeMap;
use std::sync::Arc;

use RolloutState::{Complete, Withdrawing};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use keylime_attestor_api::conditions::{ConditionType, Reason, configuration_applied, keylime_reachable};
use keylime_attestor_api::{
    AttestedNodeStatus, BatchStatus, KeylimeAttestor, KeylimeAttestorStatus, Mode, NodeMarks, NodeReason,
    RolloutState, RolloutStatus,
};
use serde_json::json;

use super::APART;
use crate::apply::Applied;
use crate::fixture::{
    config_map, controller_manager, desired, gathered, merge, now, object, read, reported, resource,
};
use crate::gather::Gathered;
use crate::keylime_client::reach::Reach;
use crate::model::alias::Aliasing;
use crate::model::binding::Review;
use crate::model::problem::Problem;
use crate::model::target::Role;
use crate::model::workload::{Kind, WorkloadKey};
use crate::nodes::exclusive::needs;
use crate::nodes::{NodeView, View};
use crate::rollout::gate::Waits;
use crate::status::attempt::{Attempt, Hindrance};
use crate::status::{Facts, conditions, status};

/// A resource with gathered objects.
pub(super) struct Case {
    pub(super) resource: KeylimeAttestor,
    pub(super) previous: KeylimeAttestorStatus,
    pub(super) server: RolloutState,
    pub(super) agent: RolloutState,
    pub(super) problems: Vec<Problem>,
    pub(super) diagnosis: Option<&'static str>,
    pub(super) stuck: bool,
    /// [`None`] before the first poll.
    pub(super) view: Option<View>,
    pub(super) agents_updated: i32,
    /// The ready ones of those that are updated.
    pub(super) agents_ready: i32,
    pub(super) server_ready: i32,
    pub(super) server_held: bool,
    pub(super) agents_held: bool,
    /// The configuration of spire-controller-manager in the server's pod.
    pub(super) controller_manager: Option<&'static str>,
    /// SPIRE's own configuration of the server, if not the chart's.
    pub(super) server_text: Option<&'static str>,
    /// The state of agents that move in batches.
    pub(super) batch: Option<BatchStatus>,
    pub(super) keylime_unavailable: bool,
    pub(super) waits: BTreeMap<WorkloadKey, Waits>,
    /// Whether SPIRE's server can have tokens reviewed.
    pub(super) review: Review,
    /// Whether node aliases can be made.
    pub(super) aliasing: Aliasing,
}

impl Case {
    pub(super) fn new() -> Self {
        Self {
            resource: resource(json!({})),
            previous: KeylimeAttestorStatus::default(),
            server: Complete,
            agent: Complete,
            problems: Vec::new(),
            diagnosis: None,
            stuck: false,
            view: Some(view(keylime_reachable::REACHABLE, &[NodeReason::Attested])),
            agents_updated: 3,
            agents_ready: 3,
            server_ready: 3,
            server_held: false,
            agents_held: false,
            controller_manager: None,
            server_text: None,
            batch: None,
            keylime_unavailable: false,
            waits: BTreeMap::new(),
            review: Review::NotAsked,
            aliasing: Aliasing::NotAsked,
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
        gathered.needs = Some(needs(self.view.as_ref()));
        gathered.review = self.review.clone();
        gathered.aliasing = self.aliasing.clone();
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
        if let Some(text) = self.server_text {
            let server = gathered.found.values_mut().find(|found| found.role == Role::Server).unwrap();
            server.source = Some(config_map("spire-server", "spire-server", "server.conf", text));
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
            rollout.batch = self.batch.clone().filter(|_| key.kind == Kind::DaemonSet);
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
            keylime_unavailable: self.keylime_unavailable,
            view: self.view.as_ref(),
            now: now(),
        })
    }

    fn attempt(&self, gathered: Gathered, rollouts: BTreeMap<WorkloadKey, RolloutStatus>) -> Attempt {
        let waits = self.waits.clone();
        let waits_for_server = self.server != Complete;
        let applied = Applied { rollouts, waits_for_server, waits, ..Applied::default() };
        let diagnosis = self.diagnosis.map(str::to_owned);
        if self.resource.metadata.deletion_timestamp.is_some() {
            let hindrance = self.stuck.then_some(Hindrance { diagnosis });
            return Attempt::Withdrawing { gathered: Some(gathered), applied, hindrance };
        }
        let problems = self.problems.clone();
        // Only what was valid can be reverted.
        if problems.iter().any(|problem| problem.reason != configuration_applied::FIGHTING) {
            return Attempt::Invalid { gathered, problems };
        }
        let desired = Box::new(desired(&self.resource, &gathered));
        Attempt::Applied { gathered, desired, applied, problems, diagnosis }
    }

    pub(super) fn reasons(&self) -> Vec<(String, String)> {
        let conditions = self.status().conditions.into_iter();
        let conditions = conditions.map(|condition| (condition.type_, condition.reason));
        conditions.filter(|(type_, _)| !APART.iter().any(|apart| apart.as_str() == type_)).collect()
    }

    pub(super) fn message(&self, type_: ConditionType) -> String {
        conditions::previous(&self.status(), type_).unwrap().message.clone()
    }
}

/// A view of Keylime and of nodes with these reasons.
pub(super) fn view(reach: Reason, nodes: &[NodeReason]) -> View {
    let node = |(number, reason): (usize, &NodeReason)| {
        let status = AttestedNodeStatus {
            state: reason.state(),
            reason: reason.as_str().to_owned(),
            message: String::new(),
            since: Time(now()),
            agent_id: None,
            matched_by: None,
            binding: None,
            verifier: None,
            spiffe_id: None,
            last_success: None,
            first_attested: None,
            reattested_pod: None,
            conflict: None,
            marks: NodeMarks::default(),
            selector: None,
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
        others: None,
        unreported: Vec::new(),
        interval_beyond: None,
        trouble: None,
    }
}
