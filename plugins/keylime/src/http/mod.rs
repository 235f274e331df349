//! A GET to one server: bounded in time and size, with every failure told apart.

mod answer;
mod body;
mod envelope;
mod failure;
mod peer;
mod stream;
mod version;

pub(crate) use answer::Answer;
pub(crate) use body::read_body;
pub(crate) use failure::{Failure, Situation, Via};
pub(crate) use peer::{Ask, Peer, Scope, connect_timeout};
