//! The evidence of an attestation: a node's statements about itself, those of Keylime's servers
//! about the node, and the verdict on both.
//!
//! Everything here is a pure function of its arguments: no IO, no clock, no async. Bytes that come
//! from outside are parsed into types that cannot be wrong, each with a size limit; whatever is in
//! doubt becomes a [`Refusal`].
//!
//! The way through the crate, in the order of an attestation:
//!
//! 1. [`message::Payload`] names the node ([`AgentId`]) and the PCR bank it will quote
//!    ([`HashAlg`]), and may hold the token of the SPIRE agent's pod ([`ServiceAccountToken`]).
//! 2. [`Registration`] (the registrar's record: AK, EK) and [`NodeState`] (the verifier's) are
//!    judged by [`judge_state`].
//! 3. [`Nonce`] travels in a [`message::Challenge`], the quote comes back in a
//!    [`message::Response`].
//! 4. [`Quote::parse`] and [`Quote::verify`] check it against the registered AK, without relying on
//!    a remote verdict.
//!    [`binding`] judges, beside it, which node of Kubernetes the SPIRE agent runs on.
//! 5. [`selector::selectors`] and [`AgentPathTemplate`] make the identity.

mod agent_id;
mod agent_path;
mod attestation_key;
pub mod binding;
mod code;
mod excerpt;
mod hash_alg;
pub mod message;
mod metadata;
mod name;
mod node;
mod nonce;
mod quote;
mod refusal;
pub mod selector;
mod tpm;
mod tpm_policy;
mod verdict;

pub use agent_id::{AgentId, InvalidAgentId};
pub use agent_path::{
    AgentPathTemplate, InvalidAgentPath, InvalidAgentPathTemplate, InvalidPluginName, check_plugin_name,
};
pub use attestation_key::{AttestationKey, EndorsementKey, InvalidAttestationKey, InvalidEndorsementKey};
pub use binding::{BindingRefusal, InvalidServiceAccountToken, ServiceAccountToken};
pub use code::Code;
pub use hash_alg::{HashAlg, InvalidHashAlg};
pub use metadata::{InvalidMetadataKey, Metadata, MetadataKey};
pub use node::{Attestation, Mode, NodeState, Registration};
pub use nonce::{InvalidNonce, Nonce, NonceError, NonceOfAnother, Purpose};
pub use quote::{InvalidQuote, Quote, QuotePart, Verified};
pub use refusal::Refusal;
pub use tpm::SignatureScheme;
pub use tpm_policy::tpm_policy_pcrs;
pub use verdict::{CLOCK_TOLERANCE, judge_state, judge_state_again};
