//! The registrar's record of an agent, read from JSON.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use evidence::{AgentId, AttestationKey, EndorsementKey, InvalidAttestationKey, Registration};
use serde::Deserialize;

use crate::error::Malformed;
use crate::http::{Answer, Failure};

const EXPECTED: &str = "the registrar's record of an agent";

/// The members that are used. `port`, `mtls_cert` and others are for connections to the agent,
/// which are never made from here.
#[derive(Deserialize)]
struct Record {
    agent_id: String,
    aik_tpm: String,
    ek_tpm: Option<String>,
}

/// The record of `agent`, and of no other.
pub(crate) fn read(answer: &Answer, agent: &AgentId) -> Result<Registration, Failure> {
    let record: Record = answer.results(EXPECTED, false)?;
    if record.agent_id != agent.as_str() {
        return Err(Malformed::WrongAgent(record.agent_id.chars().take(AgentId::MAX_LEN).collect()).into());
    }
    let ek = record.ek_tpm.filter(|ek| !ek.is_empty()).map(|ek| endorsement_key(&ek)).transpose()?;
    Ok(Registration { agent_id: agent.clone(), ak: attestation_key(&record.aik_tpm)?, ek })
}

fn attestation_key(text: &str) -> Result<AttestationKey, Failure> {
    AttestationKey::from_tpm2b_public(&decode("aik_tpm", text)?).map_err(|error| match error {
        InvalidAttestationKey::TooLarge { .. } | InvalidAttestationKey::Malformed => shape(error.to_string()),
        unusable => Failure::UnusableAk(unusable),
    })
}

fn endorsement_key(text: &str) -> Result<EndorsementKey, Failure> {
    EndorsementKey::from_tpm2b_public(&decode("ek_tpm", text)?).map_err(|error| shape(error.to_string()))
}

fn decode(member: &str, text: &str) -> Result<Vec<u8>, Failure> {
    STANDARD.decode(text).map_err(|error| shape(format!("{member} is not base64: {error}")))
}

fn shape(detail: String) -> Failure {
    Malformed::Shape { expected: EXPECTED, detail }.into()
}
