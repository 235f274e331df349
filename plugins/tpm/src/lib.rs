//! Quotes of a node's TPM, by the attestation key (AK) that Keylime's agent made and keeps in its
//! `agent_data.json`, while that agent goes on.
//!
//! [`Quoter`] loads the AK once, below the endorsement key (EK) of the same algorithm, and again
//! when the file changes. A quote is of PCR 0 alone, and is verified before it is handed out: none
//! is ever of another key, for another nonce, or of other values than those beside it.
//!
//! The only place that opens a TPM. All calls block, for seconds where a TPM of hardware has to
//! make an RSA key.

mod address;
mod agent_data;
mod command;
mod error;
mod key;
mod pcrs;
mod quoter;

pub use address::{Address, InvalidAddress};
pub use agent_data::{AgentData, DataError};
pub use error::Error;
pub use quoter::Quoter;
