use std::collections::BTreeMap;

use evidence::{Metadata, NodeState};
use hcl::Fields;
use keylime::{AgentState, Doubt, Endpoint, Error, Server, Unreachable};

use super::*;
use crate::enforcement::settings::Settings;

fn id(text: &str) -> AgentId {
    AgentId::new(text).unwrap()
}

fn verifier() -> Endpoint {
    Endpoint::new("verifier.example", 8881).unwrap()
}

fn agents(ids: &[&str]) -> Vec<Watched> {
    let one = |text: &&str| Watched { spiffe_id: format!("spiffe://td/{text}"), agent_id: Some(id(text)) };
    ids.iter().map(one).collect()
}

fn states(known: &[(&str, Attestation)]) -> States {
    let state = |agent: &str, attestation| {
        let node = NodeState {
            agent_id: id(agent),
            attestation,
            mode: evidence::Mode::Pull,
            interval: None,
            // Never: an old success is no fault here.
            last_success: Some(0),
            hash_alg: None,
            verifier_id: None,
            runtime_policy: false,
            measured_boot: false,
            tpm_policy_pcrs: Default::default(),
            metadata: Metadata::default(),
        };
        AgentState { node, contact: None, verifier: verifier() }
    };
    let agents: BTreeMap<_, _> =
        known.iter().map(|(agent, attestation)| (id(agent), state(agent, *attestation))).collect();
    States { agents, doubts: Vec::new(), failures: Vec::new() }
}

fn percent(share: &str) -> Share {
    let mut fields = Fields::parse(&format!("enforcement {{ max_unhealthy = {share:?} }}")).unwrap();
    Settings::take(&mut fields).unwrap().max_unhealthy
}

fn rules(grace: u64, max_per_poll: usize, share: &str) -> Rules {
    let grace = Duration::from_secs(grace);
    Rules { grace, unreachable_grace: 10 * grace, max_per_poll, max_unhealthy: percent(share) }
}

/// The agents that are due, by their ids at Keylime.
fn due(assessment: &Assessment) -> Vec<&str> {
    assessment.due.iter().map(|candidate| candidate.agent_id.as_str()).collect()
}

#[test]
fn only_fail_timeout_and_unknown_are_faults() {
    let agents = agents(&["fail", "nobody", "pass", "pending", "timeout"]);
    let states = states(&[
        ("fail", Attestation::Fail),
        ("pass", Attestation::Pass),
        ("pending", Attestation::Pending),
        ("timeout", Attestation::Timeout),
    ]);
    let assessment = Memory::default().assess(Instant::now(), &agents, &states, rules(0, 10, "100%"));
    assert_eq!(due(&assessment), ["fail", "nobody", "timeout"]);
    assert_eq!(
        (assessment.listed, assessment.failing, assessment.unknown, assessment.held),
        (5, 2, 1, false)
    );
    let faults: Vec<_> = assessment.due.iter().map(|one| one.fault).collect();
    assert_eq!(faults, [Fault::Failing, Fault::Unknown, Fault::TimedOut]);
}

#[test]
fn an_agent_in_doubt_and_one_without_an_id_are_never_at_fault() {
    let mut watched = agents(&["bad", "twice"]);
    watched.push(Watched { spiffe_id: "spiffe://td/other".into(), agent_id: None });
    let mut states = states(&[]);
    states.doubts = vec![
        Doubt::Record { verifier: verifier(), agent: "bad".into(), detail: String::new() },
        Doubt::KnownTwice { agent: id("twice"), verifiers: [verifier(), verifier()] },
    ];
    let assessment = Memory::default().assess(Instant::now(), &watched, &states, rules(0, 10, "100%"));
    assert_eq!(assessment, Assessment { listed: 3, ..Assessment::default() });
}

#[test]
fn nobody_is_unknown_while_a_verifier_is_away() {
    let mut states = states(&[]);
    let server = Server { role: keylime::Role::Verifier, endpoint: verifier(), socket: None };
    states.failures = vec![Error::Unreachable { server, cause: Unreachable::Connect("refused".into()) }];
    let assessment = Memory::default().assess(Instant::now(), &agents(&["a"]), &states, rules(0, 10, "100%"));
    assert_eq!(assessment, Assessment { listed: 1, ..Assessment::default() });
}

#[test]
fn the_grace_is_over_after_polls_that_all_said_the_same() {
    let (start, agents) = (Instant::now(), agents(&["a", "b", "c"]));
    let fail = states(&[("a", Attestation::Fail), ("b", Attestation::Pass), ("c", Attestation::Pass)]);
    let pass = states(&[("a", Attestation::Pass), ("b", Attestation::Pass), ("c", Attestation::Pass)]);
    let rules = rules(20, 10, "50%");
    let mut memory = Memory::default();
    let mut poll = |seconds: u64, states: &States| {
        let assessment = memory.assess(start + Duration::from_secs(seconds), &agents, states, rules);
        (assessment.failing, due(&assessment).len())
    };
    assert_eq!(poll(0, &fail), (1, 0));
    assert_eq!(poll(19, &fail), (1, 0));
    assert_eq!(poll(20, &fail), (1, 1));
    // It was well in between: it begins anew.
    assert_eq!(poll(30, &pass), (0, 0));
    assert_eq!(poll(40, &fail), (1, 0));
    assert_eq!(poll(60, &fail), (1, 1));
}

#[test]
fn who_is_not_heard_of_has_a_grace_of_its_own_which_a_failure_ends() {
    let (start, agents) = (Instant::now(), agents(&["silent", "cut-off", "a", "b", "c"]));
    let say = |silent, cut_off| {
        let pass = ["a", "b", "c"].map(|id| (id, Attestation::Pass));
        states(&[&[("silent", silent), ("cut-off", cut_off)][..], &pass].concat())
    };
    let (timeout, unreachable) = (Attestation::Timeout, Attestation::Unreachable);
    let mut memory = Memory::default();
    let mut poll = |seconds: u64, states: &States| {
        let now = start + Duration::from_secs(seconds);
        let assessment = memory.assess(now, &agents, states, rules(20, 10, "50%"));
        due(&assessment).into_iter().map(str::to_owned).collect::<Vec<_>>()
    };
    assert!(poll(0, &say(timeout, unreachable)).is_empty());
    // The one not heard of is not reached either: no other fault.
    assert!(poll(199, &say(unreachable, timeout)).is_empty());
    assert_eq!(poll(200, &say(timeout, unreachable)), ["cut-off", "silent"]);
    // A failure is one from now on, also where silence follows it.
    assert!(poll(201, &say(Attestation::Fail, Attestation::Pass)).is_empty());
    assert_eq!(poll(221, &say(timeout, Attestation::Pass)), ["silent"]);
    // Found good between, it begins anew.
    assert!(poll(222, &say(Attestation::Pass, Attestation::Pass)).is_empty());
    assert!(poll(243, &say(timeout, Attestation::Pass)).is_empty());
}

#[test]
fn a_poll_that_failed_and_a_second_answer_that_differs_begin_the_grace_anew() {
    let (start, agents) = (Instant::now(), agents(&["a", "b"]));
    let fail = states(&[("a", Attestation::Fail), ("b", Attestation::Pass)]);
    let rules = rules(20, 10, "50%");
    let later = |seconds| start + Duration::from_secs(seconds);
    let mut memory = Memory::default();
    assert!(memory.assess(later(0), &agents, &fail, rules).due.is_empty());
    memory.forget();
    assert!(memory.assess(later(30), &agents, &fail, rules).due.is_empty());
    let assessment = memory.assess(later(50), &agents, &fail, rules);
    assert_eq!(due(&assessment), ["a"]);
    memory.acquit(&assessment.due[0]);
    assert!(memory.assess(later(60), &agents, &fail, rules).due.is_empty());
    assert_eq!(due(&memory.assess(later(80), &agents, &fail, rules)), ["a"]);
}

#[test]
fn an_agent_that_attests_anew_has_its_grace_anew() {
    let (start, both) = (Instant::now(), agents(&["a", "b"]));
    let fail = states(&[("a", Attestation::Fail), ("b", Attestation::Pass)]);
    let rules = rules(20, 10, "50%");
    let mut memory = Memory::default();
    memory.assess(start, &both, &fail, rules);
    memory.assess(start + Duration::from_secs(10), &agents(&["b"]), &fail, rules);
    assert!(memory.assess(start + Duration::from_secs(20), &both, &fail, rules).due.is_empty());
}

#[test]
fn no_more_go_at_one_poll_than_may_and_the_longest_at_fault_first() {
    let start = Instant::now();
    let ids = ["a", "b", "c", "d", "e", "f", "g", "h"];
    let all = agents(&ids);
    let pass = |but: &[&str]| {
        let of =
            |id: &&'static str| (*id, if but.contains(id) { Attestation::Fail } else { Attestation::Pass });
        states(&ids.iter().map(of).collect::<Vec<_>>())
    };
    let mut memory = Memory::default();
    let rules = rules(10, 2, "50%");
    memory.assess(start, &all, &pass(&["d"]), rules);
    memory.assess(start + Duration::from_secs(1), &all, &pass(&["d", "b", "c", "a"]), rules);
    let assessment =
        memory.assess(start + Duration::from_secs(11), &all, &pass(&["d", "b", "c", "a"]), rules);
    assert_eq!((assessment.failing, due(&assessment)), (4, vec!["d", "a"]));
}

#[test]
fn when_too_large_a_share_is_at_fault_nobody_goes_those_in_their_grace_counted_too() {
    let start = Instant::now();
    let all = agents(&["a", "b", "c", "d"]);
    let some = |but: &[&str]| {
        let of =
            |id: &&'static str| (*id, if but.contains(id) { Attestation::Fail } else { Attestation::Pass });
        states(&["a", "b", "c", "d"].iter().map(of).collect::<Vec<_>>())
    };
    let rules = rules(10, 10, "50%");
    let mut memory = Memory::default();
    memory.assess(start, &all, &some(&["a"]), rules);
    let assessment = memory.assess(start + Duration::from_secs(10), &all, &some(&["a", "b", "c"]), rules);
    assert!(assessment.held && assessment.due.is_empty(), "{assessment:?}");
    // Exactly the share is not more than it.
    let assessment = memory.assess(start + Duration::from_secs(11), &all, &some(&["a", "b"]), rules);
    assert_eq!((assessment.held, due(&assessment)), (false, vec!["a"]));
    // A verifier that has lost everything.
    let assessment = memory.assess(start + Duration::from_secs(60), &all, &states(&[]), rules);
    assert!(assessment.held && assessment.due.is_empty() && assessment.unknown == 4, "{assessment:?}");
}

#[test]
fn without_agents_there_is_nothing_to_do() {
    let assessment = Memory::default().assess(Instant::now(), &[], &states(&[]), rules(0, 10, "1%"));
    assert_eq!(assessment, Assessment::default());
}
