//! The agents that may change: their nodes at Keylime, and their pods.

use std::collections::BTreeMap;

use crate::model::workload::WorkloadKey;

/// The agents that may change.
#[derive(Clone, Debug, Default)]
pub(crate) struct Agents {
    /// [`None`] until the nodes have been polled.
    pub(crate) keylime: Option<Keylime>,
    /// The agents' pods, by DaemonSet; one whose pods are not known yet is missing.
    pub(crate) pods: BTreeMap<WorkloadKey, Vec<Agent>>,
}

/// Keylime's answers at the last poll of the nodes.
#[derive(Clone, Debug, Default)]
pub(crate) struct Keylime {
    /// The reason why it gives no answers, if it gives none.
    pub(crate) silent: Option<String>,
    /// The nodes that were polled, each with the reason why Keylime does not pass it, or [`None`]
    /// when it does.
    pub(crate) nodes: BTreeMap<String, Option<String>>,
}

/// The pod of an agent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Agent {
    pub(crate) node: String,
    /// True for an agent that runs with the plugin.
    pub(crate) moved: bool,
    /// The architecture of its node, where that is known.
    pub(crate) architecture: Option<String>,
}

impl Agents {
    /// True where Keylime is the reason that an agent, or one on this node, did not become ready.
    pub(crate) fn keylime_is_ill(&self, node: Option<&str>) -> bool {
        let refuses = |keylime: &Keylime| node.is_some_and(|node| keylime.refuses(node).is_some());
        self.keylime.as_ref().is_some_and(|keylime| keylime.silent.is_some() || refuses(keylime))
    }

    /// True where Keylime is known to answer.
    pub(crate) fn keylime_answers(&self) -> bool {
        self.keylime.as_ref().is_some_and(|keylime| keylime.silent.is_none())
    }
}

impl Keylime {
    /// The reason why Keylime would refuse a node. One that was not polled counts as refused.
    pub(crate) fn refuses(&self, node: &str) -> Option<String> {
        match self.nodes.get(node) {
            Some(refused) => refused.clone(),
            None => Some("not among those that spec.nodes.selector selects".to_owned()),
        }
    }
}
