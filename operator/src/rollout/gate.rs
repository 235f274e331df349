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
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::model::agents::Keylime;
    use crate::model::workload::Kind;

    fn key() -> WorkloadKey {
        WorkloadKey { kind: Kind::DaemonSet, namespace: "spire".to_owned(), name: "agent".to_owned() }
    }

    /// Agents on nodes, those with a star with the plugin; the nodes that Keylime passes, and those
    /// that it refuses.
    fn agents(pods: &[&str], passed: &[&str], refused: &[&str]) -> Agents {
        let agent =
            |pod: &&str| Agent { node: pod.trim_end_matches('*').to_owned(), moved: pod.ends_with('*') };
        let passed = passed.iter().map(|node| ((*node).to_owned(), None));
        let refused = refused.iter().map(|node| ((*node).to_owned(), Some("NotEnrolled".to_owned())));
        Agents {
            keylime: Some(Keylime { silent: None, nodes: passed.chain(refused).collect() }),
            pods: BTreeMap::from([(key(), pods.iter().map(agent).collect())]),
        }
    }

    fn refused(agents: &Agents) -> Vec<String> {
        match agents.wait(&key(), Unattestable::Wait) {
            Some(Waits::Refused { nodes, .. }) => nodes.into_iter().map(|(node, _)| node).collect(),
            None => Vec::new(),
            Some(other) => panic!("{other:?}"),
        }
    }

    #[test]
    fn every_node_that_would_move_has_to_pass() {
        assert_eq!(refused(&agents(&["a", "b"], &["a", "b"], &["elsewhere"])), [""; 0]);
        assert_eq!(refused(&agents(&["a", "b", "c"], &["a"], &["c"])), ["b", "c"]);
    }

    #[test]
    fn a_node_that_has_moved_holds_up_nobody() {
        assert_eq!(refused(&agents(&["a*", "b"], &["b"], &["a"])), [""; 0]);
        assert_eq!(refused(&agents(&["a*", "b"], &[], &["a", "b"])), ["b"]);
    }

    #[test]
    fn while_keylime_gives_no_answers_no_agent_is_restarted() {
        for pods in [&["a"][..], &["a*"]] {
            let mut silent = agents(pods, &["a"], &[]);
            silent.keylime.as_mut().unwrap().silent = Some("why".to_owned());
            let waits = silent.wait(&key(), Unattestable::Wait);
            assert_eq!(waits, Some(Waits::Silent("why".to_owned())));
            assert_eq!(silent.wait(&key(), Unattestable::Proceed), None);
        }
    }

    #[test]
    fn what_is_not_known_waits() {
        let known = agents(&["a"], &["a"], &[]);
        let unseen = Agents { keylime: None, ..known.clone() };
        assert_eq!(unseen.wait(&key(), Unattestable::Wait), Some(Waits::NotKnown));
        let unlisted = Agents { pods: BTreeMap::new(), ..known };
        assert_eq!(unlisted.wait(&key(), Unattestable::Wait), Some(Waits::NotKnown));
    }

    #[test]
    fn without_agents_there_is_nothing_to_lose() {
        let none = Agents { keylime: None, ..agents(&[], &[], &[]) };
        assert_eq!(none.wait(&key(), Unattestable::Wait), None);
    }

    #[test]
    fn who_may_proceed_is_not_asked() {
        assert_eq!(agents(&["a"], &[], &["a"]).wait(&key(), Unattestable::Proceed), None);
    }

    #[test]
    fn a_message_names_some_nodes_and_counts_the_others() {
        let nodes: Vec<String> = (0..12).map(|number| format!("n{number:02}")).collect();
        let nodes: Vec<&str> = nodes.iter().map(String::as_str).collect();
        let text = agents(&nodes, &[], &nodes).wait(&key(), Unattestable::Wait).unwrap().to_string();
        assert!(
            text.contains("12 of the 12 nodes") && text.contains("n09 (NotEnrolled) and 2 more"),
            "{text}"
        );
        assert!(!text.contains("n10"), "{text}");
    }
}
