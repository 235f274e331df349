//! The plugins as processes, with SPIRE and Keylime played by fakes that can be made to misbehave.
//! Needs nothing but the built programs.

mod agent_plugin;
mod binding;
mod configuration;
mod documents;
mod enforcement;
mod key_secrecy;
mod keylime_faults;
mod keys;
mod load;
mod messages;
mod node_states;
