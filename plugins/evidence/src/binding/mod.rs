//! The binding of a Keylime agent to a node of Kubernetes, by the token of the SPIRE agent's own
//! pod.
//!
//! [`Review::check`] takes the apiserver's word on a [`ServiceAccountToken`], by [`TokenRules`];
//! [`BoundToken::check`] compares what it is bound to with what is there now.

mod names;
mod refusal;
mod review;
mod token;

pub use names::{InvalidName, LabelKey, ObjectName, ServiceAccount, Uid};
pub use refusal::BindingRefusal;
pub use review::{BoundToken, Node, ObjectRef, Pod, ProvenNode, Review, TokenRules};
pub use token::{InvalidServiceAccountToken, ServiceAccountToken};
