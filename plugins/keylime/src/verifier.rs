//! The verifier's record of an agent and its word on a quote, read from JSON.

use std::time::Duration;

use evidence::{AgentId, Attestation, Metadata, Mode, NodeState, tpm_policy_pcrs};
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
    #[serde(default, deserialize_with = "seconds")]
    attestation_period: Option<Duration>,
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
            mode: self.mode(),
            interval: self.attestation_period,
            last_success: self.last_successful_attestation,
            hash_alg: self.hash_alg.and_then(|name| name.parse().ok()),
            verifier_id: self.verifier_id,
            runtime_policy: flag("has_runtime_policy", self.has_runtime_policy)?,
            measured_boot: flag("has_mb_refstate", self.has_mb_refstate)?,
            tpm_policy_pcrs: tpm_policy_pcrs(self.tpm_policy.as_deref().unwrap_or_default()),
            metadata: Metadata::from_json(self.meta_data.as_deref().unwrap_or_default()),
        })
    }

    /// A verifier in push mode has no address of its agents.
    fn mode(&self) -> Mode {
        if self.contact.is_some() { Mode::Pull } else { Mode::Push }
    }

    fn attestation(&self) -> Result<Attestation, String> {
        match (&self.attestation_status, self.operational_state) {
            (Some(status), state) if status == "FAIL" => {
                Ok(Attestation::of_fail(state, self.last_event_id.as_deref(), self.mode()))
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

/// Whole seconds, as in `10s`. Nothing is decided by them: any other text counts as absent, and so
/// does 0, which Keylime writes for parts of a second.
fn seconds<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Duration>, D::Error> {
    let value = Value::deserialize(deserializer)?;
    let seconds = value.as_str().and_then(|text| text.strip_suffix('s')?.parse().ok());
    Ok(seconds.filter(|seconds| *seconds > 0).map(Duration::from_secs))
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
