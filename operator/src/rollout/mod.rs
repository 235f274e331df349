//! The steps that are due, from the desired state and the cluster's. Pure.

pub(crate) mod batches;
pub(crate) mod fighting;
pub(crate) mod gate;
pub(crate) mod plan;
pub(crate) mod progress;
pub(crate) mod retry;
pub(crate) mod strategy;
pub(crate) mod withdrawal;
