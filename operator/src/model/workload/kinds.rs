//! The kinds of workload, and their common parts.

use k8s_openapi::api::apps::v1::{DaemonSet, Deployment, StatefulSet};
use k8s_openapi::api::core::v1::PodTemplateSpec;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use kube::api::ApiResource;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::PodCounts;

/// Kinds of workload that SPIRE runs in, all of apps/v1. In the order in which they are withdrawn:
/// agents come first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Kind {
    DaemonSet,
    Deployment,
    StatefulSet,
}

impl Kind {
    pub(crate) const ALL: [Self; 3] = [Self::DaemonSet, Self::Deployment, Self::StatefulSet];

    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::DaemonSet => "DaemonSet",
            Self::Deployment => "Deployment",
            Self::StatefulSet => "StatefulSet",
        }
    }

    /// The API of this kind.
    pub(crate) fn resource(self) -> ApiResource {
        match self {
            Self::DaemonSet => ApiResource::erase::<DaemonSet>(&()),
            Self::Deployment => ApiResource::erase::<Deployment>(&()),
            Self::StatefulSet => ApiResource::erase::<StatefulSet>(&()),
        }
    }
}

/// The common parts of the kinds.
pub(super) struct Parts {
    pub(super) template: PodTemplateSpec,
    pub(super) selector: LabelSelector,
    pub(super) pods: PodCounts,
    pub(super) held: Option<&'static str>,
}

pub(super) fn read<K: DeserializeOwned>(live: &Value) -> Result<K, serde_json::Error> {
    K::deserialize(live)
}

pub(super) fn daemon_set(object: DaemonSet) -> Parts {
    let spec = object.spec.unwrap_or_default();
    let status = object.status.unwrap_or_default();
    let strategy = spec.update_strategy.as_ref().and_then(|strategy| strategy.type_.as_deref());
    let current = status.observed_generation >= object.metadata.generation;
    let counts = Counts {
        current,
        desired: status.desired_number_scheduled,
        all: status.current_number_scheduled,
        updated: status.updated_number_scheduled.unwrap_or(0),
        available: status.number_available.unwrap_or(0),
    };
    Parts {
        pods: counts.pods(),
        held: (strategy == Some("OnDelete")).then_some("its update strategy is OnDelete"),
        template: spec.template,
        selector: spec.selector,
    }
}

pub(super) fn deployment(object: Deployment) -> Parts {
    let spec = object.spec.unwrap_or_default();
    let status = object.status.unwrap_or_default();
    let counts = Counts {
        current: status.observed_generation >= object.metadata.generation,
        desired: spec.replicas.unwrap_or(1),
        all: status.replicas.unwrap_or(0),
        updated: status.updated_replicas.unwrap_or(0),
        available: status.available_replicas.unwrap_or(0),
    };
    Parts {
        pods: counts.pods(),
        held: (spec.paused == Some(true)).then_some("it is paused"),
        template: spec.template,
        selector: spec.selector,
    }
}

pub(super) fn stateful_set(object: StatefulSet) -> Parts {
    let spec = object.spec.unwrap_or_default();
    let status = object.status.unwrap_or_default();
    let one_revision = status.current_revision.is_some() && status.current_revision == status.update_revision;
    let strategy = spec.update_strategy.unwrap_or_default();
    let partition = strategy.rolling_update.and_then(|rolling| rolling.partition).unwrap_or(0);
    let counts = Counts {
        current: status.observed_generation >= object.metadata.generation,
        desired: spec.replicas.unwrap_or(1),
        all: status.replicas,
        // After a rollout the controller counts all pods as current ones, not as updated ones.
        updated: if one_revision { status.replicas } else { status.updated_replicas.unwrap_or(0) },
        available: status.available_replicas.unwrap_or(0),
    };
    Parts {
        pods: counts.pods(),
        held: match strategy.type_.as_deref() {
            Some("OnDelete") => Some("its update strategy is OnDelete"),
            _ if partition > 0 => Some("its rolling update has a partition"),
            _ => None,
        },
        template: spec.template,
        selector: spec.selector,
    }
}

/// The counts of a status.
struct Counts {
    /// True once the controller has seen the present generation; before, the other counts are about
    /// an older template.
    current: bool,
    desired: i32,
    all: i32,
    updated: i32,
    available: i32,
}

impl Counts {
    fn pods(self) -> PodCounts {
        let Self { current, desired, all, available, .. } = self;
        if !current {
            return PodCounts { desired, available, ..PodCounts::default() };
        }
        let updated = self.updated.clamp(0, desired.max(0));
        let older = (all - self.updated).max(0);
        PodCounts {
            desired,
            updated,
            available,
            missing: (desired - all).max(0),
            ready: (available - older).clamp(0, updated),
            complete: updated == desired && older == 0 && available >= desired,
        }
    }
}
