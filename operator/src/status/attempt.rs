//! The result of a reconcile, from which its status is made.

use std::collections::BTreeMap;
use std::slice;

use keylime_attestor_api::RolloutStatus;

use crate::apply::Applied;
use crate::gather::Gathered;
use crate::model::problem::Problem;
use crate::model::target::Desired;
use crate::model::workload::WorkloadKey;
use crate::rollout::gate::Waits;

/// The result of a reconcile.
pub(crate) enum Attempt {
    /// The apiserver refuses a request to read.
    Refused(Problem),
    /// The resource, or a workload that it names, cannot be used as it is. At least one problem.
    Invalid { gathered: Gathered, problems: Vec<Problem> },
    /// The steps that were due have been applied.
    Applied {
        gathered: Gathered,
        desired: Box<Desired>,
        applied: Applied,
        /// The reasons why steps failed, the first to be mended first.
        problems: Vec<Problem>,
        /// The message of a pod that does not become ready, where it was read now.
        diagnosis: Option<String>,
    },
    /// The resource is being deleted.
    Withdrawing {
        /// [`None`] when the apiserver refuses a request to read.
        gathered: Option<Gathered>,
        applied: Applied,
        hindrance: Option<Hindrance>,
    },
}

/// The reason why a withdrawal makes no progress.
pub(crate) struct Hindrance {
    /// The pods' message; [`None`] where the status has it already.
    pub(crate) diagnosis: Option<String>,
}

impl Attempt {
    pub(crate) fn is_withdrawal(&self) -> bool {
        matches!(self, Self::Withdrawing { .. })
    }

    pub(crate) fn problems(&self) -> &[Problem] {
        match self {
            Self::Refused(problem) => slice::from_ref(problem),
            Self::Invalid { problems, .. } | Self::Applied { problems, .. } => problems,
            Self::Withdrawing { .. } => &[],
        }
    }

    pub(crate) fn applied(&self) -> Option<&Applied> {
        match self {
            Self::Applied { applied, .. } | Self::Withdrawing { applied, .. } => Some(applied),
            Self::Refused(_) | Self::Invalid { .. } => None,
        }
    }

    pub(crate) fn gathered(&self) -> Option<&Gathered> {
        match self {
            Self::Refused(_) => None,
            Self::Invalid { gathered, .. } | Self::Applied { gathered, .. } => Some(gathered),
            Self::Withdrawing { gathered, .. } => gathered.as_ref(),
        }
    }

    /// The desired state; [`None`] where problems stand in its way.
    pub(super) fn desired(&self) -> Option<&Desired> {
        match self {
            Self::Applied { desired, .. } => Some(desired),
            Self::Refused(_) | Self::Invalid { .. } | Self::Withdrawing { .. } => None,
        }
    }

    /// The rollouts of now.
    pub(super) fn rollouts(&self) -> &BTreeMap<WorkloadKey, RolloutStatus> {
        static NONE: BTreeMap<WorkloadKey, RolloutStatus> = BTreeMap::new();
        self.applied().map_or(&NONE, |applied| &applied.rollouts)
    }

    pub(super) fn waits_for_server(&self) -> bool {
        self.applied().is_some_and(|applied| applied.waits_for_server)
    }

    /// The reason why the agents of a workload wait, if they do.
    pub(super) fn waits(&self, key: &WorkloadKey) -> Option<&Waits> {
        self.applied()?.waits.get(key)
    }

    /// The message of pods that do not become ready or do not end, where it was read now.
    pub(super) fn diagnosis(&self) -> Option<&str> {
        match self {
            Self::Applied { diagnosis, .. } => diagnosis.as_deref(),
            Self::Withdrawing { hindrance, .. } => hindrance.as_ref()?.diagnosis.as_deref(),
            Self::Refused(_) | Self::Invalid { .. } => None,
        }
    }

    /// True for a withdrawal that makes no progress.
    pub(super) fn is_stuck(&self) -> bool {
        matches!(self, Self::Withdrawing { hindrance: Some(_), .. })
    }

    /// True where Keylime cannot be asked: there is no usable Secret, or it may not be read.
    pub(crate) fn lacks_keylime_client(&self) -> bool {
        match self {
            Self::Refused(_) => true,
            Self::Invalid { gathered, .. } | Self::Applied { gathered, .. } => {
                gathered.keylime_client.is_none()
            }
            Self::Withdrawing { .. } => false,
        }
    }
}
