//! What the polls of the nodes tell the reconcile loop about agents that may change: what Keylime
//! says, and which pods there are. From memory alone.

use keylime_attestor_api::AttestedNodeStatus;
use keylime_attestor_api::conditions::Status;
use keylime_attestor_api::node_reason::node_condition::KEYLIME_HEALTHY;

use super::{Nodes, View};
use crate::cluster;
use crate::gather::Gathered;
use crate::keylime_client::reach::Reach;
use crate::model::agents::{Agent, Agents, Keylime};
use crate::model::target::{Owner, Role};

impl Nodes {
    /// What is known of the agents of a resource. Their pods are followed from the first call on.
    pub(crate) fn agents(&self, owner: &Owner, gathered: &Gathered) -> Agents {
        let view = self.view(owner);
        let mut agents = Agents { keylime: view.and_then(|view| keylime(&view)), ..Agents::default() };
        let found = gathered.found.values().filter(|found| found.role == Role::Agent);
        for workload in found.filter_map(|found| found.workload.as_ref()) {
            let Ok(selector) = cluster::selector(&workload.selector) else { continue };
            let Ok(pods) = self.cached_pods(&(workload.key.namespace.clone(), selector)).all() else {
                continue;
            };
            let pods = pods.into_values().filter(|pod| !pod.leaving && !pod.node.is_empty());
            let pods = pods.map(|pod| Agent { node: pod.node.clone(), moved: pod.hash.is_some() });
            agents.pods.insert(workload.key.clone(), pods.collect());
        }
        agents
    }
}

/// Nothing when the nodes themselves could not be seen.
fn keylime(view: &View) -> Option<Keylime> {
    if view.nodes.is_empty() && view.trouble.is_some() {
        return None;
    }
    let Reach { reason, message, .. } = &view.reach;
    Some(Keylime {
        silent: (reason.status != Status::True).then(|| message.clone()),
        nodes: view.nodes.iter().map(|(name, node)| (name.clone(), refused(&node.status))).collect(),
    })
}

/// Why Keylime does not pass a node; nothing when it does.
fn refused(status: &AttestedNodeStatus) -> Option<String> {
    let healthy = status.conditions.iter().find(|condition| condition.type_ == KEYLIME_HEALTHY);
    match healthy {
        Some(healthy) if healthy.status == "True" => None,
        Some(healthy) => Some(healthy.reason.clone()),
        None => Some(status.reason.clone()),
    }
}

#[cfg(test)]
mod tests {
    use keylime_attestor_api::NodeReason;
    use keylime_attestor_api::conditions::keylime_reachable as reach;

    use super::*;
    use crate::nodes::summary::tests::view;

    #[test]
    fn keylime_answers_only_when_all_of_it_does() {
        for (reason, answers) in [
            (reach::REACHABLE, true),
            (reach::UNREACHABLE, false),
            (reach::TLS_FAILED, false),
            (reach::UNEXPECTED_ANSWER, false),
            (reach::NOT_CHECKED, false),
        ] {
            let mut view = view(&[]);
            view.reach.reason = reason;
            assert_eq!(keylime(&view).unwrap().silent.is_none(), answers, "{}", reason.name);
        }
    }

    #[test]
    fn nodes_that_could_not_be_seen_say_nothing() {
        let mut view = view(&[]);
        assert!(keylime(&view).is_some());
        view.trouble = Some("why".to_owned());
        assert!(keylime(&view).is_none());
    }

    #[test]
    fn keylimes_word_counts_and_not_what_else_stands_against_a_node() {
        let healthy = |status: &str, reason: &str| {
            let mut view = view(&[("n", NodeReason::IdentityNotIssued)]);
            let node = std::sync::Arc::make_mut(&mut view.nodes.get_mut("n").unwrap().status);
            node.conditions =
                serde_json::from_value(serde_json::json!([{"type": KEYLIME_HEALTHY, "status": status,
                "reason": reason, "message": "", "lastTransitionTime": "2026-01-01T00:00:00Z"}]))
                .unwrap();
            keylime(&view).unwrap().nodes["n"].clone()
        };
        assert_eq!(healthy("True", "Passed"), None);
        assert_eq!(healthy("False", "Stale").as_deref(), Some("Stale"));
        assert_eq!(healthy("Unknown", "AmbiguousAgent").as_deref(), Some("AmbiguousAgent"));
    }
}
