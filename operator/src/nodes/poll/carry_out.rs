//! What comes of a poll: requests to SPIRE, writes to Nodes and AttestedNodes, events.

use std::sync::Arc;

use futures_util::StreamExt as _;
use keylime_attestor_api::{Mode, NodeReason};
use tracing::{info, warn};

use super::Poll;
use super::assessed::{Assessed, attested};
use crate::nodes::ask::Reports;
use crate::nodes::assess::Assessment;
use crate::nodes::exclusive::is_exclusive;
use crate::nodes::node_events::NodeEvent;
use crate::nodes::spire::SpireAgents;
use crate::nodes::write::Wanted;
use crate::nodes::{History, NodeView, View, build, enforcement_events, node_events, write};

impl Poll<'_> {
    /// Asks SPIRE's server to evict agents that keep their former attestor's identity, though their
    /// pods run our plugin and Keylime passes them: once a pod, and only when it was so at the last
    /// poll as well.
    pub(super) async fn have_attest_anew(&self, assessed: &mut [Assessed], spire: &SpireAgents) {
        let inputs = self.context.nodes.inputs(self.owner).and_then(|inputs| inputs.keylime_client);
        let Some(reporter) = inputs.as_ref().and_then(|client| client.reporter.as_ref()) else { return };
        let reason = NodeReason::IdentityOfOtherAttestor;
        for Assessed { node, previous, pod, assessment, .. } in assessed {
            let Some(pod) = pod.as_ref().filter(|pod| pod.ready && pod.hash.is_some()) else { continue };
            let again = previous.as_ref().is_some_and(|previous| previous.reason == reason.as_str());
            let asked = assessment.status.reattested_pod.as_ref() == Some(&pod.uid);
            if assessment.reason != reason || !assessment.healthy || !again || asked {
                continue;
            }
            let Some(other) = spire.other(node) else { continue };
            match reporter.reattest(&other.endpoint, &other.spiffe_id).await {
                Ok(()) => assessment.status.reattested_pod = Some(pod.uid.clone()),
                Err(error) => warn!(node = node.name, %error, "an agent could not be made to attest anew"),
            }
        }
    }

    /// Asks SPIRE's server to evict what other attestors admitted of nodes that attest by Keylime,
    /// once it admits no node by these any longer.
    pub(super) async fn evict_left(&self, assessed: &[Assessed], spire: &SpireAgents) {
        let inputs = self.context.nodes.inputs(self.owner).and_then(|inputs| inputs.keylime_client);
        let Some(reporter) = inputs.as_ref().and_then(|client| client.reporter.as_ref()) else { return };
        if !is_exclusive(self.resource) {
            return;
        }
        for node in attested(assessed) {
            let Some(other) = spire.other(node).filter(|other| !other.banned) else { continue };
            let evicted = reporter.reattest(&other.endpoint, &other.spiffe_id).await;
            if let Err(error) = evicted {
                warn!(node = node.name, %error, "an agent of another attestor could not be evicted");
            }
        }
    }

    /// Publishes the plugins' actions since the last poll, as metrics, log lines and events.
    pub(super) async fn tell_actions(&self, history: &mut History, assessed: &[Assessed]) {
        let Reports { reports, pods, .. } = self.reports;
        for enforcement_events::Untold { action, event } in
            enforcement_events::untold(&mut history.told, reports, pods.as_ref())
        {
            self.context.metrics.nodes.enforced(self.owner, &action);
            let agent = action.agent_id.as_ref().map(|agent| agent.as_str());
            // An attempt against a pair is about two nodes.
            let about = assessed.iter().filter(|assessed| {
                let status = assessed.previous.as_deref().unwrap_or(&assessed.assessment.status);
                let by_agent = agent.is_some() && status.agent_id.as_deref() == agent;
                let by_node = action.node_uid.as_ref() == Some(&assessed.node.uid);
                by_agent || by_node || action.spiffe_id.ends_with(&format!("/{}", assessed.node.uid))
            });
            let about: Vec<_> = about.map(|assessed| &assessed.node).collect();
            let name = about.first().map(|node| node.name.as_str());
            info!(
                node = name,
                spiffe_id = action.spiffe_id,
                reason = event.reason,
                note = event.note,
                "SPIRE's server acted on an agent"
            );
            for node in about {
                node_events::publish(
                    &self.context.events,
                    &node.name,
                    &node.uid,
                    std::slice::from_ref(&event),
                )
                .await;
            }
        }
    }

    /// The desired state of a node with its events, and the node for the view.
    fn want(&self, assessed: Assessed) -> (Wanted, Vec<NodeEvent>, NodeView) {
        let spec = &self.resource.spec;
        let Assessed { node, previous, assessment, pod, conflict } = assessed;
        let spire = build::SpireAgent {
            pod: pod.as_deref(),
            observed: spec.enforcement.is_some(),
            managed: spec.spire.mode != Mode::ConfigOnly,
        };
        let Assessment { reason, healthy, last_success, mut status } = assessment;
        // Not those on the Node, which a kubelet may write, but for a node that was never seen.
        let before = previous.as_ref().map_or(&node.marks, |previous| &previous.marks);
        status.marks = match self.is_valid {
            true => build::marks(before, spire, reason, &status, spec.nodes.taint),
            false => before.clone(),
        };
        let marks = if self.is_valid { status.marks.clone() } else { node.marks.clone() };
        let mut events = node_events::of(previous.as_deref(), reason, healthy, &status);
        events.extend(node_events::of_conflict(previous.as_deref(), conflict));
        if node.relabelled && marks.label.is_some() {
            warn!(
                node = node.name,
                "somebody else wrote the label of a node's agent; a kubelet can where the apiserver runs without NodeRestriction"
            );
            events.push(node_events::of_label());
        }
        // An equal status is shared, not kept twice: there may be thousands.
        let status = match previous {
            Some(previous) if *previous == status => previous,
            _ => Arc::new(status),
        };
        let attested_node = self.cluster.attested_nodes.get(&node.name).cloned();
        let view = NodeView { reason, last_success, status: Arc::clone(&status) };
        (Wanted { node, attested_node, status, marks }, events, view)
    }

    /// Writes the changes. Their events follow each write, so that none tells of a state that was
    /// not written.
    pub(super) async fn write(&self, history: &mut History, assessed: Vec<Assessed>, view: &mut View) {
        let mut writes = Vec::new();
        for assessed in assessed {
            let (wanted, events, seen) = self.want(assessed);
            view.nodes.insert(wanted.node.name.clone(), seen);
            writes.push((wanted, events));
        }
        let written = futures_util::stream::iter(writes).map(async |(wanted, events)| {
            let result = write::node(&self.context.cluster, self.owner, &wanted).await;
            if result.is_ok() {
                node_events::publish(&self.context.events, &wanted.node.name, &wanted.node.uid, &events)
                    .await;
            }
            (wanted, events, result)
        });
        let mut written = std::pin::pin!(written.buffer_unordered(write::CONCURRENCY));
        while let Some((Wanted { node, status, .. }, events, result)) = written.next().await {
            match result {
                Ok(()) => {
                    events
                        .iter()
                        .for_each(|event| self.context.metrics.nodes.transition(self.owner, event.reason));
                    history.written.insert(node.name.clone(), (node.uid.clone(), status));
                }
                Err(error) => self.trouble(view, &error),
            }
        }
    }

    /// Withdraws from the nodes that are no longer this resource's.
    pub(super) async fn tidy_up(&self, history: &mut History, view: &mut View) {
        let stays = |name: &str| view.nodes.contains_key(name);
        let ours = self
            .cluster
            .attested_nodes
            .iter()
            .filter(|(_, attested_node)| attested_node.owner.as_ref() == Some(self.owner));
        let gone: Vec<&String> = ours.map(|(name, _)| name).filter(|name| !stays(name)).collect();
        history.written.retain(|name, _| stays(name));
        for name in gone {
            let taken =
                self.context.nodes.withdraw_node(self.cluster.nodes.get(name).map(Arc::as_ref), name).await;
            if let Err(error) = taken {
                self.trouble(view, &error);
            }
        }
    }

    pub(super) fn trouble(&self, view: &mut View, error: &crate::cluster::Error) {
        warn!(namespace = self.owner.namespace, name = self.owner.name, %error, "what was seen of a node could not be written");
        self.context.metrics.nodes.poll_failed(self.owner);
        // Any other error is a conflict or passes by itself, and the next poll writes again.
        if error.is_refusal() {
            view.trouble.get_or_insert_with(|| format!("Not everything could be written: {error}."));
        }
    }
}
