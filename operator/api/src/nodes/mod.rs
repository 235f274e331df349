//! `spec.nodes`: which nodes are polled, how often, and what is done on them.

use std::collections::BTreeMap;
use std::fmt;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, LabelSelectorRequirement};
use kube::core::{ParseExpressionError, Selector, SelectorExt as _};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::Duration;
use crate::schema::{self, Rule};

/// How the operator follows what Keylime says about the nodes. What it sees is in `status.nodes`,
/// and on an `AttestedNode` for each node.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Nodes {
    /// How often Keylime's verifiers are asked about all nodes, from 5s to 10m. Written like 30s or
    /// 1m. One request to each verifier tells about all of its agents.
    #[schemars(extend("x-kubernetes-validations" = [INTERVAL]))]
    pub interval: Duration,

    /// How long a node keeps its last known state while the verifier that knows it gives no answer.
    /// After that its state is Unknown, never Failing. Written like 30s or 2m.
    pub grace: Duration,

    /// Which of the cluster's nodes these are. Left out, all of them. A node that several
    /// KeylimeAttestors select belongs to the one that took it first. One that is marked and not
    /// attested stays selected when it loses its labels, which its kubelet may write: until this
    /// selector changes, its Node goes, or its former SPIRE agent is back.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub selector: Option<NodeSelector>,

    /// Whether nodes that were attested and then failed, or are no longer enrolled, get the taint
    /// spire.keylime.dev/not-attested with effect NoSchedule, so that no new pods are placed there.
    /// SPIRE's server and agents must tolerate it: without the toleration on their workloads
    /// nothing is applied. It is taken off when the node is attested again, and when this resource
    /// is deleted. A node that is merely not heard of keeps what it has.
    pub taint: bool,

    /// Whether the metrics tell of each node by name, besides the numbers of nodes in each state.
    /// At thousands of nodes that is thousands of time series.
    pub metrics_by_node: bool,
}

/// Which nodes, as in Kubernetes' own label selectors: all labels and expressions have to hold.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct NodeSelector {
    /// Labels that a node must have, each with the value. Empty selects all nodes.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "schema::labels")]
    pub match_labels: BTreeMap<String, String>,

    /// Expressions that a node's labels must satisfy, each a label's key, an operator and, for In
    /// and NotIn, values.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "schema::label_expressions")]
    pub match_expressions: Vec<LabelSelectorRequirement>,
}

impl fmt::Display for NodeSelector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match Selector::try_from(self.clone()) {
            Ok(selector) => selector.fmt(f),
            Err(error) => error.fmt(f),
        }
    }
}

impl TryFrom<NodeSelector> for Selector {
    type Error = ParseExpressionError;

    fn try_from(selector: NodeSelector) -> Result<Self, Self::Error> {
        let NodeSelector { match_labels, match_expressions } = selector;
        Self::try_from(LabelSelector {
            match_labels: Some(match_labels),
            match_expressions: Some(match_expressions),
        })
    }
}

impl NodeSelector {
    /// True for a node with these labels that is selected. With an expression that the schema
    /// refuses, no node is.
    pub fn selects(&self, labels: &BTreeMap<String, String>) -> bool {
        Selector::try_from(self.clone()).is_ok_and(|selector| selector.matches(labels))
    }
}

/// The chart's alert for nodes that are not polled waits for a quarter of an hour.
const INTERVAL: Rule = Rule {
    rule: "duration(self) >= duration('5s') && duration(self) <= duration('10m')",
    message: "interval must be from 5s to 10m",
};

impl Default for Nodes {
    fn default() -> Self {
        Self {
            interval: Duration::from_secs(30),
            grace: Duration::from_secs(2 * 60),
            selector: None,
            taint: false,
            metrics_by_node: false,
        }
    }
}

#[cfg(test)]
mod tests;
