//! Keylime's part of an assessment.

use std::time::Duration;

use evidence::{AgentId, Mode, Refusal, judge_state};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use keylime::{AgentState, Endpoint};
use keylime_attestor_api::{MatchedBy, NodeReason};

use super::inputs::{Rules, Seen};
use crate::nodes::matching::Match;

/// Keylime's part of an assessment.
pub(super) struct Keylime {
    /// [`NodeReason::Attested`] when Keylime passes the node.
    pub(super) reason: NodeReason,
    pub(super) message: String,
    pub(super) agent: Option<(AgentId, MatchedBy)>,
    pub(super) verifier: Option<Endpoint>,
    pub(super) last_success: Option<u64>,
}

pub(super) enum Word {
    Said(Keylime),
    /// Its verifier is silent, for less than the grace.
    Waits,
}

impl Keylime {
    pub(super) fn new(reason: NodeReason, message: impl Into<String>) -> Self {
        Self { reason, message: message.into(), agent: None, verifier: None, last_success: None }
    }

    fn advised(reason: NodeReason, message: &str) -> Self {
        Self::new(reason, format!("{message}. {}", reason.remedy()))
    }
}

pub(super) fn by_keylime(rules: &Rules<'_>, seen: &Seen<'_>) -> Word {
    let (agent, by) = match seen.matched {
        Match::Agent(agent, by) => (agent, *by),
        Match::Ambiguous(text) => return Word::Said(Keylime::advised(NodeReason::AmbiguousAgent, text)),
        Match::Moved(text) => return Word::Said(Keylime::advised(NodeReason::AgentMoved, text)),
        Match::BoundElsewhere(text) => return Word::Said(Keylime::advised(NodeReason::BoundElsewhere, text)),
        Match::Nobody if !rules.silent.is_empty() => return silent(rules, seen, None),
        Match::Nobody => return Word::Said(whole(NodeReason::NotEnrolled)),
    };
    if let Some(record) = seen.record {
        return Word::Said(Keylime { agent: Some((agent.clone(), by)), ..of_record(rules, record) });
    }
    let said = match seen.doubt {
        Some(doubt) => Keylime::new(NodeReason::AmbiguousAgent, doubt.to_string()),
        None if !rules.silent.is_empty() => return silent(rules, seen, Some((agent, by))),
        None => {
            let text = format!("no verifier has agent {agent}, which is the node's");
            Keylime::advised(NodeReason::NotEnrolled, &text)
        }
    };
    Word::Said(Keylime { agent: Some((agent.clone(), by)), ..said })
}

fn of_record(rules: &Rules<'_>, record: &AgentState) -> Keylime {
    let now = u64::try_from(rules.now.as_second()).unwrap_or_default();
    let mode = record.node.mode;
    let keylime = match judge_state(&record.node, now, rules.max_age) {
        Ok(()) => whole_in(mode, NodeReason::Attested),
        Err(Refusal::NodeFails { .. }) => whole_in(mode, NodeReason::KeylimeAttestationFailed),
        Err(Refusal::NodeUnreachable | Refusal::NodeTimedOut) => whole_in(mode, NodeReason::NotHeardOf),
        Err(Refusal::NodePending { .. } | Refusal::NeverPassed) => {
            whole_in(mode, NodeReason::KeylimeAttestationPending)
        }
        // Their own texts count the seconds, and would change at every poll.
        Err(Refusal::LastSuccessInFuture { .. }) => Keylime::new(
            NodeReason::Stale,
            "the last success lies in the future: set the clocks of Keylime's verifier and of this cluster",
        ),
        Err(Refusal::Stale { interval: Some(interval), .. }) => {
            Keylime::new(NodeReason::Stale, interval_beyond(interval))
        }
        Err(_stale) => whole_in(mode, NodeReason::Stale),
    };
    let last_success = record.node.last_success.filter(|seconds| *seconds > 0);
    Keylime { verifier: Some(record.verifier.clone()), last_success, ..keylime }
}

fn whole(reason: NodeReason) -> Keylime {
    whole_in(Mode::Pull, reason)
}

fn whole_in(mode: Mode, reason: NodeReason) -> Keylime {
    let message = match reason {
        NodeReason::Attested => reason.meaning().to_owned(),
        _ => format!("{} {}", reason.meaning(), remedy_in(mode, reason)),
    };
    Keylime::new(reason, message)
}

/// The remedy where the verifier gets the node's quotes in this way.
pub(super) fn remedy_in(mode: Mode, reason: NodeReason) -> &'static str {
    let in_push_mode = reason.remedy_in_push_mode().filter(|_| mode == Mode::Push);
    in_push_mode.unwrap_or(reason.remedy())
}

/// The text about an interval of quotes that the greatest age does not allow for.
pub(in crate::nodes) fn interval_beyond(interval: Duration) -> String {
    format!(
        "Keylime's verifier attests every {} s (quote_interval), and `spec.attestation.maxAttestationAge` is not longer: make it longer.",
        interval.as_secs()
    )
}

/// The state while verifiers are silent: the previous one within the grace. A node whose own
/// verifier answers, without its agent, is not enrolled.
fn silent(rules: &Rules<'_>, seen: &Seen<'_>, agent: Option<(&AgentId, MatchedBy)>) -> Word {
    let previous = seen.previous;
    let verifier = previous.and_then(|previous| previous.verifier.as_ref());
    let since = match verifier {
        Some(verifier) => match rules.silent.get(verifier) {
            Some(since) => Some(since),
            None => return Word::Said(Keylime { agent: agent.map(own), ..whole(NodeReason::NotEnrolled) }),
        },
        None => rules.silent.values().min(),
    };
    let waited = since.map(|since| rules.now.duration_since(*since)).unwrap_or_default();
    if Duration::try_from(waited).unwrap_or_default() < rules.grace {
        return Word::Waits;
    }
    let reason = NodeReason::KeylimeUnreachable;
    let known = previous.filter(|previous| previous.reason == reason.as_str());
    let message = match (known, previous) {
        (Some(known), _) => known.message.clone(),
        (None, Some(previous)) => format!(
            "{} Before, it was {} ({}). {}",
            reason.meaning(),
            previous.state.as_str(),
            previous.reason,
            reason.remedy()
        ),
        (None, None) => format!("{} {}", reason.meaning(), reason.remedy()),
    };
    let agent = agent.map(own);
    Word::Said(Keylime {
        verifier: verifier.and_then(|verifier| verifier.parse().ok()),
        last_success: previous.and_then(|previous| seconds(previous.last_success.as_ref())),
        agent,
        ..Keylime::new(reason, message)
    })
}

fn own((agent, by): (&AgentId, MatchedBy)) -> (AgentId, MatchedBy) {
    (agent.clone(), by)
}

fn seconds(time: Option<&Time>) -> Option<u64> {
    u64::try_from(time?.0.as_second()).ok()
}
