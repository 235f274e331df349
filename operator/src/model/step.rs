//! One change of the cluster.

use serde_json::Value;

use crate::model::managed_fields::FieldOwners;
use crate::model::workload::WorkloadKey;

/// One change of the cluster.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Step {
    /// A ConfigMap of ours is written.
    Configure {
        /// Whole, as it is applied.
        object: Value,
        /// It was right before, and somebody changed it.
        correction: bool,
    },
    /// SPIRE's own ConfigMap gets our part in place.
    Edit { object: Value, correction: bool },
    /// A workload gets its overlay.
    Overlay { workload: WorkloadKey, object: Value, correction: bool },
    /// A DaemonSet's pods are no longer replaced but by us. By force: the apiserver's default seems
    /// to be theirs who wrote the rest.
    Hold { workload: WorkloadKey, object: Value },
    /// A workload gets back what it had.
    Withdraw { workload: WorkloadKey, object: Value },
    /// SPIRE's own ConfigMap gets back what it had.
    Restore {
        /// Entry by entry.
        object: Value,
        /// Set when nothing in it is ours any longer: who gets his entries back.
        release: Option<FieldOwners>,
    },
    /// A ConfigMap of ours goes.
    Delete { namespace: String, name: String, uid: String },
    /// A pod goes: one of an overlay that was withdrawn or replaced, which a StatefulSet would
    /// wait for forever, or one whose turn has come.
    DeletePod { namespace: String, name: String, uid: String },
}
