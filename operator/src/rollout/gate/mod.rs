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

use keylime_attestor_api::Unattestable;

use crate::model::agents::{Agent, Agents};
use crate::model::workload::WorkloadKey;

/// Most nodes that a message names.
const NAMED: usize = 10;

/// The reason why the agents of a DaemonSet do not change now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Waits {
    /// The nodes, or the agents, have not been polled.
    NotKnown,
    /// Keylime gives no answers.
    Silent(String),
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
    pub(crate) fn wait(&self, workload: &WorkloadKey, unattestable: Unattestable) -> Option<Waits> {
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
}

impl std::fmt::Display for Waits {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::NotKnown => f.write_str("the nodes and their agents have not been polled yet"),
            Self::Silent(why) => write!(
                f,
                "Keylime gives no answers, so that no agent that is restarted now would attest; they change when it does: {why}"
            ),
            Self::Refused { nodes, of } => {
                let named: Vec<String> =
                    nodes.iter().take(NAMED).map(|(node, why)| format!("{node} ({why})")).collect();
                let more = nodes.len().saturating_sub(NAMED);
                let more = if more > 0 { format!(" and {more} more") } else { String::new() };
                write!(
                    f,
                    "Keylime would refuse {} of the {of} nodes whose agents would move to it, and no agent is moved until it passes all of them: {}{more}",
                    nodes.len(),
                    named.join(", ")
                )
            }
        }
    }
}

#[cfg(test)]
mod tests;
