//! The process: command line, log, Lease, HTTP ports, and the tasks that run as long as it does.

mod apiserver;
pub(crate) mod cli;
pub(crate) mod http;
pub(crate) mod lease;
pub(crate) mod log;
mod node_restriction;
pub(crate) mod own_plugins;
pub(crate) mod probe;
pub(crate) mod run;
