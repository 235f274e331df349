//! The memory between reconciles. Its loss costs a few requests and nothing else: all state that
//! counts is in the cluster.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::model::target::Owner;
use crate::rollout::fighting::Fighting;

/// The wait after the first failure of a resource, and the longest.
const FIRST_WAIT: Duration = Duration::from_secs(1);
const LONGEST_WAIT: Duration = Duration::from_secs(60);

/// The memory that all reconciles share.
#[derive(Debug, Default)]
pub(crate) struct Memory(Mutex<HashMap<Owner, OfOne>>);

/// The memory of one resource.
#[derive(Debug, Default)]
pub(crate) struct OfOne {
    /// The corrections that somebody else keeps reverting, by object.
    pub(crate) fighting: HashMap<String, Fighting>,
    failures: u32,
}

impl Memory {
    /// Runs `work` on the memory of a resource.
    pub(crate) fn of<T>(&self, owner: &Owner, work: impl FnOnce(&mut OfOne) -> T) -> T {
        work(self.all().entry(owner.clone()).or_default())
    }

    pub(crate) fn forget(&self, owner: &Owner) {
        self.all().remove(owner);
    }

    /// The memory of all resources, also after a panic under the lock, which leaves nothing half
    /// done that would matter.
    fn all(&self) -> MutexGuard<'_, HashMap<Owner, OfOne>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl OfOne {
    pub(crate) fn succeeded(&mut self) {
        self.failures = 0;
    }

    /// Counts a failure; the wait before the next try, longer with each.
    pub(crate) fn failed(&mut self) -> Duration {
        let wait = FIRST_WAIT.saturating_mul(2u32.saturating_pow(self.failures)).min(LONGEST_WAIT);
        self.failures = self.failures.saturating_add(1);
        wait
    }
}

#[cfg(test)]
mod tests;
