//! The records of all agents, asked for at once.

use std::time::Duration;

use evidence::{AgentId, Attestation, Mode};
use keylime::{Doubt, Known, ServersConfig, States};
use lab::fake_keylime::{Fault, Node, Response, State};
use serde_json::json;

use super::{AGENT, SHORT, World, agent, at};

/// The states from these results of the verifier.
async fn read(results: &str) -> States {
    let world = World::new().await;
    let body = format!(r#"{{"code": 200, "status": "Success", "results": {results}}}"#);
    world.keylime.verifier.fault("bulk=true", Fault::Answer(Response::json(200, body)));
    world.servers().states().await
}

fn id(text: &str) -> AgentId {
    AgentId::new(text).unwrap()
}

/// The ids of the agents in doubt, as they came.
fn doubtful(states: &States) -> Vec<&str> {
    let doubts = states.doubts.iter();
    let agents = doubts.map(|doubt| match doubt {
        Doubt::Record { agent, .. } => agent.as_str(),
        Doubt::KnownTwice { agent, .. } => agent.as_str(),
    });
    agents.collect()
}

#[tokio::test]
async fn mode_and_interval_are_read_from_one_record_and_from_all() {
    let world = World::new().await;
    let servers = world.servers();
    for (ip, period, mode, interval) in [
        (json!("127.0.0.1"), json!("2s"), Mode::Pull, Some(2)),
        (json!(null), json!("600s"), Mode::Push, Some(600)),
        // Less than a second, and all that is no number of seconds, is told by no interval.
        (json!(null), json!("0s"), Mode::Push, None),
        (json!(null), json!("2m"), Mode::Push, None),
        (json!(null), json!("-1s"), Mode::Push, None),
        (json!(null), json!(2), Mode::Push, None),
        (json!(null), json!({"seconds": 2}), Mode::Push, None),
        (json!(null), json!(null), Mode::Push, None),
    ] {
        let state = State::pass().with("ip", ip).with("attestation_period", period.clone());
        world.keylime.add(Node::passing(AGENT, &[]).with_states([state]));
        let one = servers.state(&agent()).await.unwrap().node;
        let all = servers.states().await;
        let of_all = &all.agents.get(&agent()).unwrap().node;
        let expected = (mode, interval.map(Duration::from_secs));
        assert_eq!((one.mode, one.interval), expected, "{period}");
        assert_eq!((of_all.mode, of_all.interval), expected, "{period}");
    }
}

#[tokio::test]
async fn one_request_tells_of_all_agents() {
    let world = World::new().await;
    let servers = world.servers();
    world.keylime.add(Node::passing("b", &[]).with_states([State::fail().with("ip", json!("::1"))]));
    world.keylime.add(Node { enrolled: false, ..Node::passing("c", &[]) });
    let states = servers.states().await;
    assert_eq!(world.keylime.verifier.targets(), ["/version", "/v2.6/agents/?bulk=true"]);
    assert!(states.failures.is_empty() && states.doubts.is_empty(), "{states:?}");
    let found: Vec<_> = states
        .agents
        .iter()
        .map(|(id, state)| (id.as_str(), state.node.attestation, state.contact.as_ref().map(shown)))
        .collect();
    assert_eq!(
        found,
        [
            ("b", Attestation::Fail, Some("::1".to_owned())),
            (AGENT, Attestation::Pass, Some("127.0.0.1".to_owned()))
        ]
    );
    assert!(states.agents.values().all(|state| state.verifier == at(&world.keylime.verifier)));
    assert!(matches!(states.of_agent(&id("c")), Known::Nowhere));
    assert!(matches!(states.of_agent(&agent()), Known::At(_)));
}

#[tokio::test]
async fn an_empty_answer_says_that_there_are_no_agents() {
    let states = read("{}").await;
    assert!(states.agents.is_empty() && states.failures.is_empty());
    assert!(matches!(states.of_agent(&agent()), Known::Nowhere));
}

#[tokio::test]
async fn a_bad_record_is_reported_and_spoils_no_other() {
    let good = r#"{"attestation_status": "PASS", "operational_state": 3}"#;
    for bad in [
        r#"{"attestation_status": "FAIL", "attestation_status": "PASS", "operational_state": 3}"#,
        r#"{"attestation_status": null, "operational_state": 3}"#,
        r#"{"attestation_status": "REVOKED", "operational_state": 3}"#,
        r#"{"attestation_status": "PASS", "last_successful_attestation": -1}"#,
        r#"{"operational_state": 11}"#,
        r#"{"ip": {"a": [1]}}"#,
        "{}",
        "[]",
        r#"[{"attestation_status": "PASS"}, [1, {}]]"#,
        "null",
        "true",
        "3",
        "-3",
        "3.5",
        r#""PASS""#,
    ] {
        let states = read(&format!(r#"{{"a": {good}, "bad": {bad}, "z": {good}}}"#)).await;
        assert_eq!((states.agents.len(), doubtful(&states)), (2, vec!["bad"]), "{bad}: {states:?}");
        assert!(matches!(states.of_agent(&id("bad")), Known::Unclear), "{bad}");
        assert!(matches!(states.of_agent(&id("z")), Known::At(_)), "{bad}");
        assert!(matches!(states.of_agent(&id("other")), Known::Nowhere), "{bad}");
    }
}

#[tokio::test]
async fn an_address_that_is_none_is_no_reason_to_doubt() {
    let states = read(
        r#"{"a": {"attestation_status": "PASS", "ip": null}, "b": {"attestation_status": "PASS", "ip": "node7"},
            "c": {"attestation_status": "PASS", "ip": 7}, "d": {"attestation_status": "PASS"}}"#,
    )
    .await;
    assert_eq!((states.agents.len(), states.doubts.len()), (4, 0), "{states:?}");
    let contacts: Vec<_> = states.agents.values().map(|state| state.contact.as_ref().map(shown)).collect();
    assert_eq!(contacts, [None, Some("node7".to_owned()), None, None]);
}

#[tokio::test]
async fn ids_that_are_none_and_ids_told_twice_are_doubts() {
    let good = r#"{"attestation_status": "PASS"}"#;
    let states = read(&format!(
        r#"{{"a": {good}, "../x": {good}, "a": {good}, "b": {good}, "": {good}, "a": {good}}}"#
    ))
    .await;
    assert_eq!(doubtful(&states), ["", "../x", "a"]);
    assert_eq!(states.agents.keys().map(AgentId::as_str).collect::<Vec<_>>(), ["b"]);
    assert!(matches!(states.of_agent(&id("a")), Known::Unclear));
}

#[tokio::test]
async fn what_is_no_answer_is_a_failure_and_leaves_every_agent_unclear() {
    let body = |results: &str| format!(r#"{{"code": 200, "status": "Success", "results": {results}}}"#);
    let json = |text: &str| Fault::Answer(Response::json(200, text));
    for (fault, reason) in [
        (Fault::HangUp, "connection_closed"),
        (Fault::Hang, "answer_timeout"),
        (Fault::CutShort, "cut_short"),
        (Fault::Huge(64 * 1024 * 1024 + 1), "too_large"),
        (json(""), "not_json"),
        (json(&body("[]")), "wrong_shape"),
        (json(&body("null")), "wrong_shape"),
        (json(&body(r#"{"a": {"attestation_status": "FAIL"}, "b": {"#)), "cut_short"),
        (json(&body(r#"{"a": {"attestation_status": "FAIL"}"#)), "cut_short"),
        (json(r#"{"code": 200, "status": "Success"}"#), "wrong_shape"),
        (json(r#"{"code": 500, "status": "Success", "results": {}}"#), "wrong_shape"),
        (Fault::Answer(Response::json(404, body("{}"))), "unexpected_status"),
        (Fault::Answer(Response::json(403, "{}")), "client_certificate_refused"),
        (Fault::Answer(Response::html(200, body("{}"))), "not_json"),
    ] {
        let world = World::new().await;
        let config = ServersConfig { request_timeout: Duration::from_millis(500), ..world.config() };
        let servers = keylime::Servers::new(config).unwrap();
        world.keylime.verifier.fault("bulk=true", fault);
        let states = servers.states().await;
        let reasons: Vec<_> = states.failures.iter().map(keylime::Error::reason).collect();
        assert_eq!(reasons, [reason]);
        assert!(states.agents.is_empty());
        assert!(matches!(states.of_agent(&agent()), Known::Unclear), "{reason}");
    }
}

#[tokio::test]
async fn more_agents_than_any_verifier_has_are_refused_by_number() {
    let records = |number: usize| {
        let records: Vec<String> =
            (0..number).map(|number| format!(r#""n{number}": {{"operational_state": 3}}"#)).collect();
        format!("{{{}}}", records.join(","))
    };
    let states = read(&records(20_000)).await;
    assert_eq!((states.agents.len(), states.failures.len()), (20_000, 0));
    let states = read(&records(20_001)).await;
    let error = states.failures.first().unwrap();
    assert_eq!((error.reason(), states.agents.len()), ("too_large", 0));
    assert!(error.to_string().contains("at most 20000 agents"), "{error}");
}

#[tokio::test]
async fn an_answer_about_all_may_be_larger_and_take_longer_than_one_about_one() {
    let world = World::new().await;
    let servers = world.hasty_servers();
    let padding = json!("x".repeat(100_000));
    world.keylime.add(Node::recorded().with_states([State::pass().with("padding", padding)]));
    assert_eq!(servers.state(&agent()).await.unwrap_err().reason(), "too_large");
    let states = servers.states().await;
    assert_eq!((states.agents.len(), states.failures.len()), (1, 0), "{states:?}");

    world.keylime.verifier.fault("bulk=true", Fault::Hang);
    let error = servers.states().await.failures.remove(0);
    assert!(error.to_string().contains(&format!("within {:?}", SHORT * 6)), "{error}");
}

fn shown(contact: &keylime::Contact) -> String {
    match contact {
        keylime::Contact::Address(address) => address.to_string(),
        keylime::Contact::Name(name) => name.clone(),
    }
}
