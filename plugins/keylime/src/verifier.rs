//! The verifier's record of an agent and its word on a quote, read from JSON.

use evidence::{AgentId, Attestation, Metadata, NodeState, tpm_policy_pcrs};
use serde::{Deserialize, Deserializer};
use serde_json::Value;

use crate::error::{Malformed, Server};
use crate::http::{Answer, Failure};
use crate::servers::{AgentState, Confirmation, Contact};

const STATE: &str = "the verifier's record of an agent";

/// The members that are used. A `null` counts as absent, but not in `attestation_status`: there it
/// would leave the decision to `operational_state`, which in push mode says nothing.
#[derive(Deserialize)]
pub(crate) struct Record {
    #[serde(default, deserialize_with = "present")]
    attestation_status: Option<String>,
    operational_state: Option<i64>,
    last_event_id: Option<String>,
    last_successful_attestation: Option<u64>,
    hash_alg: Option<String>,
    verifier_id: Option<String>,
    has_runtime_policy: Option<u8>,
    has_mb_refstate: Option<u8>,
    tpm_policy: Option<String>,
    meta_data: Option<String>,
    #[serde(rename = "ip", default, deserialize_with = "contact")]
    pub(crate) contact: Option<Contact>,
}

/// The record of `agent`. The answer does not name its agent; it is the one in the path.
pub(crate) fn read_state(answer: &Answer, agent: &AgentId, server: &Server) -> Result<AgentState, Failure> {
    let record: Record = answer.results(STATE, false)?;
    let contact = record.contact.clone();
    let node = record.node_state(agent).map_err(shape)?;
    Ok(AgentState { node, contact, verifier: server.endpoint.clone() })
}

/// The verifier's word: `valid` is 1 or 0 and nothing else. Its reason is not passed on, as it may
/// hold parts of the quote.
pub(crate) fn read_confirmation(answer: &Answer) -> Result<Confirmation, Failure> {
    const EXPECTED: &str = "valid: 1 or valid: 0";
    #[derive(Deserialize)]
    struct Results {
        valid: i64,
    }
    match answer.results::<Results>(EXPECTED, true)?.valid {
        1 => Ok(Confirmation::Valid),
        0 => Ok(Confirmation::Invalid),
        other => Err(Malformed::Shape { expected: EXPECTED, detail: format!("valid: {other}") }.into()),
    }
}

impl Record {
    /// The node's state, or the member that is not as Keylime writes it.
    pub(crate) fn node_state(self, agent: &AgentId) -> Result<NodeState, String> {
        Ok(NodeState {
            agent_id: agent.clone(),
            attestation: self.attestation()?,
            last_success: self.last_successful_attestation,
            hash_alg: self.hash_alg.and_then(|name| name.parse().ok()),
            verifier_id: self.verifier_id,
            runtime_policy: flag("has_runtime_policy", self.has_runtime_policy)?,
            measured_boot: flag("has_mb_refstate", self.has_mb_refstate)?,
            tpm_policy_pcrs: tpm_policy_pcrs(self.tpm_policy.as_deref().unwrap_or_default()),
            metadata: Metadata::from_json(self.meta_data.as_deref().unwrap_or_default()),
        })
    }

    fn attestation(&self) -> Result<Attestation, String> {
        match (&self.attestation_status, self.operational_state) {
            (Some(status), state) if status == "FAIL" => {
                let is_push = self.contact.is_none();
                Ok(Attestation::of_fail(state, self.last_event_id.as_deref(), is_push))
            }
            (Some(status), _) => Attestation::from_status(status).ok_or_else(|| {
                format!("attestation_status is {:?}", status.chars().take(40).collect::<String>())
            }),
            (None, Some(state)) => Attestation::from_operational_state(state)
                .ok_or_else(|| format!("operational_state is {state}, expected 0 to 10")),
            (None, None) => Err("neither attestation_status nor operational_state".to_owned()),
        }
    }
}

fn flag(member: &str, value: Option<u8>) -> Result<bool, String> {
    match value {
        None | Some(0) => Ok(false),
        Some(1) => Ok(true),
        Some(other) => Err(format!("{member} is {other}, expected 0 or 1")),
    }
}

fn shape(detail: String) -> Failure {
    Malformed::Shape { expected: STATE, detail }.into()
}

fn present<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    String::deserialize(deserializer).map(Some)
}

/// The agent's address. Nothing is decided by it: a text that is neither an address nor a name
/// counts as absent (push mode has null).
fn contact<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Contact>, D::Error> {
    let value = Value::deserialize(deserializer)?;
    Ok(value.as_str().and_then(Contact::read))
}
