//! A node's records at the fake servers, in the form of recorded answers.

use std::collections::VecDeque;
use std::time::{SystemTime, UNIX_EPOCH};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::recorded;

/// A node: what the registrar holds and what the verifier will say of it.
#[derive(Debug, Clone)]
pub struct Node {
    /// Its Keylime id.
    pub id: String,
    /// True if the registrar knows it.
    pub registered: bool,
    /// True if the verifier knows it.
    pub enrolled: bool,
    /// The id in the registrar's answer.
    pub answered_id: String,
    /// The AK, base64 of a `TPM2B_PUBLIC`.
    pub aik_tpm: String,
    /// The EK, base64 of a `TPM2B_PUBLIC`.
    pub ek_tpm: String,
    /// The states that the verifier tells, one a request; the last one stays.
    pub states: VecDeque<State>,
    /// To what `verify/identity` says `valid: 1`.
    pub valid: Valid,
}

/// To what `verify/identity` says `valid: 1`; to all else it says `valid: 0`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Valid {
    /// To the nonce that is in the quote. Signatures are not checked.
    ItsNonce,
    /// To whatever comes.
    Anything,
    /// To nothing.
    Nothing,
    /// To every nonce but the one that is in the quote.
    OtherNonces,
}

/// A node's state, as the verifier tells it.
#[derive(Debug, Clone)]
pub struct State {
    /// `attestation_status`; [`None`] for a verifier that does not have it.
    pub attestation_status: Option<String>,
    /// `operational_state`.
    pub operational_state: i64,
    /// `last_successful_attestation`.
    pub last_success: LastSuccess,
    /// Other members to set, such as `meta_data`; null removes one.
    pub members: Vec<(String, Value)>,
}

/// When the node last passed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LastSuccess {
    /// So many seconds before the answer.
    Ago(u64),
    /// At this time, in Unix seconds.
    At(u64),
    /// The member is missing.
    Absent,
}

impl Node {
    /// A node that passes, with this AK (a marshalled `TPM2B_PUBLIC`) and the EK of a recorded one.
    pub fn passing(id: &str, ak_public: &[u8]) -> Node {
        let recorded = recorded::registration();
        Node {
            id: id.to_owned(),
            registered: true,
            enrolled: true,
            answered_id: id.to_owned(),
            aik_tpm: STANDARD.encode(ak_public),
            ek_tpm: recorded
                .pointer("/results/ek_tpm")
                .and_then(Value::as_str)
                .unwrap_or_default()
                .to_owned(),
            states: VecDeque::from([State::pass()]),
            valid: Valid::ItsNonce,
        }
    }

    /// A node that passes, with the AK that signed the recorded quote.
    pub fn recorded() -> Node {
        let recorded = recorded::registration();
        let text =
            |pointer: &str| recorded.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned();
        let node = Node::passing(&text("/results/agent_id"), &[]);
        Node { aik_tpm: text("/results/aik_tpm"), ..node }
    }

    /// The same node with these states, one a request; the last one stays.
    pub fn with_states(self, states: impl IntoIterator<Item = State>) -> Node {
        Node { states: states.into_iter().collect(), ..self }
    }

    pub(super) fn registration(&self) -> String {
        let mut answer = recorded::registration();
        if let Some(results) = answer.get_mut("results").and_then(Value::as_object_mut) {
            results.insert("agent_id".to_owned(), json!(self.answered_id));
            results.insert("aik_tpm".to_owned(), json!(self.aik_tpm));
            results.insert("ek_tpm".to_owned(), json!(self.ek_tpm));
        }
        answer.to_string()
    }

    pub(super) fn next_state(&mut self) -> String {
        let state =
            if self.states.len() > 1 { self.states.pop_front() } else { self.states.front().cloned() };
        state.unwrap_or_else(State::pass).answer()
    }
}

impl Valid {
    /// Tells if a quote, unescaped, is valid for a nonce.
    pub(super) fn says(self, quote: &str, nonce: &str) -> bool {
        let is_its = || extra_data(quote).is_some_and(|data| data == nonce.as_bytes());
        match self {
            Valid::ItsNonce => is_its(),
            Valid::Anything => true,
            Valid::Nothing => false,
            Valid::OtherNonces => !is_its(),
        }
    }
}

/// `extraData` of the `TPMS_ATTEST` in a quote: behind magic, type and qualifiedSigner.
fn extra_data(quote: &str) -> Option<Vec<u8>> {
    let attest = STANDARD.decode(quote.strip_prefix('r')?.split(':').next()?).ok()?;
    let (_signer, rest) = sized(attest.get(6..)?)?;
    sized(rest).map(|(data, _)| data.to_vec())
}

fn sized(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = bytes.split_first_chunk()?;
    rest.split_at_checked(usize::from(u16::from_be_bytes(*length)))
}

impl State {
    /// PASS, one second ago.
    pub fn pass() -> State {
        State::new("PASS", 3, LastSuccess::Ago(1))
    }

    /// FAIL, because of a quote.
    pub fn fail() -> State {
        State::new("FAIL", 9, LastSuccess::Ago(1))
    }

    /// PENDING: enrolled, and no quote yet.
    pub fn pending() -> State {
        State::new("PENDING", 1, LastSuccess::At(0))
    }

    /// A state from its three parts.
    pub fn new(attestation_status: &str, operational_state: i64, last_success: LastSuccess) -> State {
        State {
            attestation_status: Some(attestation_status.to_owned()),
            operational_state,
            last_success,
            members: Vec::new(),
        }
    }

    /// The same state with another time of the last success.
    pub fn last_success(self, last_success: LastSuccess) -> State {
        State { last_success, ..self }
    }

    /// The same state with a member set; null removes it.
    pub fn with(mut self, member: &str, value: Value) -> State {
        self.members.push((member.to_owned(), value));
        self
    }

    fn answer(&self) -> String {
        let mut answer = recorded::state();
        if let Some(results) = answer.get_mut("results").and_then(Value::as_object_mut) {
            let last_success = match self.last_success {
                LastSuccess::Ago(seconds) => json!(now().saturating_sub(seconds)),
                LastSuccess::At(time) => json!(time),
                LastSuccess::Absent => Value::Null,
            };
            let fixed = [
                ("attestation_status".to_owned(), json!(self.attestation_status)),
                ("operational_state".to_owned(), json!(self.operational_state)),
                ("last_successful_attestation".to_owned(), last_success),
            ];
            for (member, value) in fixed.into_iter().chain(self.members.iter().cloned()) {
                match value {
                    Value::Null => results.remove(&member),
                    value => results.insert(member, value),
                };
            }
        }
        answer.to_string()
    }
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map(|since| since.as_secs()).unwrap_or_default()
}
