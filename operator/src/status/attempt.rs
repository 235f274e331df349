//! What one reconcile came to, for its status to tell.

use std::collections::BTreeMap;
use std::slice;

use keylime_attestor_api::RolloutStatus;

use crate::apply::Applied;
use crate::gather::Gathered;
use crate::model::problem::Problem;
use crate::model::target::Desired;
use crate::model::workload::WorkloadKey;
use crate::rollout::gate::Waits;

/// How far a reconcile came.
pub(crate) enum Attempt {
    /// The apiserver refused to be asked.
    Refused(Problem),
    /// The resource, or what it names, cannot be used as it is. At least one problem.
    Invalid { gathered: Gathered, problems: Vec<Problem> },
    /// The steps that were due were taken.
    Applied {
        gathered: Gathered,
        desired: Box<Desired>,
        applied: Applied,
        /// Why steps were not taken, the first to be mended first.
        problems: Vec<Problem>,
        /// What a pod says that does not become ready, when it was asked now.
        diagnosis: Option<String>,
    },
    /// The resource is being deleted.
    Withdrawing {
        /// Absent when the apiserver refused to be asked.
        gathered: Option<Gathered>,
        applied: Applied,
        hindrance: Option<Hindrance>,
    },
}

/// Why a withdrawal makes no progress.
pub(crate) struct Hindrance {
    /// In words; absent where they were said before.
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

    pub(super) fn gathered(&self) -> Option<&Gathered> {
        match self {
            Self::Refused(_) => None,
            Self::Invalid { gathered, .. } | Self::Applied { gathered, .. } => Some(gathered),
            Self::Withdrawing { gathered, .. } => gathered.as_ref(),
        }
    }

    /// What should be; known only where nothing stands in the way of it.
    pub(super) fn desired(&self) -> Option<&Desired> {
        match self {
            Self::Applied { desired, .. } => Some(desired),
            Self::Refused(_) | Self::Invalid { .. } | Self::Withdrawing { .. } => None,
        }
    }

    /// The rollouts as they are now.
    pub(super) fn rollouts(&self) -> &BTreeMap<WorkloadKey, RolloutStatus> {
        static NONE: BTreeMap<WorkloadKey, RolloutStatus> = BTreeMap::new();
        self.applied().map_or(&NONE, |applied| &applied.rollouts)
    }

    pub(super) fn waits_for_server(&self) -> bool {
        self.applied().is_some_and(|applied| applied.waits_for_server)
    }

    /// Why the agents of a workload wait for Keylime, if they do.
    pub(super) fn waits_for_keylime(&self, key: &WorkloadKey) -> Option<&Waits> {
        self.applied()?.waits_for_keylime.get(key)
    }

    /// Why pods do not become ready or go, where that was found out now.
    pub(super) fn diagnosis(&self) -> Option<&str> {
        match self {
            Self::Applied { diagnosis, .. } => diagnosis.as_deref(),
            Self::Withdrawing { hindrance, .. } => hindrance.as_ref()?.diagnosis.as_deref(),
            Self::Refused(_) | Self::Invalid { .. } => None,
        }
    }

    /// Whether a withdrawal makes no progress.
    pub(super) fn is_stuck(&self) -> bool {
        matches!(self, Self::Withdrawing { hindrance: Some(_), .. })
    }

    /// Whether nobody can ask Keylime: there is no usable Secret, or it may not be read.
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
