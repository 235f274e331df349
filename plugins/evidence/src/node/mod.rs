//! The records that Keylime's servers hold about a node.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::metadata::Metadata;
use crate::{AgentId, AttestationKey, EndorsementKey, HashAlg, Refusal};

/// The registrar's record of a node.
///
/// Proves that a TPM with this EK held this AK when the node registered, and nothing about the
/// node's state.
#[derive(Clone, Debug)]
pub struct Registration {
    /// The node that the record is of.
    pub agent_id: AgentId,
    /// The key that signs the node's quotes.
    pub ak: AttestationKey,
    /// The TPM's endorsement key, where the registrar has one.
    pub ek: Option<EndorsementKey>,
}

/// The verifier's record of a node.
#[derive(Clone, Debug)]
pub struct NodeState {
    /// The node that the record is of.
    pub agent_id: AgentId,
    /// The verifier's verdict.
    pub attestation: Attestation,
    /// The way in which the verifier gets the node's quotes.
    pub mode: Mode,
    /// The time from one quote of the node to the next (`attestation_period`). `None` where the
    /// verifier does not tell.
    pub interval: Option<Duration>,
    /// The time at which the node last passed, in Unix seconds. `None` where the verifier does not
    /// tell; Keylime writes 0 for never.
    pub last_success: Option<u64>,
    /// The PCR bank of the node's last quote. `None` where the verifier has none (push mode) or one
    /// that is not accepted here.
    pub hash_alg: Option<HashAlg>,
    /// The verifier's own name, `verifier_id`.
    pub verifier_id: Option<String>,
    /// True where the node's files are checked by a runtime policy (IMA).
    pub runtime_policy: bool,
    /// True where the node's boot log is checked by a measured boot policy.
    pub measured_boot: bool,
    /// The PCRs that the node's TPM policy gives values for, see
    /// [`tpm_policy_pcrs`](crate::tpm_policy_pcrs).
    pub tpm_policy_pcrs: BTreeSet<u8>,
    /// The administrator's entries about the node.
    pub metadata: Metadata,
}

/// The way in which a verifier gets the quotes of a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// It asks the node's agent, which listens.
    Pull,
    /// The node's agent sends them, and listens nowhere.
    Push,
}

/// The verifier's verdict on a node. Any other status is no verdict, and no node is accepted by it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Attestation {
    /// The last quote was good.
    Pass,
    /// The last quote was bad.
    Fail,
    /// The verifier does not reach the node. Keylime says `FAIL` as well; only silence is held
    /// against the node.
    Unreachable,
    /// No quote has been checked yet, or the administrator stopped attestation.
    Pending,
    /// Push mode: the node has not sent a quote for too long.
    Timeout,
}

impl Attestation {
    /// Reads `attestation_status`, as Keylime writes it: `PASS`, `FAIL`, `PENDING`, `TIMEOUT`.
    /// `None` for any other.
    pub fn from_status(status: &str) -> Option<Self> {
        match status {
            "PASS" => Some(Self::Pass),
            "FAIL" => Some(Self::Fail),
            "PENDING" => Some(Self::Pending),
            "TIMEOUT" => Some(Self::Timeout),
            _ => None,
        }
    }

    /// Tells a `FAIL` for a bad quote from one for a node that is not reached, by
    /// `operational_state` and `last_event_id` together. In push mode a silent node has `TIMEOUT`,
    /// and the other two say nothing.
    ///
    /// In doubt the node counts as not reached: both are refused, but a silent node keeps its
    /// identity for longer.
    pub fn of_fail(operational_state: Option<i64>, last_event_id: Option<&str>, mode: Mode) -> Self {
        let has_cause =
            last_event_id.is_some_and(|event| !event.is_empty() && !event.starts_with("internal."));
        match operational_state {
            Some(7) => Self::Unreachable,
            Some(9 | 10) => Self::Fail,
            _ if mode == Mode::Push || has_cause => Self::Fail,
            _ => Self::Unreachable,
        }
    }

    /// Reads `operational_state` by Keylime's own mapping. `None` for any state but 0 to 10.
    ///
    /// Only for answers without `attestation_status`: in push mode the number is 3 whatever
    /// happens.
    pub fn from_operational_state(state: i64) -> Option<Self> {
        match state {
            3..=6 => Some(Self::Pass),
            7 => Some(Self::Unreachable),
            9 | 10 => Some(Self::Fail),
            0..=2 | 8 => Some(Self::Pending),
            _ => None,
        }
    }
}

impl NodeState {
    /// The PCR bank that the node must quote: the one it claims, else the one of its last quote
    /// that the verifier checked.
    ///
    /// # Errors
    /// [`Refusal::NoHashAlg`] when neither is known. No default: a wrong one would only fail later,
    /// with a worse text.
    pub fn bank(&self, claimed: Option<HashAlg>) -> Result<HashAlg, Refusal> {
        claimed.or(self.hash_alg).ok_or(Refusal::NoHashAlg { mode: self.mode })
    }

    /// The interval between two quotes where it is not shorter than `max_age`: the last success is
    /// then too old before the next one comes.
    pub fn interval_beyond(&self, max_age: Option<Duration>) -> Option<Duration> {
        self.interval.filter(|interval| max_age.is_some_and(|max_age| *interval >= max_age))
    }
}

#[cfg(test)]
mod tests;
