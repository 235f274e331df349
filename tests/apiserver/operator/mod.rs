//! The operator against a real apiserver and nothing else: what it writes, in which order, what it
//! leaves alone, and what it puts back. No pod runs; the tests say for the workloads' controllers
//! how far the pods are.

#![expect(clippy::indexing_slicing, reason = "what the tests share is test code too")]

mod account;
mod admission;
mod aliases;
mod architectures;
mod batches;
mod binding;
mod check;
mod config_only;
mod controller_manager;
mod credentials;
mod drift;
mod elsewhere;
mod exclusive;
mod failures;
mod in_place;
mod kubelets;
mod life;
mod node_restriction;
mod nodes;
mod one_config_map;
mod overlay;
mod ownership;
mod pod_security;
mod pods;
mod policies;
mod push;
mod refused;
mod report_secret;
mod reports;
mod retry;
mod secrets;
mod site;
mod suspend;
mod unattestable;

use lab::spire::objects as spire;
