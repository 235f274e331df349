//! The node of Kubernetes that a SPIRE agent runs on, proven by the token of its own pod.
//!
//! The agent's side reads its token from the file that the kubelet writes ([`TokenFile`]); the
//! server's side has the apiserver review it and asks for pod and node ([`Apiserver`]). Checked by
//! `evidence::binding`.

mod answer;
mod apiserver;
mod error;
mod token_file;

pub use apiserver::{Apiserver, ApiserverConfig, Problem, Setting};
pub use error::{Error, Right};
pub use token_file::{TokenFile, TokenFileError};
