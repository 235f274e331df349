//! The loop: it polls SPIRE and Keylime, assesses the agents, asks again about each that is due,
//! and acts on it.

mod agents;
mod tell;

use std::sync::Arc;
use std::time::Instant;

use keylime::States;
use report::{Act, MAX_AGENTS, Mode};
use spire_plugin::Host;
use tracing::{info, warn};

use super::Stop;
use super::assess::{Candidate, Fault, Memory, Rules, Watched};
use super::report_state::{Done, ReportState};
use super::settings::Settings;
use super::spire::{self, Spire, SpireAgent};
use crate::clock::unix_time;
use crate::config::Config;
use agents::{agent_id, told};

const ACTIONS: &[&str] = &["keylime_attestor", "enforcement", "action"];

/// Watches SPIRE's agents for one configuration.
pub(crate) struct Watch {
    pub(crate) config: Arc<Config>,
    pub(crate) settings: Settings,
    pub(crate) spire: Spire,
    pub(crate) report: Arc<ReportState>,
    pub(crate) host: Host,
    memory: Memory,
    doubts: usize,
    well: bool,
    held: bool,
}

/// The reason why a poll failed.
#[derive(Debug, thiserror::Error)]
enum PollError {
    #[error(transparent)]
    Spire(#[from] spire::Error),
    #[error(transparent)]
    Keylime(#[from] keylime::Error),
}

impl Watch {
    pub(crate) fn new(
        config: Arc<Config>,
        settings: Settings,
        spire: Spire,
        report: Arc<ReportState>,
        host: Host,
    ) -> Self {
        let memory = Memory::default();
        Self { config, settings, spire, report, host, memory, doubts: 0, well: true, held: false }
    }

    /// Polls until it is to stop. A verifier that needs long for an answer has as long to recover
    /// from it.
    pub(crate) async fn run(mut self, mut stop: Stop) {
        let action = self.settings.action;
        self.report.update(|told| (told.action, told.held) = (action, None));
        let mut pause = self.settings.interval;
        while stop.sleep(pause).await {
            let begun = Instant::now();
            match self.poll(&mut stop).await {
                Ok(()) if stop.requested() => break,
                Ok(()) => self.succeeded(),
                Err(error) => self.failed(&error),
            }
            pause = self.settings.interval.max(begun.elapsed());
        }
    }

    /// One poll with its actions. No agent is assessed without the answers of SPIRE and of every
    /// verifier.
    async fn poll(&mut self, stop: &mut Stop) -> Result<(), PollError> {
        let seen = tokio::select! {
            () = stop.wait() => return Ok(()),
            seen = self.see() => seen,
        };
        let (agents, states) = seen?;
        let rules = Rules {
            grace: self.settings.grace,
            unreachable_grace: self.settings.unreachable_grace,
            max_per_poll: self.settings.max_per_interval,
            max_unhealthy: self.settings.max_unhealthy,
        };
        let assessment = self.memory.assess(Instant::now(), &agents, &states, rules);
        self.tell(&assessment);
        let act = match self.settings.action {
            Mode::Observe => return Ok(()),
            Mode::Evict => Act::Evict,
            Mode::Ban => Act::Ban,
        };
        for candidate in &assessment.due {
            if stop.requested() {
                break;
            }
            if self.is_still_at_fault(candidate).await? {
                self.act(act, candidate).await;
            }
        }
        Ok(())
    }

    /// The agents at SPIRE and their states at Keylime. Keylime is not asked where SPIRE has no
    /// agent to assess.
    async fn see(&mut self) -> Result<(Vec<Watched>, States), PollError> {
        let agents = self.list().await?;
        let states = if agents.is_empty() { States::default() } else { self.states().await? };
        Ok((agents, states))
    }

    /// The agents to assess. With a report, those of every attestation type are listed for it. Only
    /// those to assess count for the limit, not those of other types nor expired ones.
    async fn list(&self) -> Result<Vec<Watched>, PollError> {
        let ours = self.config.plugin_name();
        let only = self.settings.report_address.is_none().then_some(ours);
        let now = unix_time();
        let (mut watched, mut told_of, mut others) = (Vec::new(), Vec::new(), Vec::new());
        let take = |agent: SpireAgent| {
            let counts = agent.attestation_type == ours && !agent.banned && agent.expires > now;
            if counts {
                let agent_id = agent_id(&self.config, &agent);
                watched.push(Watched { spiffe_id: agent.spiffe_id.clone(), agent_id });
                told_of.push(told(&self.config, agent));
            } else if others.len() < MAX_AGENTS {
                others.push(told(&self.config, agent));
            }
            if watched.len() > MAX_AGENTS { Err(spire::Error::TooMany) } else { Ok(()) }
        };
        self.spire.each(only, take).await?;
        told_of.extend(others);
        told_of.truncate(MAX_AGENTS);
        self.report.listed(told_of);
        Ok(watched)
    }

    async fn states(&mut self) -> Result<States, PollError> {
        let mut states = self.config.servers.states().await;
        if let Some(failure) = states.failures.pop() {
            return Err(failure.into());
        }
        if let Some(first) = states.doubts.first().filter(|_| states.doubts.len() != self.doubts) {
            warn!(doubts = states.doubts.len(), %first, "Keylime holds records of which nothing can be said: their agents are let be");
        }
        self.doubts = states.doubts.len();
        Ok(states)
    }

    /// Asks about one agent right before it loses its identity: the answer about all may be old by
    /// now.
    async fn is_still_at_fault(&mut self, candidate: &Candidate) -> Result<bool, PollError> {
        let now = match self.config.servers.state(&candidate.agent_id).await {
            Ok(state) => Fault::of(state.node.attestation),
            Err(keylime::Error::UnknownAgent { .. }) => Some(Fault::Unknown),
            Err(other) => return Err(other.into()),
        };
        let same = now == Some(candidate.fault);
        if !same {
            info!(agent_id = %candidate.agent_id, "Keylime says otherwise when asked again: the agent is let be");
            self.memory.acquit(candidate);
        }
        Ok(same)
    }

    /// Evicts or bans an agent. One for which SPIRE fails is due at the next poll again, and keeps
    /// no other back.
    async fn act(&self, act: Act, candidate: &Candidate) {
        let Candidate { spiffe_id, agent_id, fault } = candidate;
        let (done, action) = match act {
            Act::Ban => (self.spire.ban(spiffe_id).await, "ban"),
            Act::Evict | Act::Reattest | Act::Refuse => (self.spire.evict(spiffe_id).await, "evict"),
        };
        let reason = fault.to_string();
        let error = match &done {
            // Another SPIRE server was faster, or a human.
            Ok(false) => return,
            Ok(true) => {
                warn!(%agent_id, spiffe_id, action, reason, "agent lost its identity");
                None
            }
            Err(error) => {
                warn!(%agent_id, spiffe_id, action, reason, %error, "agent keeps its identity");
                Some(error.to_string())
            }
        };
        let result = if error.is_none() { "done" } else { "failed" };
        self.host.incr_counter(ACTIONS, &[("action", action), ("result", result)]);
        self.report.record(Done { agent_id: Some(agent_id), spiffe_id, node_uid: None, act, reason, error });
    }
}
