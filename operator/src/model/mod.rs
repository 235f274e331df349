//! What several rooms speak of: workloads and their pods, what is asked for of them, the steps
//! towards it, and what stands in the way. No IO.

pub(crate) mod agents;
pub(crate) mod managed_fields;
pub(crate) mod node;
pub(crate) mod pod;
pub(crate) mod problem;
pub(crate) mod reported;
pub(crate) mod step;
pub(crate) mod target;
pub(crate) mod workload;
