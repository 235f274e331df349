//! The verdict: every state and age, at their edges.

use super::*;
use crate::{AgentId, Code, Mode};

const NOW: u64 = 1_795_499_600;
const MAX_AGE: Option<Duration> = Some(Duration::from_secs(300));

fn state(attestation: Attestation, last_success: Option<u64>) -> NodeState {
    NodeState {
        agent_id: AgentId::new("node").unwrap(),
        attestation,
        mode: Mode::Pull,
        interval: None,
        last_success,
        hash_alg: None,
        verifier_id: None,
        runtime_policy: false,
        measured_boot: false,
        tpm_policy_pcrs: std::collections::BTreeSet::new(),
        metadata: crate::Metadata::default(),
    }
}

fn judge(attestation: Attestation, last_success: Option<u64>) -> Result<(), Refusal> {
    judge_state(&state(attestation, last_success), NOW, MAX_AGE)
}

#[test]
fn a_node_that_passes_and_did_so_lately_is_let_in() {
    for last_success in [NOW, NOW - 1, NOW - 300, NOW + 60] {
        assert_eq!(judge(Attestation::Pass, Some(last_success)), Ok(()));
    }
}

#[test]
fn any_other_state_is_refused_by_its_name() {
    assert_eq!(judge(Attestation::Fail, Some(NOW)), Err(Refusal::NodeFails { mode: Mode::Pull }));
    assert_eq!(judge(Attestation::Pending, Some(NOW)), Err(Refusal::NodePending { mode: Mode::Pull }));
    assert_eq!(judge(Attestation::Unreachable, Some(NOW)), Err(Refusal::NodeUnreachable));
    assert_eq!(judge(Attestation::Timeout, Some(NOW)), Err(Refusal::NodeTimedOut));
    assert_eq!(
        judge_state(&state(Attestation::Fail, Some(NOW)), NOW, None),
        Err(Refusal::NodeFails { mode: Mode::Pull })
    );
}

#[test]
fn an_old_pass_is_refused() {
    let refusal = judge(Attestation::Pass, Some(NOW - 301)).unwrap_err();
    assert_eq!(refusal.reason(), "stale");
    assert!(refusal.to_string().contains("301 s old; at most 300 s"), "{refusal}");
}

#[test]
fn an_interval_that_makes_every_pass_old_is_named() {
    for (interval, text) in [
        (None, "hears of the agent"),
        (Some(299), "hears of the agent"),
        (Some(300), "attests it every 300 s (quote_interval)"),
        (Some(3600), "attests it every 3600 s (quote_interval)"),
    ] {
        let interval = interval.map(Duration::from_secs);
        let state = NodeState { interval, ..state(Attestation::Pass, Some(NOW - 301)) };
        let refusal = judge_state(&state, NOW, MAX_AGE).unwrap_err().to_string();
        assert!(refusal.contains(text), "{refusal}");
        assert_eq!(state.interval_beyond(None), None);
    }
}

#[test]
fn a_pass_without_a_time_is_refused_while_the_age_is_checked() {
    for last_success in [None, Some(0)] {
        assert_eq!(judge(Attestation::Pass, last_success), Err(Refusal::NeverPassed));
        assert_eq!(judge_state(&state(Attestation::Pass, last_success), NOW, None), Ok(()));
    }
}

#[test]
fn a_pass_that_lies_in_the_future_beyond_the_clocks_tolerance_is_refused() {
    let refusal = judge(Attestation::Pass, Some(NOW + 61)).unwrap_err();
    assert_eq!(refusal, Refusal::LastSuccessInFuture { ahead: Duration::from_secs(61) });
    assert!(judge(Attestation::Pass, Some(u64::MAX)).is_err());
    assert_eq!(
        judge_state(&state(Attestation::Pass, Some(1)), u64::MAX, MAX_AGE).unwrap_err().reason(),
        "stale"
    );
}

#[test]
fn a_state_that_changed_says_what_it_changed_to() {
    let refusal = judge_state_again(&state(Attestation::Fail, Some(NOW)), NOW, MAX_AGE).unwrap_err();
    assert_eq!((refusal.reason(), refusal.code()), ("state_changed", Code::PermissionDenied));
    assert!(refusal.to_string().contains("FAIL"));
    assert_eq!(judge_state_again(&state(Attestation::Pass, Some(NOW)), NOW, MAX_AGE), Ok(()));
}
