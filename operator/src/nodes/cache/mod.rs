//! Watches objects of one kind and keeps the members of each that are used: at thousands of nodes
//! the objects themselves would fill the memory.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::sync::{Arc, PoisonError, RwLock, RwLockWriteGuard};

use futures_util::StreamExt as _;
use kube::runtime::WatchStreamExt as _;
use kube::runtime::watcher::{self, Event, watcher};
use kube::{Api, Resource, ResourceExt as _};
use serde::de::DeserializeOwned;
use tokio::task::JoinHandle;
use tracing::debug;

/// The facts about the objects, by name. The watch ends with the cache.
pub(crate) struct Cache<F> {
    seen: Arc<RwLock<Seen<F>>>,
    task: JoinHandle<()>,
}

/// The reason why a cache has no objects.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum NotCached {
    /// The first list has not arrived.
    #[error("failed to list them so far: the apiserver has not answered yet")]
    NotYet,
    /// The first list failed.
    #[error("failed to list them: {0}")]
    Failed(String),
    /// The cluster has no such kind.
    #[error("failed to list them: the cluster has no such kind")]
    NoKind,
    /// The operator has no right to list.
    #[error("failed to list them: the operator has no right to: {0}; the chart's ClusterRole gives it")]
    Forbidden(String),
}

struct Seen<F> {
    objects: BTreeMap<String, Arc<F>>,
    /// The objects of a list that is under way, which replaces the others when it is complete.
    listed: BTreeMap<String, Arc<F>>,
    missing: Option<NotCached>,
    /// The number of changes to the facts.
    changes: u64,
}

impl<F: PartialEq + Send + Sync + 'static> Cache<F> {
    /// Starts the watch. `read` takes from an object the facts about it.
    pub(crate) fn start<K>(api: Api<K>, config: watcher::Config, read: fn(K) -> F) -> Self
    where
        K: Resource + Clone + DeserializeOwned + Debug + Send + 'static,
    {
        let seen = Arc::new(RwLock::new(Seen {
            objects: BTreeMap::new(),
            listed: BTreeMap::new(),
            missing: Some(NotCached::NotYet),
            changes: 0,
        }));
        let filled = Arc::clone(&seen);
        let task = tokio::spawn(async move {
            let mut events = watcher(api, config).default_backoff().boxed();
            while let Some(event) = events.next().await {
                lock(&filled).take(event, read);
            }
        });
        Self { seen, task }
    }

    /// The number of changes to the facts.
    pub(crate) fn changes(&self) -> u64 {
        self.seen.read().unwrap_or_else(PoisonError::into_inner).changes
    }

    /// The facts about all objects, by name.
    ///
    /// # Errors
    /// [`NotCached`] until they have been listed once.
    pub(crate) fn all(&self) -> Result<BTreeMap<String, Arc<F>>, NotCached> {
        let seen = self.seen.read().unwrap_or_else(PoisonError::into_inner);
        match &seen.missing {
            None => Ok(seen.objects.clone()),
            Some(missing) => Err(missing.clone()),
        }
    }
}

impl<F> Drop for Cache<F> {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn lock<F>(seen: &RwLock<Seen<F>>) -> RwLockWriteGuard<'_, Seen<F>> {
    seen.write().unwrap_or_else(PoisonError::into_inner)
}

impl<F: PartialEq> Seen<F> {
    fn take<K: Resource>(&mut self, event: Result<Event<K>, watcher::Error>, read: fn(K) -> F) {
        match event {
            Ok(Event::Apply(object)) => {
                let (name, new) = (object.name_any(), Arc::new(read(object)));
                let old = self.objects.insert(name, Arc::clone(&new));
                self.count(old != Some(new));
            }
            Ok(Event::Delete(object)) => {
                let old = self.objects.remove(&object.name_any());
                self.count(old.is_some());
            }
            Ok(Event::Init) => self.listed = BTreeMap::new(),
            Ok(Event::InitApply(object)) => {
                drop(self.listed.insert(object.name_any(), Arc::new(read(object))))
            }
            Ok(Event::InitDone) => {
                let old = std::mem::replace(&mut self.objects, std::mem::take(&mut self.listed));
                let changed = self.missing.take().is_some() || old != self.objects;
                self.count(changed);
            }
            Err(error) => {
                debug!(%error, "a watch begins anew");
                // The objects from before are still the best that there is.
                if self.missing.is_some() {
                    self.missing = Some(why(&error));
                }
            }
        }
    }

    fn count(&mut self, changed: bool) {
        self.changes = self.changes.wrapping_add(u64::from(changed));
    }
}

/// Why the objects could not be listed.
pub(super) fn why(error: &watcher::Error) -> NotCached {
    match error {
        watcher::Error::InitialListFailed(kube::Error::Api(status)) if status.code == 403 => {
            NotCached::Forbidden(status.message.clone())
        }
        watcher::Error::InitialListFailed(kube::Error::Api(status)) if status.code == 404 => {
            NotCached::NoKind
        }
        other => NotCached::Failed(other.to_string()),
    }
}

#[cfg(test)]
mod tests;
