//! The messages between the two plugins: JSON as Go's `encoding/json` makes it of structs of byte
//! strings.
//!
//! The members and their meaning are those of the Go plugin (keylime/spire-keylime-plugin), so that
//! old and new plugins work together while they are rolled out: byte strings are base64 of the
//! standard alphabet with padding; absent, `null` and empty mean the same. Members that are not
//! known are ignored, so that messages can grow; one that is known may stand only once. Sizes are
//! checked before anything is parsed.

mod error;

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

pub use error::{MessageError, MessageProblem};

use crate::{AgentId, HashAlg, Nonce, ServiceAccountToken};

/// The first message, agent to server: the node that attests, its PCR bank, and the token of the
/// SPIRE agent's pod. `{"AgentID":…,"HashAlg":…}`, and `"ServiceAccountToken":…` where there is
/// one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Payload {
    /// The id under which Keylime knows the node.
    pub agent_id: AgentId,
    /// The PCR bank of the quote to come. `None` where the Keylime agent does not tell: the server
    /// then takes the one that the verifier knows, see [`NodeState::bank`](crate::NodeState::bank).
    pub hash_alg: Option<HashAlg>,
    /// The token of the SPIRE agent's own pod. `None` outside of Kubernetes, and from plugins that
    /// know of none.
    pub service_account_token: Option<ServiceAccountToken>,
}

/// The second message, server to agent: the nonce to quote. `{"Nonce":…}`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Challenge {
    /// The fresh nonce.
    pub nonce: Nonce,
}

/// The third message, agent to server: the quote, as the Keylime agent gave it. `{"TPMQuote":…}`
#[derive(Clone, PartialEq, Eq)]
pub struct Response {
    /// The quote's text, to be parsed by [`Quote::parse`](crate::Quote::parse). Not shown by
    /// `Debug`.
    pub quote: String,
}

impl Payload {
    /// Largest payload in bytes.
    pub const MAX_LEN: usize = 4 * 1024;

    /// Reads a payload.
    ///
    /// # Errors
    /// [`MessageError`] with the limit or rule that the bytes break.
    pub fn from_json(json: &[u8]) -> Result<Self, MessageError> {
        let read = || -> Result<Self, MessageProblem> {
            let wire: PayloadWire = object(json, Self::MAX_LEN)?;
            let agent_id = text("AgentID", wire.agent_id)?.ok_or(MessageProblem::Missing("AgentID"))?;
            let hash_alg = text("HashAlg", wire.hash_alg)?;
            let token = text("ServiceAccountToken", wire.service_account_token)?;
            Ok(Self {
                agent_id: AgentId::new(&agent_id)?,
                hash_alg: hash_alg.as_deref().map(str::parse).transpose()?,
                service_account_token: token.as_deref().map(str::parse).transpose()?,
            })
        };
        read().map_err(|problem| MessageError { message: "payload", problem })
    }

    /// Writes the payload.
    pub fn to_json(&self) -> Vec<u8> {
        let hash_alg = self.hash_alg.map_or("", HashAlg::as_str);
        json(&PayloadWire {
            agent_id: base64(self.agent_id.as_str()),
            hash_alg: base64(hash_alg),
            service_account_token: self
                .service_account_token
                .as_ref()
                .and_then(|token| base64(token.as_str())),
        })
    }
}

impl Challenge {
    /// Largest challenge in bytes.
    pub const MAX_LEN: usize = 4 * 1024;

    /// Reads a challenge.
    ///
    /// # Errors
    /// [`MessageError`] with the limit or rule that the bytes break.
    pub fn from_json(json: &[u8]) -> Result<Self, MessageError> {
        let read = || -> Result<Self, MessageProblem> {
            let wire: ChallengeWire = object(json, Self::MAX_LEN)?;
            let nonce = text("Nonce", wire.nonce)?.ok_or(MessageProblem::Missing("Nonce"))?;
            Ok(Self { nonce: Nonce::parse(nonce.as_bytes())? })
        };
        read().map_err(|problem| MessageError { message: "challenge", problem })
    }

    /// Writes the challenge.
    pub fn to_json(&self) -> Vec<u8> {
        json(&ChallengeWire { nonce: base64(self.nonce.as_str()) })
    }
}

impl Response {
    /// Largest response in bytes.
    pub const MAX_LEN: usize = 64 * 1024;

    /// Reads a response.
    ///
    /// # Errors
    /// [`MessageError`] with the limit or rule that the bytes break.
    pub fn from_json(json: &[u8]) -> Result<Self, MessageError> {
        let read = || -> Result<Self, MessageProblem> {
            let wire: ResponseWire = object(json, Self::MAX_LEN)?;
            let quote = text("TPMQuote", wire.quote)?.ok_or(MessageProblem::Missing("TPMQuote"))?;
            Ok(Self { quote })
        };
        read().map_err(|problem| MessageError { message: "response", problem })
    }

    /// Writes the response.
    pub fn to_json(&self) -> Vec<u8> {
        json(&ResponseWire { quote: base64(&self.quote) })
    }
}

impl fmt::Debug for Response {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Response").finish_non_exhaustive()
    }
}

#[derive(Deserialize, Serialize)]
struct PayloadWire {
    #[serde(rename = "AgentID", default)]
    agent_id: Option<String>,
    #[serde(rename = "HashAlg", default)]
    hash_alg: Option<String>,
    #[serde(rename = "ServiceAccountToken", default, skip_serializing_if = "Option::is_none")]
    service_account_token: Option<String>,
}

#[derive(Deserialize, Serialize)]
struct ChallengeWire {
    #[serde(rename = "Nonce", default)]
    nonce: Option<String>,
}

#[derive(Deserialize, Serialize)]
struct ResponseWire {
    #[serde(rename = "TPMQuote", default)]
    quote: Option<String>,
}

/// Reads one JSON object of at most `limit` bytes.
fn object<T: DeserializeOwned>(json: &[u8], limit: usize) -> Result<T, MessageProblem> {
    if json.len() > limit {
        return Err(MessageProblem::TooLarge { length: json.len(), limit });
    }
    // serde would also read an array as a struct.
    if json.trim_ascii_start().first() != Some(&b'{') {
        return Err(MessageProblem::Json("it does not start with {".to_owned()));
    }
    serde_json::from_slice(json).map_err(|error| MessageProblem::Json(error.to_string()))
}

/// The text in a byte string; absent, null and empty are `None`.
fn text(member: &'static str, value: Option<String>) -> Result<Option<String>, MessageProblem> {
    let bytes = STANDARD
        .decode(value.unwrap_or_default().as_bytes())
        .map_err(|_decode_error| MessageProblem::Base64(member))?;
    let text = String::from_utf8(bytes).map_err(|_not_utf8| MessageProblem::Base64(member))?;
    Ok(Some(text).filter(|text| !text.is_empty()))
}

fn base64(text: &str) -> Option<String> {
    Some(STANDARD.encode(text))
}

/// The JSON of a message. Structs of strings always serialize.
fn json(wire: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(wire).unwrap_or_default()
}

#[cfg(test)]
mod tests;
