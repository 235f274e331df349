//! One GET to one server: bounded in time and size, and every failure told apart.

mod answer;
mod failure;
mod peer;
mod version;

pub(crate) use answer::Answer;
pub(crate) use failure::Failure;
pub(crate) use peer::{Ask, Peer, Scope, connect_timeout};
