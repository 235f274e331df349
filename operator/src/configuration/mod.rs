//! SPIRE's configuration as text: how ours is made from what the workload has. Pure.

pub(crate) mod derived;
pub(crate) mod original;
pub(crate) mod parent;
pub(crate) mod plugin_data;
mod socket;
