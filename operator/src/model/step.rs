//! A change of the cluster.

use serde_json::Value;

use crate::model::managed_fields::FieldOwners;
use crate::model::workload::WorkloadKey;

/// A change of the cluster.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Step {
    /// Writes a ConfigMap of ours.
    Configure {
        /// The whole object, as it is applied.
        object: Value,
        /// True where it was right before, and somebody changed it.
        correction: bool,
    },
    /// Edits SPIRE's own ConfigMap in place.
    Edit { object: Value, correction: bool },
    /// Puts its overlay onto a workload.
    Overlay { workload: WorkloadKey, object: Value, correction: bool },
    /// Leaves the replacing of a DaemonSet's pods to us. By force: the apiserver's default seems to
    /// be owned by the author of the rest.
    Hold { workload: WorkloadKey, object: Value },
    /// Gives a workload back what it had.
    Withdraw { workload: WorkloadKey, object: Value },
    /// Gives SPIRE's own ConfigMap back what it had.
    Restore {
        /// The entries that are put back.
        object: Value,
        /// Set when nothing in it is ours any longer: the owners that get their entries back.
        release: Option<FieldOwners>,
    },
    /// Deletes a ConfigMap of ours.
    Delete { namespace: String, name: String, uid: String },
    /// Deletes a pod: one of an overlay that was withdrawn or replaced, for which a StatefulSet
    /// would wait for ever, or one whose turn has come.
    DeletePod { namespace: String, name: String, uid: String },
}
