//! Trust on first use: of one id, one attestation at a time is accepted.
//!
//! Between a plugin's answer and the moment at which SPIRE knows the agent a second attestation of
//! the same id would still be told that nobody has it.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use evidence::{AgentId, Refusal};

/// How long SPIRE may take to write an accepted agent down.
const SETTLING: Duration = Duration::from_secs(30);

/// The ids that were accepted a moment ago, or are about to be. Only who has shown the node's quote
/// gets to claim an id, so that nobody else can keep it from being attested.
#[derive(Default)]
pub(crate) struct Claims(Mutex<HashMap<AgentId, Instant>>);

/// An id that no other attestation is accepted under. Given up when dropped, unless
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

    /// SPIRE knows the agent: from now on it is SPIRE that refuses a second one.
    pub(crate) fn settle(&self, agent_id: &AgentId) {
        self.claimed().remove(agent_id);
    }

    /// A panic while the lock is held leaves a whole map.
    fn claimed(&self) -> MutexGuard<'_, HashMap<AgentId, Instant>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Claim<'_> {
    /// The attestation was accepted: the id stays claimed until SPIRE has had the time to write it
    /// down.
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
mod tests {
    use super::*;

    #[test]
    fn an_id_is_claimed_once_until_it_is_given_up_settled_or_old() {
        let (claims, id, now) = (Claims::default(), AgentId::new("a").unwrap(), Instant::now());
        let claimed = |now| claims.claim(&id, now).is_err();
        let first = claims.claim(&id, now).unwrap();
        assert!(claimed(now));
        assert!(claims.claim(&AgentId::new("b").unwrap(), now).is_ok());
        drop(first);

        claims.claim(&id, now).unwrap().keep();
        assert!(claimed(now + SETTLING - Duration::from_secs(1)));
        claims.settle(&id);
        assert!(!claimed(now));

        claims.claim(&id, now).unwrap().keep();
        assert!(!claimed(now + SETTLING));
    }
}
