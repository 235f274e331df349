//! The metrics, for Prometheus.

pub(crate) mod nodes;

use std::fmt;
use std::time::Duration;

use k8s_openapi::jiff::Timestamp;
use keylime_attestor_api::KeylimeAttestorStatus;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

use crate::metrics::nodes::NodeMetrics;
use crate::model::target::Owner;

/// Upper bounds in seconds: from a reconcile that finds nothing to do, to one that waits for
/// Keylime.
const BUCKETS: [f64; 8] = [0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0];

/// All metrics of the operator.
pub(crate) struct Metrics {
    registry: Registry,
    reconciles: Family<Outcome, Counter>,
    durations: Family<Outcome, Histogram>,
    conditions: Family<Condition, Gauge>,
    requests: Family<Request, Counter>,
    certificates: Family<Resource, Gauge>,
    pub(crate) nodes: NodeMetrics,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Outcome {
    outcome: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Condition {
    namespace: String,
    name: String,
    condition: String,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Resource {
    namespace: String,
    name: String,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Request {
    server: &'static str,
    outcome: &'static str,
}

impl Metrics {
    pub(crate) fn new() -> Self {
        let mut whole = Registry::with_prefix("keylime_attestor");
        let nodes = NodeMetrics::new(&mut whole);
        let registry = whole.sub_registry_with_prefix("operator");
        let metrics = (
            Family::default(),
            Family::new_with_constructor((|| Histogram::new(BUCKETS)) as fn() -> Histogram),
            Family::default(),
            Family::default(),
        );
        let (reconciles, durations, conditions, requests) = metrics;
        let durations: Family<Outcome, Histogram> = durations;
        registry.register(
            "reconciles",
            "Reconciles by outcome: done, waiting, failed",
            Family::clone(&reconciles),
        );
        registry.register("reconcile_duration_seconds", "How long reconciles take", durations.clone());
        registry.register(
            "condition",
            "Conditions of each KeylimeAttestor: 1 is True, 0 is False, -1 is Unknown",
            Family::clone(&conditions),
        );
        registry.register(
            "keylime_requests",
            "Requests to Keylime's servers by outcome: answered, or why not",
            Family::clone(&requests),
        );
        let certificates = Family::default();
        registry.register(
            "client_certificate_end_timestamp_seconds",
            "When the client certificate for Keylime of each KeylimeAttestor ends, in Unix seconds",
            Family::clone(&certificates),
        );
        Self { registry: whole, reconciles, durations, conditions, requests, certificates, nodes }
    }

    pub(crate) fn reconciled(&self, outcome: &'static str, duration: Duration) {
        self.reconciles.get_or_create(&Outcome { outcome }).inc();
        self.durations.get_or_create(&Outcome { outcome }).observe(duration.as_secs_f64());
    }

    pub(crate) fn asked(&self, answers: &[(&'static str, &'static str)]) {
        for (server, outcome) in answers {
            self.requests.get_or_create(&Request { server, outcome }).inc();
        }
    }

    pub(crate) fn reported(&self, owner: &Owner, status: &KeylimeAttestorStatus) {
        for condition in &status.conditions {
            let value = match condition.status.as_str() {
                "True" => 1,
                "False" => 0,
                _ => -1,
            };
            self.conditions.get_or_create(&label(owner, &condition.type_)).set(value);
        }
    }

    /// The end of the client certificate for Keylime; [`None`] where it is not known.
    pub(crate) fn certificate(&self, owner: &Owner, end: Option<Timestamp>) {
        let label = Resource { namespace: owner.namespace.clone(), name: owner.name.clone() };
        match end {
            Some(end) => drop(self.certificates.get_or_create(&label).set(end.as_second())),
            None => drop(self.certificates.remove(&label)),
        }
    }

    pub(crate) fn forget(&self, owner: &Owner) {
        self.certificate(owner, None);
        self.nodes.forget(owner);
        for condition in keylime_attestor_api::conditions::ConditionType::ALL {
            self.conditions.remove(&label(owner, condition.as_str()));
        }
    }

    /// All metrics, as OpenMetrics text.
    pub(crate) fn text(&self) -> Result<String, fmt::Error> {
        let mut text = String::new();
        encode(&mut text, &self.registry)?;
        Ok(text)
    }
}

fn label(owner: &Owner, condition: &str) -> Condition {
    Condition {
        namespace: owner.namespace.clone(),
        name: owner.name.clone(),
        condition: condition.to_owned(),
    }
}

#[cfg(test)]
mod tests;
