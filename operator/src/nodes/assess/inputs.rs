//! The inputs of an assessment.

use std::collections::BTreeMap;
use std::time::Duration;

use k8s_openapi::jiff::Timestamp;
use keylime::{AgentState, Doubt};
use keylime_attestor_api::{AttestedNodeStatus, NodeBinding};

use crate::nodes::facts::{NodeFacts, PodFacts};
use crate::nodes::matching::{Conflict, Match};
use crate::nodes::spire::SpireAgents;

/// The inputs that are the same for all nodes of a poll.
pub(crate) struct Rules<'a> {
    /// The greatest age of an acceptable success; [`None`] accepts any.
    pub(crate) max_age: Option<Duration>,
    /// The time for which a state is kept while its verifier is silent.
    pub(crate) grace: Duration,
    /// The time of the poll, in whole seconds.
    pub(crate) now: Timestamp,
    /// The verifiers that give no answer, by host and port, each with the time since when.
    pub(crate) silent: &'a BTreeMap<String, Timestamp>,
    pub(crate) spire: Option<&'a SpireAgents>,
    /// True where SPIRE's server pods should report.
    pub(crate) observed: bool,
    /// True where the operator puts the plugin into the agents' pods.
    pub(crate) managed: bool,
    /// True where the resource names the socket of a quoter for any of SPIRE's agents.
    pub(crate) asks_quoters: bool,
    /// The labels by which the resource selects nodes, if not all.
    pub(crate) selector: Option<&'a str>,
}

/// The inputs for a node.
pub(crate) struct Seen<'a> {
    pub(crate) node: &'a NodeFacts,
    pub(crate) matched: &'a Match,
    /// The verifier's record of its agent.
    pub(crate) record: Option<&'a AgentState>,
    pub(crate) doubt: Option<&'a Doubt>,
    pub(crate) pod: Option<&'a PodFacts>,
    pub(crate) previous: Option<&'a AttestedNodeStatus>,
    pub(crate) conflict: Option<&'a Conflict>,
    /// The pair of the node that an attestation proved.
    pub(crate) binding: Option<&'a NodeBinding>,
}
