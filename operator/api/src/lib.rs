//! The resources `KeylimeAttestor` and `AttestedNode` (`spire.keylime.dev/v1alpha1`): their fields,
//! their conditions with their reasons, and every name that the operator writes into a cluster.
//!
//! Types and words only: no client, no IO. The text of the fields is what `kubectl explain` shows,
//! and the schema, its defaults and its rules are what the apiserver enforces; `crds/` is generated
//! from here and compared in the tests. What the apiserver lets through is well formed, field by
//! field, and free of the contradictions that can be seen in the resource alone. Whether SPIRE and
//! Keylime agree with it, the operator finds out and reports in the conditions.

mod attestation;
mod attested_node;
mod attestor;
pub mod conditions;
mod duration;
mod enforcement;
mod keylime;
pub mod names;
pub mod node_reason;
mod nodes;
mod rollout;
mod schema;
mod share;
mod spire;
mod status;
mod verifiers;

pub use attestation::{Attestation, Binding};
pub use attested_node::{
    AttestedNode, AttestedNodeFields, AttestedNodeSpec, AttestedNodeStatus, MatchedBy, NodeBinding,
    NodeMarks, NodeState,
};
pub use attestor::{KeylimeAttestor, KeylimeAttestorSpec};
pub use duration::{Duration, InvalidDuration};
pub use enforcement::{Action, Enforcement};
pub use keylime::{AgentAddress, Keylime, KeylimeAgent, KeylimeAgentTls, KeylimeTls, Registrar};
pub use node_reason::NodeReason;
pub use nodes::{NodeSelector, Nodes};
pub use rollout::{Rollout, Unattestable};
pub use share::{InvalidShare, Percent, Share};
pub use spire::{
    AgentKind, AgentWorkload, Attestors, ConfigMapSource, ControllerManager, ControllerManagerMode, Mode,
    ServerKind, Spire, Workload,
};
pub use status::{
    BatchStatus, ConfigMapEntry, ControllerManagerStatus, EnforcementStatus, FailureCause, Format,
    KeylimeAttestorStatus, NodeNotAttested, NodesStatus, OwnedObject, RetryStatus, RolloutState,
    RolloutStatus, WorkloadStatus,
};
pub use verifiers::{NoVerifier, Verifier, Verifiers};
