//! Keylime's `agent_data.json`: the AK of its agent.

mod error;
mod file;

use std::fmt;

use evidence::{AgentId, AttestationKey, HashAlg};
use serde::Deserialize;
use serde_json::error::Category;
use tss_esapi::structures::{Private, Public};
use tss_esapi::traits::UnMarshall as _;

pub use error::DataError;
pub(crate) use file::DataFile;

/// Largest file in bytes: a list of integers, one a line. Real ones have about 10 KiB.
pub(crate) const MAX_LEN: usize = 64 * 1024;

/// The AK of a Keylime agent, which only its own TPM can load.
#[derive(Clone)]
pub struct AgentData {
    ak: AttestationKey,
    public: Public,
    private: Private,
    bank: HashAlg,
    ek_hash: Option<AgentId>,
}

/// The members that count. Others may be there.
#[derive(Deserialize)]
struct Wire {
    ak_hash_alg: String,
    ak_public: Vec<u8>,
    ak_private: Vec<u8>,
    #[serde(default)]
    ek_hash: Vec<u8>,
}

impl AgentData {
    /// Reads the JSON. The AK has to be one whose quotes the server plugin takes.
    ///
    /// # Errors
    /// [`DataError`] with the rule that the bytes break. Never repeats a part of the key.
    pub fn parse(json: &[u8]) -> Result<Self, DataError> {
        if json.len() > MAX_LEN {
            return Err(DataError::TooLarge { limit: MAX_LEN });
        }
        let wire: Wire = serde_json::from_slice(json).map_err(|error| match error.classify() {
            // It is emptied, then written from its start: what is missing is the end.
            Category::Eof => DataError::HalfWritten,
            // Without serde's text, which repeats values.
            _ => DataError::Malformed { line: error.line(), column: error.column() },
        })?;
        let bank = wire.ak_hash_alg.to_ascii_lowercase().parse()?;
        let ak = AttestationKey::from_tpm2b_public(&tpm2b(&wire.ak_public)?)?;
        let public =
            Public::unmarshall(&wire.ak_public).map_err(|_| DataError::Part { part: "ak_public" })?;
        let private = Private::try_from(wire.ak_private)
            .map_err(|_too_large| DataError::Part { part: "ak_private" })?;
        if private.is_empty() {
            return Err(DataError::Part { part: "ak_private" });
        }
        Ok(Self { ak, public, private, bank, ek_hash: ek_hash(&wire.ek_hash) })
    }

    /// The PCR bank that Keylime's agent quotes, and that is quoted here.
    pub fn bank(&self) -> HashAlg {
        self.bank
    }

    /// The agent's id where Keylime's agent is configured with `uuid = "hash_ek"`. [`None`] where
    /// the file does not tell.
    pub fn ek_hash(&self) -> Option<&AgentId> {
        self.ek_hash.as_ref()
    }

    /// The public part of the AK.
    pub fn ak(&self) -> &AttestationKey {
        &self.ak
    }

    pub(crate) fn public(&self) -> &Public {
        &self.public
    }

    pub(crate) fn private(&self) -> &Private {
        &self.private
    }
}

/// The `TPM2B_PUBLIC` of a `TPMT_PUBLIC`: with its size in front.
fn tpm2b(public: &[u8]) -> Result<Vec<u8>, DataError> {
    let length = u16::try_from(public.len()).map_err(|_too_large| DataError::Part { part: "ak_public" })?;
    Ok([&length.to_be_bytes(), public].concat())
}

/// The SHA-256 of the EK, in hex, as Keylime's agent writes it: as a list of ASCII.
fn ek_hash(bytes: &[u8]) -> Option<AgentId> {
    let text = std::str::from_utf8(bytes).ok()?;
    let is_hash = text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    AgentId::new(text).ok().filter(|_| is_hash)
}

impl fmt::Debug for AgentData {
    /// Leaves the private part out.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("AgentData").field("ak", &self.ak).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
