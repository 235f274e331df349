//! A node's state, its reason, and the time since when: from Kubernetes, Keylime and SPIRE, and
//! from the state before. Pure.

use std::collections::BTreeMap;
use std::time::Duration;

use evidence::{AgentId, Refusal, judge_state};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use k8s_openapi::jiff::Timestamp;
use keylime::{AgentState, Doubt, Endpoint};
use keylime_attestor_api::node_reason::{identity, keylime as keylime_reason, node_condition as condition};
use keylime_attestor_api::{AttestedNodeStatus, MatchedBy, NodeReason, NodeState};

use super::facts::{NodeFacts, PodFacts};
use super::matching::{Conflict, Match};
use super::spire::{Held, SpireAgents};

/// The inputs that are the same for all nodes of a poll.
pub(crate) struct Rules<'a> {
    /// The greatest age of an acceptable success; [`None`] accepts any.
    pub(crate) max_age: Option<Duration>,
    /// The time for which a state is kept while its verifier is silent.
    pub(crate) grace: Duration,
    /// The time of the poll, in whole seconds.
    pub(crate) now: Timestamp,
    /// The verifiers that give no answer, by host and port, each with the time since when.
    pub(crate) silent: &'a BTreeMap<String, Timestamp>,
    pub(crate) spire: Option<&'a SpireAgents>,
    /// True where SPIRE's server pods should report.
    pub(crate) observed: bool,
    /// True where the operator puts the plugin into the agents' pods.
    pub(crate) managed: bool,
    /// The labels by which the resource selects nodes, if not all.
    pub(crate) selector: Option<&'a str>,
}

/// The inputs for a node.
pub(crate) struct Seen<'a> {
    pub(crate) node: &'a NodeFacts,
    pub(crate) matched: &'a Match,
    /// The verifier's record of its agent.
    pub(crate) record: Option<&'a AgentState>,
    pub(crate) doubt: Option<&'a Doubt>,
    pub(crate) pod: Option<&'a PodFacts>,
    pub(crate) previous: Option<&'a AttestedNodeStatus>,
    pub(crate) conflict: Option<&'a Conflict>,
}

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

/// Keylime's part of an assessment.
struct Keylime {
    /// [`NodeReason::Attested`] when Keylime passes the node.
    reason: NodeReason,
    message: String,
    agent: Option<(AgentId, MatchedBy)>,
    verifier: Option<Endpoint>,
    last_success: Option<u64>,
}

enum Word {
    Said(Keylime),
    /// Its verifier is silent, for less than the grace.
    Waits,
}

impl Keylime {
    fn new(reason: NodeReason, message: impl Into<String>) -> Self {
        Self { reason, message: message.into(), agent: None, verifier: None, last_success: None }
    }

    fn advised(reason: NodeReason, message: &str) -> Self {
        Self::new(reason, format!("{message}. {}", reason.remedy()))
    }
}

fn by_keylime(rules: &Rules<'_>, seen: &Seen<'_>) -> Word {
    let (agent, by) = match seen.matched {
        Match::Agent(agent, by) => (agent, *by),
        Match::Ambiguous(text) => return Word::Said(Keylime::advised(NodeReason::AmbiguousAgent, text)),
        Match::Moved(text) => return Word::Said(Keylime::advised(NodeReason::AgentMoved, text)),
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
    let keylime = match judge_state(&record.node, now, rules.max_age) {
        Ok(()) => whole(NodeReason::Attested),
        Err(Refusal::NodeFails) => whole(NodeReason::KeylimeAttestationFailed),
        Err(Refusal::NodeUnreachable | Refusal::NodeTimedOut) => whole(NodeReason::NotHeardOf),
        Err(Refusal::NodePending | Refusal::NeverPassed) => whole(NodeReason::KeylimeAttestationPending),
        // Their own texts count the seconds, and would change at every poll.
        Err(Refusal::LastSuccessInFuture { .. }) => Keylime::new(
            NodeReason::Stale,
            "the last success lies in the future: set the clocks of Keylime's verifier and of this cluster",
        ),
        Err(_stale) => whole(NodeReason::Stale),
    };
    let last_success = record.node.last_success.filter(|seconds| *seconds > 0);
    Keylime { verifier: Some(record.verifier.clone()), last_success, ..keylime }
}

fn whole(reason: NodeReason) -> Keylime {
    let message = match reason {
        NodeReason::Attested => reason.meaning().to_owned(),
        _ => format!("{} {}", reason.meaning(), reason.remedy()),
    };
    Keylime::new(reason, message)
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

/// SPIRE's part of an assessment, with its agent's pod.
struct Spire {
    /// The reason and message against a node that Keylime passes.
    against: Option<(NodeReason, String)>,
    spiffe_id: Option<String>,
    /// The status, reason and message of the condition IdentityIssued.
    identity: (&'static str, &'static str, String),
}

fn by_spire(rules: &Rules<'_>, seen: &Seen<'_>, keylime: &Keylime) -> Spire {
    let unready = seen.pod.filter(|pod| !pod.ready).map(|pod| {
        let text = pod.message.clone();
        (NodeReason::SpireAgentNotReady, format!("{} {text}", NodeReason::SpireAgentNotReady.meaning()))
    });
    let without_plugin = rules.managed && seen.pod.is_some_and(|pod| pod.hash.is_none());
    let Some(spire) = rules.spire else {
        if without_plugin {
            return without_identity(unready, "Its SPIRE agent runs without the plugin.");
        }
        return unreported(rules, seen, unready);
    };
    let held = keylime.agent.as_ref().and_then(|(agent, _)| spire.ours(agent));
    let missing = |reason: NodeReason, detail: String| {
        let text = format!("{}{detail} {}", reason.meaning(), reason.remedy());
        let identity = ("False", reason.as_str(), text.clone());
        (reason, text, identity)
    };
    let other = spire.other(seen.node);
    // The record of an agent that is gone ends before that of the one that runs.
    let outlived = |held: &Held| !rules.managed && other.is_some_and(|other| other.expires > held.expires);
    let held = held.filter(|held| held.banned || !outlived(held));
    let (reason, text, identity) = match (held, other) {
        // SPIRE keeps a record until its SVID would have ended, whoever has attested since: after a
        // rollback it is of an agent that is gone.
        (Some(held), other) if !held.banned && without_plugin && other.is_none() => {
            let message =
                "Its SPIRE agent runs without the plugin; SPIRE still has a record of the one before.";
            return without_identity(unready, message);
        }
        (Some(held), _) if !held.banned && !without_plugin => {
            let identity = ("True", identity::ISSUED, format!("SPIRE has it as {}", held.spiffe_id));
            return Spire { against: unready, spiffe_id: Some(held.spiffe_id.clone()), identity };
        }
        (Some(held), _) if held.banned => missing(NodeReason::Banned, String::new()),
        (_, Some(other)) => {
            let detail = format!(" It is {}, attested by {}.", other.spiffe_id, other.attestation_type);
            missing(NodeReason::IdentityOfOtherAttestor, detail)
        }
        (_, None) => missing(NodeReason::IdentityNotIssued, String::new()),
    };
    let against =
        // A ban goes before the pod: a banned agent cannot become ready, so that would hide the
        // reason.
        if reason == NodeReason::Banned { Some((reason, text)) } else { unready.or(Some((reason, text))) };
    Spire { against, spiffe_id: None, identity }
}

/// The result for an agent that runs without our plugin; a pod that is not ready goes first.
fn without_identity(unready: Option<(NodeReason, String)>, message: &str) -> Spire {
    let reason = NodeReason::IdentityNotIssued;
    let text = format!("{} {message}", reason.meaning());
    let identity = ("False", reason.as_str(), text.clone());
    Spire { against: unready.or(Some((reason, text))), spiffe_id: None, identity }
}

/// The result where no pod of SPIRE's server reports.
fn unreported(rules: &Rules<'_>, seen: &Seen<'_>, unready: Option<(NodeReason, String)>) -> Spire {
    let message = if rules.observed {
        "no pod of SPIRE's server reports what SPIRE holds; see the condition Enforcing of the KeylimeAttestor"
    } else {
        "it is not known what SPIRE holds; `enforcement: {}` in the spec of the KeylimeAttestor turns that on, and nothing else"
    };
    // A SPIFFE ID that was known stays while there are no reports: entries of workloads have it as
    // their parent.
    let before = seen.previous.filter(|_| rules.observed).and_then(|previous| previous.spiffe_id.clone());
    let identity = ("Unknown", identity::NOT_OBSERVED, message.to_owned());
    // Where the operator did not put the plugin into the pods, a node that Keylime passes may
    // attest by anything.
    let unknown = (!rules.managed).then(|| {
        let reason = NodeReason::IdentityUnknown;
        (reason, format!("{} {}", reason.meaning(), reason.remedy()))
    });
    Spire { against: unready.or(unknown), spiffe_id: before, identity }
}

fn status(
    rules: &Rules<'_>,
    seen: &Seen<'_>,
    keylime: Keylime,
    spiffe_id: Option<String>,
    identity: (&'static str, &'static str, String),
    reason: NodeReason,
    message: String,
) -> AttestedNodeStatus {
    let state = reason.state();
    let now = Time(rules.now);
    let attested = match state {
        NodeState::Attested => "True",
        NodeState::Failing | NodeState::Pending | NodeState::NotEnrolled => "False",
        NodeState::Unknown => "Unknown",
    };
    let (healthy, word) = match keylime.reason.state() {
        NodeState::Attested => ("True", keylime_reason::PASSED),
        NodeState::Unknown => ("Unknown", keylime.reason.as_str()),
        _ => ("False", keylime.reason.as_str()),
    };
    let conditions = [
        (condition::ATTESTED, attested, reason.as_str(), message.clone()),
        (condition::KEYLIME_HEALTHY, healthy, word, keylime.message),
        (condition::IDENTITY_ISSUED, identity.0, identity.1, identity.2),
    ];
    let previous = seen.previous;
    let (agent, by) = keylime.agent.unzip();
    let mut status = AttestedNodeStatus {
        agent_id: agent.map(|agent| agent.as_str().to_owned()),
        matched_by: by,
        verifier: keylime.verifier.map(|verifier| verifier.to_string()),
        spiffe_id,
        state,
        reason: reason.as_str().to_owned(),
        message,
        since: previous.filter(|last| last.state == state).map_or(now.clone(), |last| last.since.clone()),
        last_success: previous.and_then(|last| last.last_success.clone()),
        first_attested: previous
            .and_then(|last| last.first_attested.clone())
            .or_else(|| (state == NodeState::Attested).then(|| now.clone())),
        reattested_pod: previous.and_then(|last| last.reattested_pod.clone()),
        conflict: seen.conflict.map(|conflict| conflict.text.clone()),
        marks: previous.map(|last| last.marks.clone()).unwrap_or_default(),
        selector: rules.selector.map(str::to_owned),
        conditions: conditions.into_iter().map(|found| build(found, previous, &now)).collect(),
    };
    // A newer success alone is not written: else every poll would be a write to every node.
    if previous != Some(&status) {
        let seconds = keylime.last_success.and_then(|seconds| i64::try_from(seconds).ok());
        status.last_success = seconds.and_then(|seconds| Timestamp::from_second(seconds).ok()).map(Time);
    }
    status
}

fn build(
    (type_, status, reason, message): (&str, &str, &str, String),
    previous: Option<&AttestedNodeStatus>,
    now: &Time,
) -> Condition {
    let last = previous.and_then(|last| last.conditions.iter().find(|condition| condition.type_ == type_));
    let since = last.filter(|last| last.status == status).map_or(now, |last| &last.last_transition_time);
    Condition {
        type_: type_.to_owned(),
        status: status.to_owned(),
        reason: reason.to_owned(),
        message,
        observed_generation: None,
        last_transition_time: since.clone(),
    }
}

fn seconds(time: Option<&Time>) -> Option<u64> {
    u64::try_from(time?.0.as_second()).ok()
}

#[cfg(test)]
pub(in crate::nodes) mod tests;
