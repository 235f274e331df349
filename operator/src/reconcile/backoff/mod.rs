//! What is remembered between reconciles. Losing it costs a few requests and nothing else: whatever
//! counts is in the cluster.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::model::target::Owner;
use crate::rollout::fighting::Fighting;

/// How long to wait after the first failure of a resource, and at most.
const FIRST_WAIT: Duration = Duration::from_secs(1);
const LONGEST_WAIT: Duration = Duration::from_secs(60);

/// Shared by all reconciles.
#[derive(Debug, Default)]
pub(crate) struct Memory(Mutex<HashMap<Owner, OfOne>>);

/// What is remembered of one resource.
#[derive(Debug, Default)]
pub(crate) struct OfOne {
    /// By the object that somebody else keeps reverting.
    pub(crate) fighting: HashMap<String, Fighting>,
    failures: u32,
}

impl Memory {
    /// Works on what is remembered of a resource.
    pub(crate) fn of<T>(&self, owner: &Owner, work: impl FnOnce(&mut OfOne) -> T) -> T {
        work(self.all().entry(owner.clone()).or_default())
    }

    pub(crate) fn forget(&self, owner: &Owner) {
        self.all().remove(owner);
    }

    /// A panic while the lock is held leaves nothing half done that would matter.
    fn all(&self) -> MutexGuard<'_, HashMap<Owner, OfOne>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl OfOne {
    pub(crate) fn succeeded(&mut self) {
        self.failures = 0;
    }

    /// How long to wait before the next try, longer with each failure.
    pub(crate) fn failed(&mut self) -> Duration {
        let wait = FIRST_WAIT.saturating_mul(2u32.saturating_pow(self.failures)).min(LONGEST_WAIT);
        self.failures = self.failures.saturating_add(1);
        wait
    }
}

#[cfg(test)]
mod tests;
