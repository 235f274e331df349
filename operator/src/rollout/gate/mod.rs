//! The gate before a change of agents. Pure.
//!
//! An agent whose pod is replaced has to attest anew, and loses its identity where Keylime refuses
//! its node. So nothing of a DaemonSet changes while that would befall a node that has an agent by
//! another attestor: the operator would take away a working identity.
//!
//! A node whose agent runs with the plugin already does not hold a change: Keylime decides about it
//! anyway, at its agent's next restart, whatever that comes from. Were it waited for, one failed
//! node would keep every later change from all others, for as long as it fails. But while Keylime
//! gives no answers, every agent that restarts is refused, whichever node it is on: then those
//! wait, too.
//!
//! Nor does anything change while an agent would move to a plugin that its node cannot run, by the
//! architecture that the node tells. One that has moved is not waited for here either: a node that
//! has turned bad tells of itself what it likes.

use keylime_attestor_api::Unattestable;
use keylime_attestor_api::conditions::{Reason, agents_rolled_out};

use crate::model::agents::{Agent, Agents};
use crate::model::builds::Builds;
use crate::model::workload::WorkloadKey;

/// Most nodes that a message names.
const NAMED: usize = 10;

/// The architectures that nodes have and plugins have not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Unsupported {
    /// The nodes, each with its architecture.
    pub(crate) nodes: Vec<(String, String)>,
    /// The architectures of the plugins.
    known: Vec<String>,
}

/// The reason why the agents of a DaemonSet do not change now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Waits {
    /// The nodes, or the agents, have not been polled.
    NotKnown,
    /// Keylime gives no answers.
    Silent(String),
    /// There is no plugin for nodes.
    Unsupported(Unsupported),
    /// Keylime would refuse nodes.
    Refused {
        /// The nodes, each with the reason.
        nodes: Vec<(String, String)>,
        /// The number of agents by other attestors.
        of: usize,
    },
}

impl Agents {
    /// The reason why the agents of a DaemonSet have to stay as they are; [`None`] when they may
    /// change.
    pub(crate) fn wait(
        &self,
        workload: &WorkloadKey,
        builds: &Builds<String>,
        unattestable: Unattestable,
    ) -> Option<Waits> {
        if let Some(unsupported) = self.unsupported(workload, builds) {
            return Some(Waits::Unsupported(unsupported));
        }
        if unattestable == Unattestable::Proceed {
            return None;
        }
        let Some(pods) = self.pods.get(workload) else { return Some(Waits::NotKnown) };
        if pods.is_empty() {
            // No agent has anything to lose.
            return None;
        }
        let Some(keylime) = &self.keylime else { return Some(Waits::NotKnown) };
        if let Some(why) = &keylime.silent {
            return Some(Waits::Silent(why.clone()));
        }
        let would_move: Vec<&Agent> = pods.iter().filter(|pod| !pod.moved).collect();
        let mut nodes: Vec<(String, String)> = would_move
            .iter()
            .filter_map(|pod| Some((pod.node.clone(), keylime.refuses(&pod.node)?)))
            .collect();
        nodes.sort();
        nodes.dedup();
        (!nodes.is_empty()).then_some(Waits::Refused { nodes, of: would_move.len() })
    }

    /// The nodes whose agents would move, and that are of an architecture that no build is of.
    pub(crate) fn unsupported(&self, workload: &WorkloadKey, builds: &Builds<String>) -> Option<Unsupported> {
        let would_move = self.pods.get(workload)?.iter().filter(|pod| !pod.moved);
        let architectures = would_move.filter_map(|pod| Some((pod.node.clone(), pod.architecture.clone()?)));
        let mut nodes: Vec<_> =
            architectures.filter(|(_, architecture)| builds.lacks(architecture)).collect();
        nodes.sort();
        nodes.dedup();
        let known = builds.architectures().into_iter().map(str::to_owned).collect();
        (!nodes.is_empty()).then_some(Unsupported { nodes, known })
    }
}

impl Waits {
    /// The reason of AgentsRolledOut.
    pub(crate) const fn reason(&self) -> Reason {
        match self {
            Self::NotKnown | Self::Silent(_) | Self::Refused { .. } => agents_rolled_out::WAITING_FOR_KEYLIME,
            Self::Unsupported(_) => agents_rolled_out::ARCHITECTURE_UNKNOWN,
        }
    }
}

impl std::fmt::Display for Unsupported {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { nodes, known } = self;
        let known = known.join(", ");
        write!(
            f,
            "there are plugins for {known}, and {} nodes are of another architecture: {}",
            nodes.len(),
            some(nodes)
        )
    }
}

/// The first of some nodes, each with what is said of it.
fn some(nodes: &[(String, String)]) -> String {
    let named: Vec<String> = nodes.iter().take(NAMED).map(|(node, why)| format!("{node} ({why})")).collect();
    let more = nodes.len().saturating_sub(NAMED);
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    named.join(", ") + &more
}

impl std::fmt::Display for Waits {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::NotKnown => f.write_str("the nodes and their agents have not been polled yet"),
            Self::Silent(why) => write!(
                f,
                "Keylime gives no answers, so that no agent that is restarted now would attest; they change when it does: {why}"
            ),
            Self::Unsupported(unsupported) => write!(f, "{unsupported}"),
            Self::Refused { nodes, of } => write!(
                f,
                "Keylime would refuse {} of the {of} nodes whose agents would move to it, and no agent is moved until it passes all of them: {}",
                nodes.len(),
                some(nodes)
            ),
        }
    }
}

#[cfg(test)]
mod tests;
