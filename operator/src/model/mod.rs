//! The types of several rooms: workloads and their pods, their desired state, the steps towards it,
//! and the problems in its way. No IO.

pub(crate) mod agents;
pub(crate) mod alias;
pub(crate) mod binding;
pub(crate) mod builds;
pub(crate) mod managed_fields;
pub(crate) mod node;
pub(crate) mod owned;
pub(crate) mod pod;
pub(crate) mod problem;
pub(crate) mod reported;
pub(crate) mod step;
pub(crate) mod target;
pub(crate) mod workload;
