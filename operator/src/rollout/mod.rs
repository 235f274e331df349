//! Which steps are due, from what is asked for and what the cluster has. Pure.

pub(crate) mod batches;
pub(crate) mod fighting;
pub(crate) mod gate;
pub(crate) mod plan;
pub(crate) mod progress;
pub(crate) mod retry;
pub(crate) mod strategy;
pub(crate) mod withdrawal;
