use std::time::Duration;

use evidence::{AgentId, Mode};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use k8s_openapi::jiff::Timestamp;
use keylime::{AgentState, Doubt};
use keylime_attestor_api::MatchedBy::SystemUuid;
use keylime_attestor_api::NodeState;
use serde_json::json;

use super::*;
use crate::nodes::facts::{NodeFacts, PodFacts};
use crate::nodes::matching::Match;
use crate::nodes::spire::SpireAgents;
use crate::nodes::spire::tests::reported;

const VERIFIER: &str = "10.0.0.5:8881";
const NOW: i64 = 1_800_000_000;

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(seconds).unwrap()
}

fn record(status: &str, last_success: Option<u64>) -> AgentState {
    AgentState {
        node: evidence::NodeState {
            agent_id: AgentId::new("a").unwrap(),
            attestation: evidence::Attestation::from_status(status).unwrap(),
            mode: Mode::Pull,
            interval: None,
            last_success,
            hash_alg: None,
            verifier_id: None,
            runtime_policy: false,
            measured_boot: false,
            tpm_policy_pcrs: std::collections::BTreeSet::new(),
            metadata: evidence::Metadata::default(),
        },
        contact: None,
        verifier: VERIFIER.parse().unwrap(),
    }
}

/// The inputs of a poll; by default Keylime passes the node and no pod reports what SPIRE has.
struct Case {
    matched: Match,
    record: Option<AgentState>,
    doubt: Option<Doubt>,
    pod: Option<PodFacts>,
    previous: Option<AttestedNodeStatus>,
    silent: Vec<(&'static str, i64)>,
    agents: Option<serde_json::Value>,
    observed: bool,
    managed: bool,
    asks_quoters: bool,
    now: i64,
}

impl Case {
    fn new() -> Self {
        Self {
            matched: Match::Agent(AgentId::new("a").unwrap(), SystemUuid),
            record: Some(record("PASS", Some(NOW as u64 - 1))),
            doubt: None,
            pod: None,
            previous: None,
            silent: Vec::new(),
            agents: None,
            observed: false,
            managed: true,
            asks_quoters: false,
            now: NOW,
        }
    }

    fn of(status: &str, last_success: Option<u64>) -> Self {
        Self { record: Some(record(status, last_success)), ..Self::new() }
    }

    fn silent_for(seconds: i64, previous: Option<AttestedNodeStatus>) -> Self {
        Self { record: None, previous, silent: vec![(VERIFIER, NOW - seconds)], ..Self::new() }
    }

    fn held(agents: serde_json::Value) -> Self {
        Self { agents: Some(agents), observed: true, ..Self::new() }
    }

    fn assess(&self) -> Assessment {
        let silent =
            self.silent.iter().map(|(verifier, since)| ((*verifier).to_owned(), at(*since))).collect();
        let spire =
            self.agents.as_ref().map(|agents| SpireAgents::of(&[reported(agents, Some(1))], 1).unwrap());
        let rules = Rules {
            max_age: Some(Duration::from_secs(300)),
            grace: Duration::from_secs(120),
            now: at(self.now),
            silent: &silent,
            spire: spire.as_ref(),
            observed: self.observed,
            managed: self.managed,
            asks_quoters: self.asks_quoters,
            selector: None,
        };
        let node = NodeFacts { name: "n".to_owned(), uid: "u".to_owned(), ..NodeFacts::default() };
        assess(
            &rules,
            &Seen {
                node: &node,
                matched: &self.matched,
                record: self.record.as_ref(),
                doubt: self.doubt.as_ref(),
                pod: self.pod.as_ref(),
                previous: self.previous.as_ref(),
                conflict: None,
                binding: None,
            },
        )
    }
}

/// The status of a node that Keylime passes.
pub(in crate::nodes) fn passing() -> AttestedNodeStatus {
    Case::new().assess().status
}

/// The status of a node with this reason.
pub(in crate::nodes) fn with_reason(reason: NodeReason) -> AttestedNodeStatus {
    AttestedNodeStatus { reason: reason.as_str().to_owned(), state: reason.state(), ..passing() }
}

fn conditions(status: &AttestedNodeStatus) -> Vec<(&str, &str)> {
    status.conditions.iter().map(|condition| (condition.status.as_str(), condition.reason.as_str())).collect()
}

fn pod(ready: bool) -> Option<PodFacts> {
    let message = if ready { "" } else { "pod p: it waits" };
    Some(PodFacts { ready, message: message.to_owned(), hash: Some("h".to_owned()), ..PodFacts::default() })
}

fn keylime_agent(banned: bool) -> serde_json::Value {
    json!({"spiffe_id": "spiffe://x/spire/agent/keylime/a", "attestation_type": "keylime", "agent_id": "a", "expires": 9, "banned": banned})
}

fn psat_agent() -> serde_json::Value {
    json!({"spiffe_id": "spiffe://x/spire/agent/k8s_psat/c/u", "attestation_type": "k8s_psat", "node_uid": "u", "expires": 9, "banned": false})
}

/// Each reason, with the states of Attested, KeylimeHealthy and IdentityIssued.
fn cases() -> Vec<(Case, NodeReason, [&'static str; 3])> {
    use NodeReason::{
        AgentMoved, AmbiguousAgent, Attested, Banned, BoundElsewhere, IdentityNotIssued,
        IdentityOfOtherAttestor, IdentityUnknown, KeylimeAttestationFailed, KeylimeAttestationPending,
        KeylimeUnreachable, NotEnrolled, NotHeardOf, SpireAgentNotReady, Stale,
    };
    let (yes, no, unknown) = ("True", "False", "Unknown");
    let of = |matched| Case { matched, record: None, ..Case::new() };
    let doubt =
        Doubt::Record { verifier: VERIFIER.parse().unwrap(), agent: "a".to_owned(), detail: "d".to_owned() };
    vec![
        (Case::new(), Attested, [yes, yes, unknown]),
        (Case { pod: pod(true), ..Case::new() }, Attested, [yes, yes, unknown]),
        (Case { pod: pod(false), ..Case::new() }, SpireAgentNotReady, [no, yes, unknown]),
        (Case { pod: pod(false), ..Case::of("FAIL", None) }, KeylimeAttestationFailed, [no, no, unknown]),
        (Case::of("FAIL", Some(NOW as u64)), KeylimeAttestationFailed, [no, no, unknown]),
        (Case::of("PENDING", Some(0)), KeylimeAttestationPending, [no, no, unknown]),
        (Case::of("PASS", None), KeylimeAttestationPending, [no, no, unknown]),
        (Case::of("TIMEOUT", Some(NOW as u64)), NotHeardOf, [unknown, unknown, unknown]),
        (Case::of("PASS", Some(NOW as u64 - 301)), Stale, [no, no, unknown]),
        (Case::of("PASS", Some(NOW as u64 + 100)), Stale, [no, no, unknown]),
        (of(Match::Nobody), NotEnrolled, [no, no, unknown]),
        (Case { record: None, ..Case::new() }, NotEnrolled, [no, no, unknown]),
        (of(Match::Ambiguous("x".to_owned())), AmbiguousAgent, [unknown, unknown, unknown]),
        (
            Case { doubt: Some(doubt), record: None, ..Case::new() },
            AmbiguousAgent,
            [unknown, unknown, unknown],
        ),
        (of(Match::Moved("x".to_owned())), AgentMoved, [unknown, unknown, unknown]),
        (of(Match::BoundElsewhere("x".to_owned())), BoundElsewhere, [unknown, unknown, unknown]),
        (Case::silent_for(120, Some(passing())), KeylimeUnreachable, [unknown, unknown, unknown]),
        (Case::silent_for(0, None), KeylimeUnreachable, [unknown, unknown, unknown]),
        (Case::held(json!([keylime_agent(false), psat_agent()])), Attested, [yes, yes, yes]),
        (Case { managed: false, ..Case::new() }, IdentityUnknown, [unknown, yes, unknown]),
        (Case::held(json!([])), IdentityNotIssued, [no, yes, no]),
        (Case::held(json!([psat_agent()])), IdentityOfOtherAttestor, [no, yes, no]),
        (Case::held(json!([keylime_agent(true)])), Banned, [no, yes, no]),
        (Case { pod: pod(false), ..Case::held(json!([keylime_agent(true)])) }, Banned, [no, yes, no]),
        (Case { pod: pod(false), ..Case::held(json!([])) }, SpireAgentNotReady, [no, yes, no]),
    ]
}

#[test]
fn each_case_comes_to_its_reason() {
    for (number, (case, reason, expected)) in cases().into_iter().enumerate() {
        let Assessment { reason: came, status, healthy, .. } = case.assess();
        assert_eq!(came, reason, "case {number}");
        assert_eq!(
            (status.state, status.reason.as_str()),
            (reason.state(), reason.as_str()),
            "case {number}"
        );
        let came: Vec<&str> = conditions(&status).into_iter().map(|(status, _)| status).collect();
        assert_eq!(came, expected, "case {number}");
        assert_eq!(healthy, expected[1] == "True", "case {number}");
    }
}

#[test]
fn every_reason_is_produced() {
    let produced: std::collections::BTreeSet<NodeReason> =
        cases().into_iter().map(|(case, ..)| case.assess().reason).collect();
    assert_eq!(produced, NodeReason::ALL.into_iter().collect());
}

#[test]
fn a_node_that_stays_good_is_not_written_again() {
    let first = Case::new().assess();
    let (before, now) = (first.status.clone(), NOW + 60);
    let later = Case { previous: Some(first.status), now, ..Case::of("PASS", Some(NOW as u64 + 59)) };
    assert_eq!(later.assess().status, before);
    // When it fails, the last success is the one of the verifier's record of now.
    let failed =
        Case { previous: Some(before), now, ..Case::of("FAIL", Some(NOW as u64 + 59)) }.assess().status;
    assert_eq!(failed.last_success, Some(Time(at(NOW + 59))));
    assert_eq!(failed.since, Time(at(now)));
}

#[test]
fn only_a_node_that_the_rollout_has_reached_has_something_to_lose() {
    let first = |case: Case| {
        let status = case.assess().status;
        assert_eq!(status.state, NodeState::Attested);
        status.first_attested
    };
    assert_eq!(first(Case::new()), None);
    assert_eq!(first(Case { pod: pod(true), ..Case::new() }), Some(Time(at(NOW))));
    let held = Case { agents: Some(json!([keylime_agent(false)])), observed: true, ..Case::new() };
    assert_eq!(first(held), Some(Time(at(NOW))));
    // Its pod is replaced later.
    let before = Case { pod: pod(true), ..Case::new() }.assess().status;
    assert_eq!(first(Case { previous: Some(before), now: NOW + 9, ..Case::new() }), Some(Time(at(NOW))));
}

#[test]
fn a_state_keeps_its_time() {
    let failed = Case::of("FAIL", Some(1)).assess().status;
    let later =
        Case { previous: Some(failed.clone()), now: NOW + 60, ..Case::of("PASS", Some(1)) }.assess().status;
    assert_eq!((later.since, later.state), (failed.since.clone(), failed.state));
    assert_eq!(later.reason, "Stale");
}

#[test]
fn a_silent_verifier_fails_nobody() {
    for reason in [NodeReason::Attested, NodeReason::KeylimeAttestationFailed, NodeReason::NotEnrolled] {
        let before = with_reason(reason);
        let within = Case::silent_for(119, Some(before.clone())).assess();
        assert_eq!((within.status, within.reason), (before.clone(), reason));
        let after = Case::silent_for(120, Some(before.clone())).assess();
        assert_eq!((after.status.state, after.reason), (NodeState::Unknown, NodeReason::KeylimeUnreachable));
        assert_eq!(
            (&after.status.agent_id, &after.status.last_success),
            (&before.agent_id, &before.last_success)
        );
        assert!(after.status.message.contains(reason.as_str()), "{}", after.status.message);
        // The next poll yields the same text.
        let later = Case { now: NOW + 600, ..Case::silent_for(720, Some(after.status.clone())) };
        assert_eq!(later.assess().status, after.status);
    }
}

#[test]
fn a_silent_verifier_holds_up_its_own_agents_only() {
    let other = vec![("10.0.0.6:8881", NOW - 500)];
    let case = |previous| Case { record: None, silent: other.clone(), previous, ..Case::new() };
    assert_eq!(case(Some(passing())).assess().reason, NodeReason::NotEnrolled);
    // No previous verifier: the silent one might know it.
    assert_eq!(case(None).assess().reason, NodeReason::KeylimeUnreachable);
    assert_eq!(Case { silent: other, ..Case::new() }.assess().reason, NodeReason::Attested);
}

#[test]
fn a_spiffe_id_stays_while_nobody_tells_and_goes_when_spire_says_so() {
    let known = Case::held(json!([keylime_agent(false)])).assess().status;
    let id = Some("spiffe://x/spire/agent/keylime/a".to_owned());
    assert_eq!(known.spiffe_id, id);
    let silent = Case { previous: Some(known.clone()), observed: true, ..Case::new() }.assess().status;
    assert_eq!((silent.spiffe_id, silent.conditions[2].reason.as_str()), (id, "NotObserved"));
    let off = Case { previous: Some(known.clone()), ..Case::new() }.assess().status;
    assert_eq!(off.spiffe_id, None);
    assert_eq!(Case { previous: Some(known), ..Case::held(json!([])) }.assess().status.spiffe_id, None);
}

#[test]
fn a_pod_without_the_plugin_has_no_identity_from_it() {
    let pod = |hash: Option<&str>| {
        Some(PodFacts { ready: true, hash: hash.map(str::to_owned), ..PodFacts::default() })
    };
    let assessed = |pod, observed, managed| Case { pod, observed, managed, ..Case::new() }.assess();
    for observed in [false, true] {
        let old = assessed(pod(None), observed, true);
        assert_eq!(old.reason, NodeReason::IdentityNotIssued);
        assert!(old.healthy);
        assert_eq!(conditions(&old.status)[2], ("False", "IdentityNotIssued"));
        assert_eq!(assessed(pod(Some("h")), observed, true).reason, NodeReason::Attested);
        // Nothing in such a pod shows whether its user has put the plugin into it.
        assert_eq!(assessed(pod(None), observed, false).reason, NodeReason::IdentityUnknown);
    }
}

#[test]
fn whether_a_node_is_enrolled_is_not_known_while_a_verifier_is_silent() {
    let of = |silent| Case { matched: Match::Nobody, record: None, silent, ..Case::new() }.assess().reason;
    assert_eq!(of(vec![]), NodeReason::NotEnrolled);
    assert_eq!(of(vec![(VERIFIER, NOW - 300)]), NodeReason::KeylimeUnreachable);
}

#[test]
fn each_condition_has_the_time_of_its_own_last_change() {
    let later = Case { previous: Some(passing()), now: NOW + 60, ..Case::of("FAIL", None) }.assess().status;
    let times = later.conditions.iter().map(|condition| condition.last_transition_time.0.as_second() - NOW);
    assert_eq!(times.collect::<Vec<_>>(), [60, 60, 0]);
}

#[test]
fn a_success_at_the_beginning_of_time_is_none() {
    assert_eq!(Case::of("PENDING", Some(0)).assess().last_success, None);
}

#[test]
fn a_record_of_an_agent_that_ran_before_a_rollback_is_no_identity() {
    let back = || pod(true).map(|pod| PodFacts { hash: None, ..pod });
    let of = |pod, agents| Case { pod, ..Case::held(agents) }.assess();
    let now = of(pod(true), json!([keylime_agent(false)]));
    assert_eq!((now.reason, now.status.spiffe_id.is_some()), (NodeReason::Attested, true));
    let recorded = of(back(), json!([keylime_agent(false)]));
    assert_eq!((recorded.reason, recorded.status.spiffe_id), (NodeReason::IdentityNotIssued, None));
    assert!(recorded.status.message.contains("a record of the one before"), "{}", recorded.status.message);
    let both = of(back(), json!([keylime_agent(false), psat_agent()]));
    assert_eq!((both.reason, both.status.spiffe_id), (NodeReason::IdentityOfOtherAttestor, None));
    assert_eq!(of(back(), json!([keylime_agent(true)])).reason, NodeReason::Banned);
    // Agents that the operator does not manage have no pods of its making.
    let unmanaged = Case { managed: false, pod: back(), ..Case::held(json!([keylime_agent(false)])) };
    assert_eq!(unmanaged.assess().reason, NodeReason::Attested);
}

#[test]
fn where_the_operator_puts_no_plugin_only_spire_tells_who_attested() {
    let unmanaged = |case: Case| Case { managed: false, ..case }.assess();
    let untold = unmanaged(Case::new());
    assert_eq!((untold.reason, untold.status.state), (NodeReason::IdentityUnknown, NodeState::Unknown));
    // Set up to report, without a report.
    let silent = unmanaged(Case { observed: true, ..Case::new() });
    assert_eq!(silent.reason, NodeReason::IdentityUnknown);
    let failing = unmanaged(Case::of("FAIL", Some(NOW as u64 - 1)));
    assert_eq!(failing.reason, NodeReason::KeylimeAttestationFailed);

    let ours = |expires: u64| json!({"spiffe_id": "k", "attestation_type": "keylime", "expires": expires, "banned": false, "agent_id": "a"});
    let theirs = |expires: u64| json!({"spiffe_id": "p", "attestation_type": "k8s_psat", "expires": expires, "banned": false, "node_uid": "u"});
    for (agents, expected) in [
        (json!([ours(100)]), NodeReason::Attested),
        (json!([ours(100), theirs(90)]), NodeReason::Attested),
        (json!([ours(90), theirs(100)]), NodeReason::IdentityOfOtherAttestor),
    ] {
        let assessed = unmanaged(Case::held(agents.clone()));
        assert_eq!(assessed.reason, expected, "{agents}");
        assert_eq!(assessed.status.spiffe_id.is_some(), expected == NodeReason::Attested);
    }
}

/// Where Keylime's agents push, `reactivate` does nothing, and no verifier reaches a port.
#[test]
fn a_node_in_push_mode_is_told_what_fits_it() {
    let of = |mode, status, last_success| {
        let mut case = Case::of(status, last_success);
        if let Some(record) = &mut case.record {
            record.node.mode = mode;
        }
        case.assess().status.message
    };
    let recent = Some(NOW as u64 - 1);
    for (status, last_success, push, pull) in [
        ("FAIL", recent, "keylime_tenant -c update --push-model", "-c reactivate"),
        ("TIMEOUT", recent, "that it reaches the verifier", "that the verifier runs and reaches it"),
        ("PENDING", Some(0), "its policy asks for something", "that the verifier reaches the node"),
        (
            "PASS",
            Some(NOW as u64 - 301),
            "that it reaches the verifier",
            "that the verifier runs and reaches",
        ),
    ] {
        let (in_push, in_pull) = (of(Mode::Push, status, last_success), of(Mode::Pull, status, last_success));
        assert!(in_push.contains(push) && !in_push.contains(pull), "{in_push}");
        assert!(in_pull.contains(pull) && !in_pull.contains(push), "{in_pull}");
    }
}

#[test]
fn a_node_in_push_mode_whose_agent_asks_at_a_port_is_told_of_the_quoter() {
    let told = |mode, asks_quoters, ready| {
        let mut case = Case { pod: pod(ready), asks_quoters, ..Case::held(json!([])) };
        if let Some(record) = &mut case.record {
            record.node.mode = mode;
        }
        let AttestedNodeStatus { reason, message, .. } = case.assess().status;
        let expected = if ready { "IdentityNotIssued" } else { "SpireAgentNotReady" };
        assert_eq!(reason, expected, "{message}");
        message.contains("set up for agents that listen: run keylime-attestor-quoter on the node")
    };
    for ready in [true, false] {
        assert!(told(Mode::Push, false, ready));
        assert!(!told(Mode::Push, true, ready));
        assert!(!told(Mode::Pull, false, ready));
    }
}

#[test]
fn an_interval_beyond_the_greatest_age_is_named() {
    let mut case = Case::of("PASS", Some(NOW as u64 - 301));
    if let Some(record) = &mut case.record {
        record.node.interval = Some(Duration::from_secs(300));
    }
    let AttestedNodeStatus { reason, message, .. } = case.assess().status;
    assert_eq!(reason, "Stale");
    assert!(message.contains("every 300 s (quote_interval)"), "{message}");
}
