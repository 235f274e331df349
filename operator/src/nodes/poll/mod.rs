//! A poll of a resource's nodes: asks, matches, assesses, writes the changes, and publishes events.

mod assessed;
mod carry_out;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Instant;

use k8s_openapi::jiff::Timestamp;
use keylime::States;
use keylime_attestor_api::KeylimeAttestor;

use self::assessed::attested;
use crate::model::target::Owner;
use crate::nodes::ask::{Reports, ask_keylime, ask_spire};
use crate::nodes::cache::NotCached;
use crate::nodes::facts::{AttestedNodeFacts, NodeFacts, PodFacts};
use crate::nodes::spire::{Reported, SpireAgents};
use crate::nodes::{Context, History, Inputs, LoopView, View, enforcement_events};

/// The objects in the cluster, from the caches.
struct InCluster {
    nodes: BTreeMap<String, Arc<NodeFacts>>,
    attested_nodes: BTreeMap<String, Arc<AttestedNodeFacts>>,
    pods: BTreeMap<String, Arc<PodFacts>>,
}

/// Polls the nodes of a resource. False when the caches are not filled: the next poll comes soon.
pub(super) async fn poll(context: &Context, resource: &KeylimeAttestor, inputs: &Inputs) -> bool {
    let owner = Owner::of(resource);
    let tracked = context.nodes.tracked(&owner);
    let mut history = tracked.turn.lock().await;
    if history.withdrawn.is_some() && history.withdrawn == resource.metadata.uid {
        return true;
    }
    let told = resource.status.as_ref().map(|status| status.enforcement.as_slice()).unwrap_or_default();
    enforcement_events::recall(&mut history.told, told);
    let (start, now) = (Instant::now(), Timestamp::now());
    let at = Timestamp::from_second(now.as_second()).unwrap_or(now);
    let ((states, reach), reports) = tokio::join!(ask_keylime(inputs), ask_spire(context, resource, inputs));
    context.metrics.asked(&reach.answers);
    let mut view = View {
        at,
        nodes: BTreeMap::new(),
        unmatched: Vec::new(),
        elsewhere: None,
        reach,
        loops: Vec::new(),
        told: BTreeMap::new(),
        others: None,
        unreported: reports.unreported.clone(),
        interval_beyond: None,
        trouble: None,
    };
    let seen = match in_cluster(context, inputs) {
        Ok(cluster) => {
            let poll = Poll {
                context,
                resource,
                owner: &owner,
                cluster: &cluster,
                states: &states,
                reports: &reports,
                is_valid: inputs.is_valid,
                at,
            };
            poll.see(&mut history, &mut view).await;
            true
        }
        // Only at the start, and soon over: the view stays, and with it the status.
        Err(NotCached::NotYet) => return false,
        Err(error) => {
            view.trouble = Some(format!("The nodes and their pods are not known: {error}."));
            false
        }
    };
    view.told.clone_from(&history.told);
    context.metrics.nodes.polled(&owner, &view.counted(resource, start.elapsed()));
    context.nodes.publish(&owner, resource, view);
    seen
}

fn in_cluster(context: &Context, inputs: &Inputs) -> Result<InCluster, NotCached> {
    let nodes = &context.nodes;
    Ok(InCluster {
        nodes: nodes.nodes.all()?,
        attested_nodes: nodes.attested_nodes.all()?,
        pods: nodes.pods(inputs)?,
    })
}

/// A poll that is under way.
struct Poll<'a> {
    context: &'a Context,
    resource: &'a KeylimeAttestor,
    owner: &'a Owner,
    cluster: &'a InCluster,
    states: &'a States,
    reports: &'a Reports,
    is_valid: bool,
    at: Timestamp,
}

impl Poll<'_> {
    async fn see(&self, history: &mut History, view: &mut View) {
        self.note_silence(history);
        let now = u64::try_from(self.at.as_second()).unwrap_or_default();
        let spire = SpireAgents::of(&self.reports.reports, now);
        let mut assessed = self.assess(history, spire.as_ref(), view);
        if let Some(spire) = &spire {
            // Before the write: the status records the pod that was asked to attest anew.
            self.have_attest_anew(&mut assessed, spire).await;
            self.evict_left(&assessed, spire).await;
            view.others = Some(spire.elsewhere(attested(&assessed)));
        }
        self.tell_actions(history, &assessed).await;
        self.write(history, assessed, view).await;
        if self.is_valid {
            self.tidy_up(history, view).await;
        }
        if let Err(error) = self.context.nodes.keep_aliases(self.owner).await {
            self.trouble(view, &error);
        }
        view.loops = self.reports.reports.iter().map(loop_view).collect();
    }

    /// Notes the verifiers that give no answer, each with the time since when.
    fn note_silence(&self, history: &mut History) {
        let inputs = self.context.nodes.inputs(self.owner).and_then(|inputs| inputs.keylime_client);
        let silent: BTreeSet<String> = match inputs {
            Some(_) => self.states.failures.iter().map(|error| error.server().endpoint.to_string()).collect(),
            // Without a client no verifier was asked: all that a node had count as silent.
            None => history.written.values().filter_map(|(_, status)| status.verifier.clone()).collect(),
        };
        history.silent.retain(|verifier, _| silent.contains(verifier));
        for verifier in silent {
            history.silent.entry(verifier).or_insert(self.at);
        }
    }
}

fn loop_view(reported: &Reported) -> LoopView {
    let enforcement = &reported.report.enforcement;
    LoopView {
        pod: reported.pod.clone(),
        action: enforcement.action,
        held: enforcement.held.clone(),
        error: enforcement.last_error.clone(),
    }
}
