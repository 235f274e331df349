//! The `KeylimeAttestor` resource (`spire.keylime.dev/v1alpha1`): its fields, its conditions with their reasons, and every name that the
//! operator writes into a cluster.
//!
//! Types and words only: no client, no IO. The text of the fields is what `kubectl explain` shows, and the schema, its defaults and its
//! rules are what the apiserver enforces; `crds/` is generated from here and compared in the tests. What the apiserver lets through is
//! well formed, field by field, and free of the contradictions that can be seen in the resource alone. Whether SPIRE and Keylime agree
//! with it, the operator finds out and reports in the conditions.

mod attestation;
mod attestor;
pub mod conditions;
mod duration;
mod keylime;
pub mod names;
mod rollout;
mod schema;
mod spire;
mod status;

pub use attestation::Attestation;
pub use attestor::{KeylimeAttestor, KeylimeAttestorSpec};
pub use duration::{Duration, InvalidDuration};
pub use keylime::{Keylime, KeylimeAgent, KeylimeAgentTls, KeylimeTls, Registrar, Verifier};
pub use rollout::{Plugin, Rollout};
pub use spire::{AgentKind, ConfigMapSource, Mode, ServerKind, Spire, Workload};
pub use status::{
    ConfigMapEntry, Format, KeylimeAttestorStatus, NodeCounts, RolloutState, RolloutStatus, WorkloadStatus,
};
