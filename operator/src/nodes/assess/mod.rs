//! A node's state, its reason, and the time since when: from Kubernetes, Keylime and SPIRE, and
//! from the state before. Pure.

mod inputs;
mod of_keylime;
mod of_spire;
mod status;

use keylime_attestor_api::node_reason::node_condition as condition;
use keylime_attestor_api::{AttestedNodeStatus, NodeReason};

pub(crate) use inputs::{Rules, Seen};
pub(super) use of_keylime::interval_beyond;
use of_keylime::{Keylime, Word, by_keylime};
use of_spire::by_spire;
use status::status;

/// The result for a node.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Assessment {
    pub(crate) reason: NodeReason,
    /// True where Keylime passes the node.
    pub(crate) healthy: bool,
    /// The time of its last success at Keylime, in Unix seconds.
    pub(crate) last_success: Option<i64>,
    pub(crate) status: AttestedNodeStatus,
}

/// Assesses a node.
pub(crate) fn assess(rules: &Rules<'_>, seen: &Seen<'_>) -> Assessment {
    let keylime = match by_keylime(rules, seen) {
        Word::Said(keylime) => keylime,
        Word::Waits => {
            if let Some(unchanged) = unchanged(seen.previous) {
                return unchanged;
            }
            Keylime::new(
                NodeReason::KeylimeUnreachable,
                "a verifier gives no answer, so that nobody knows the node yet",
            )
        }
    };
    let spire = by_spire(rules, seen, &keylime);
    let healthy = keylime.reason == NodeReason::Attested;
    let (reason, message) = match spire.against {
        Some(against) if healthy => against,
        _ => (keylime.reason, keylime.message.clone()),
    };
    let last_success = keylime.last_success.and_then(|seconds| i64::try_from(seconds).ok());
    let status = status(rules, seen, keylime, spire.spiffe_id, spire.identity, reason, message);
    Assessment { reason, healthy, last_success, status }
}

/// The previous assessment, unchanged.
fn unchanged(previous: Option<&AttestedNodeStatus>) -> Option<Assessment> {
    let status = previous?.clone();
    let healthy = status
        .conditions
        .iter()
        .any(|condition| condition.type_ == condition::KEYLIME_HEALTHY && condition.status == "True");
    let last_success = status.last_success.as_ref().map(|time| time.0.as_second());
    Some(Assessment { reason: NodeReason::parse(&status.reason)?, healthy, last_success, status })
}

#[cfg(test)]
pub(in crate::nodes) mod tests;
