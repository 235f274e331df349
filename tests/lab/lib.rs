//! The lab: what the tests run against. The real SPIRE, Keylime and software TPMs as processes, and
//! stand-ins that can be made to misbehave.

pub mod admission;
pub mod agent_data;
pub mod api;
pub mod apiserver;
pub mod cluster;
pub mod damage;
pub mod dns;
pub mod documents;
pub mod fake_apiserver;
pub mod fake_keylime;
pub mod fake_spire;
pub mod host;
pub mod image;
pub mod janitor;
pub mod keylime;
pub mod plugins;
pub mod ports;
pub mod process;
pub mod programs;
pub mod quoter;
pub mod released;
pub mod shared;
pub mod site;
pub mod soft_ak;
pub mod spire;
pub mod swtpm;
pub mod tpm_device;
pub mod tpm_proxy;
pub mod wait;
