//! Trust on first use: one attestation at a time is accepted under an id.
//!
//! Between a plugin's answer and the moment at which SPIRE knows the agent, a second attestation of
//! the same id would still find no agent.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use evidence::{AgentId, Refusal};

/// The time that SPIRE may take to store an accepted agent.
const SETTLING: Duration = Duration::from_secs(30);

/// The ids that were accepted a moment ago, or are about to be. Only a peer that has shown the
/// node's quote can claim an id, so that nobody else can keep it from being attested.
#[derive(Default)]
pub(crate) struct Claims(Mutex<HashMap<AgentId, Instant>>);

/// An id under which no other attestation is accepted. Given up when dropped, unless
/// [kept](Claim::keep).
pub(crate) struct Claim<'a> {
    claims: &'a Claims,
    agent_id: &'a AgentId,
    kept: bool,
}

impl Claims {
    /// Claims an id for this attestation.
    ///
    /// # Errors
    /// [`Refusal::AcceptedElsewhere`] while another attestation has it.
    pub(crate) fn claim<'a>(&'a self, agent_id: &'a AgentId, now: Instant) -> Result<Claim<'a>, Refusal> {
        let mut claimed = self.claimed();
        claimed.retain(|_, since| now.saturating_duration_since(*since) < SETTLING);
        if claimed.contains_key(agent_id) {
            return Err(Refusal::AcceptedElsewhere);
        }
        claimed.insert(agent_id.clone(), now);
        Ok(Claim { claims: self, agent_id, kept: false })
    }

    /// Ends a claim: SPIRE knows the agent, by which a second one is refused from now on.
    pub(crate) fn settle(&self, agent_id: &AgentId) {
        self.claimed().remove(agent_id);
    }

    /// The claims, also after a panic under the lock, which leaves a whole map.
    fn claimed(&self) -> MutexGuard<'_, HashMap<AgentId, Instant>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Claim<'_> {
    /// Keeps the claim of an accepted attestation until SPIRE has had the time to store the agent.
    pub(crate) fn keep(mut self) {
        self.kept = true;
    }
}

impl Drop for Claim<'_> {
    fn drop(&mut self) {
        if !self.kept {
            self.claims.settle(self.agent_id);
        }
    }
}

#[cfg(test)]
mod tests;
