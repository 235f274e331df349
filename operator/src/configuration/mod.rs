//! SPIRE's configuration as text: the derived one, from that of the workload. Pure.

pub(crate) mod derived;
pub(crate) mod original;
pub(crate) mod parent;
pub(crate) mod plugin_data;
mod socket;
