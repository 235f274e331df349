//! The calls to verifier and registrar, and their answers.

use std::process::Command;

use evidence::{AgentId, Attestation, HashAlg};
use keylime::{Confirmation, Error, Malformed};
use lab::fake_keylime::recorded::UNKNOWN_AGENT;
use lab::fake_keylime::{Fault, LastSuccess, Node, Response, State, Valid};
use serde_json::json;

use super::{AGENT, NONCE, World, agent, at, confirm, nonce};

#[tokio::test]
async fn the_servers_answer() {
    let world = World::new().await;
    let servers = world.servers();
    let registration = servers.registration(&agent()).await.unwrap();
    assert_eq!(registration.agent_id, agent());
    let state = servers.state(&agent()).await.unwrap().node;
    assert_eq!((state.agent_id, state.attestation), (agent(), Attestation::Pass));
    assert_eq!(confirm(&servers).await.unwrap(), Confirmation::Valid);
}

/// Runs the test above in a process whose environment names proxies that do not exist.
#[test]
fn proxies_of_the_environment_are_not_used() {
    let mut again = Command::new(std::env::current_exe().unwrap());
    again.args(["--exact", "servers::the_servers_answer"]);
    for name in ["http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"] {
        again.env(name, "http://127.0.0.1:1");
    }
    let output = again.env_remove("NO_PROXY").env_remove("no_proxy").output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && text.contains("1 passed"), "{text}");
}

#[tokio::test]
async fn everything_in_the_verifiers_record_is_read() {
    let world = World::new().await;
    let state = State::new("FAIL", 9, LastSuccess::At(1795500143))
        .with("hash_alg", json!("sha384"))
        .with("verifier_id", json!("east"))
        .with("has_runtime_policy", json!(1))
        .with("has_mb_refstate", json!(1))
        .with("tpm_policy", json!(r#"{"15": ["00"], "7": ["00"], "mask": "0x8080"}"#))
        .with("meta_data", json!(r#"{"rack": "r7"}"#));
    world.keylime.add(Node::recorded().with_states([state]));
    let state = world.servers().state(&agent()).await.unwrap().node;
    assert_eq!((state.attestation, state.last_success), (Attestation::Fail, Some(1795500143)));
    assert_eq!((state.hash_alg, state.verifier_id.as_deref()), (Some(HashAlg::Sha384), Some("east")));
    assert!(state.runtime_policy && state.measured_boot);
    assert_eq!(Vec::from_iter(state.tpm_policy_pcrs), [7, 15]);
    assert_eq!(state.metadata.get(&"rack".parse().unwrap()), Some("r7"));
}

#[tokio::test]
async fn a_record_without_optional_members_is_read() {
    let world = World::new().await;
    let mut state = State::pass().last_success(LastSuccess::Absent);
    let members =
        ["hash_alg", "verifier_id", "has_runtime_policy", "has_mb_refstate", "tpm_policy", "meta_data"];
    for member in members {
        state = state.with(member, json!(null));
    }
    state.attestation_status = None;
    world.keylime.add(Node::recorded().with_states([state]));
    let state = world.servers().state(&agent()).await.unwrap().node;
    assert_eq!((state.attestation, state.last_success, state.hash_alg), (Attestation::Pass, None, None));
    assert!(!state.runtime_policy && !state.measured_boot && state.verifier_id.is_none());
    assert!(state.tpm_policy_pcrs.is_empty());
}

#[tokio::test]
async fn the_state_is_the_one_of_now() {
    let world = World::new().await;
    world.keylime.add(Node::recorded().with_states([State::pass(), State::fail(), State::pending()]));
    let servers = world.servers();
    for expected in [Attestation::Pass, Attestation::Fail, Attestation::Pending, Attestation::Pending] {
        assert_eq!(servers.state(&agent()).await.unwrap().node.attestation, expected);
    }
}

#[tokio::test]
async fn records_that_could_be_taken_in_two_ways_are_refused() {
    let world = World::new().await;
    let servers = world.servers();
    let results = [
        r#"{"attestation_status": "FAIL", "attestation_status": "PASS", "operational_state": 3}"#,
        r#"{"attestation_status": null, "operational_state": 3}"#,
        r#"{"attestation_status": "pass", "operational_state": 3}"#,
        r#"{"attestation_status": "REVOKED", "operational_state": 3}"#,
        r#"{"attestation_status": 3, "operational_state": 3}"#,
        r#"{"operational_state": 11}"#,
        r#"{"operational_state": -1}"#,
        r#"{"operational_state": "3"}"#,
        r#"{"operational_state": 3.5}"#,
        r#"{"operational_state": null}"#,
        r#"{"attestation_status": "PASS", "last_successful_attestation": -1}"#,
        r#"{"attestation_status": "PASS", "last_successful_attestation": "1795499247"}"#,
        r#"{"attestation_status": "PASS", "last_successful_attestation": 1, "last_successful_attestation": 2}"#,
        r#"{"attestation_status": "PASS", "has_runtime_policy": 2}"#,
        r#"{"attestation_status": "PASS", "has_mb_refstate": true}"#,
        r#"{"attestation_status": "PASS", "tpm_policy": {}}"#,
        "[]",
        r#"["PASS", 3, 1795499247, "sha256", "default", 0, 0, "{}", "{}"]"#,
        "null",
        r#""PASS""#,
    ];
    for results in results {
        let body = format!(r#"{{"code": 200, "status": "Success", "results": {results}}}"#);
        world.keylime.verifier.heal();
        world.keylime.verifier.fault("/agents/", Fault::Answer(Response::json(200, body)));
        assert_eq!(servers.state(&agent()).await.unwrap_err().reason(), "wrong_shape", "{results}");
    }
}

#[tokio::test]
async fn only_1_and_0_are_words_on_a_quote() {
    let world = World::new().await;
    let servers = world.servers();
    let answers = [
        (r#"{"code": 200, "status": "Success", "results": {"valid": 2}}"#, "wrong_shape"),
        (r#"{"code": 200, "status": "Success", "results": {"valid": true}}"#, "wrong_shape"),
        (r#"{"code": 200, "status": "Success", "results": {"valid": "1"}}"#, "wrong_shape"),
        (r#"{"code": 200, "status": "Success", "results": {"valid": 0, "valid": 1}}"#, "wrong_shape"),
        (r#"{"code": 200, "status": "Success", "results": {}}"#, "wrong_shape"),
        (r#"{"code": 404, "status": "Success", "results": {"valid": 1}}"#, "wrong_shape"),
        (r#"{"status": "Success", "results": {"valid": 1}}"#, "wrong_shape"),
        (r#"{"code": 200, "results": {"valid": 1}}"#, "wrong_shape"),
        (r#"{"code": 200, "status": "Success", "results": [1]}"#, "wrong_shape"),
        (r#"[200, "Success", {"valid": 1}]"#, "wrong_shape"),
        (r#"{"code": 200, "status": "Success", "results": {"valid": 1}} {}"#, "not_json"),
        (r#"{"code": 200, "status": "Success", "results": {"valid": 1}"#, "cut_short"),
        ("", "not_json"),
    ];
    for (body, reason) in answers {
        world.keylime.verifier.heal();
        world.keylime.verifier.fault("/verify/", Fault::Answer(Response::json(200, body)));
        assert_eq!(confirm(&servers).await.unwrap_err().reason(), reason, "{body}");
    }
    world.keylime.verifier.heal();
    world.keylime.change(AGENT, |node| node.valid = Valid::Nothing);
    assert_eq!(confirm(&servers).await.unwrap(), Confirmation::Invalid);
}

#[tokio::test]
async fn only_keylimes_own_not_found_says_that_an_agent_is_unknown() {
    let world = World::new().await;
    let servers = world.servers();
    world.keylime.remove(AGENT);
    for error in [
        servers.registration(&agent()).await.unwrap_err(),
        servers.state(&agent()).await.unwrap_err(),
        confirm(&servers).await.unwrap_err(),
    ] {
        assert!(matches!(&error, Error::UnknownAgent { agent: unknown, .. } if *unknown == agent()));
        assert!(error.is_refusal());
    }
    // Not known, and yet in the list; not known, and without a list.
    world.keylime.add(Node::recorded());
    for (reason, list) in [
        ("listed_yet_unknown", None),
        ("server_error", Some(Response::html(500, ""))),
        ("not_json", Some(Response::html(200, ""))),
        (
            "wrong_shape",
            Some(Response::json(200, r#"{"code": 200, "status": "Success", "results": {"uuids": ["a"]}}"#)),
        ),
    ] {
        world.keylime.verifier.heal();
        for path in [&format!("/agents/{AGENT}"), "/verify/identity"] {
            world.keylime.verifier.fault(path, Fault::Answer(Response::json(404, UNKNOWN_AGENT)));
        }
        if let Some(list) = list {
            world.keylime.verifier.fault("/agents/", Fault::Answer(list));
        }
        let servers = world.servers();
        for error in [servers.state(&agent()).await.unwrap_err(), confirm(&servers).await.unwrap_err()] {
            assert_eq!((error.reason(), error.is_refusal()), (reason, false), "{error}");
        }
    }
    world.keylime.verifier.heal();
    for answer in [
        Response::html(404, "<h1>not found</h1>"),
        Response::html(404, r#"{"code": 404, "status": "agent id not found", "results": {}}"#),
        Response::json(404, r#"{"error": "not found"}"#),
        Response::json(404, r#"{"code": 200, "status": "agent id not found", "results": {}}"#),
        Response::json(404, ""),
    ] {
        world.keylime.verifier.heal();
        world.keylime.verifier.fault("/agents/", Fault::Answer(answer.clone()));
        let error = servers.state(&agent()).await.unwrap_err();
        assert_eq!((error.reason(), error.is_refusal()), ("unexpected_status", false), "{answer:?}");
    }
}

#[tokio::test]
async fn a_record_of_another_agent_is_refused() {
    let world = World::new().await;
    for other in ["d432fbb3-d2f1-4a97-9ef7-75bd81c00002", "D432FBB3-D2F1-4A97-9EF7-75BD81C00001", ""] {
        world.keylime.change(AGENT, |node| node.answered_id = other.to_owned());
        let error = world.servers().registration(&agent()).await.unwrap_err();
        assert!(matches!(&error, Error::Malformed { cause: Malformed::WrongAgent(id), .. } if id == other));
        assert_eq!((error.reason(), error.is_refusal()), ("another_agent", false));
    }
}

#[tokio::test]
async fn an_ak_that_is_none_is_malformed_and_one_that_may_not_sign_is_a_refusal() {
    let world = World::new().await;
    let ek = Node::recorded().ek_tpm;
    for (ak, reason, refusal) in
        [("!", "wrong_shape", false), ("AAAA", "wrong_shape", false), (ek.as_str(), "ak_not_signing", true)]
    {
        world.keylime.change(AGENT, |node| node.aik_tpm = ak.to_owned());
        let error = world.servers().registration(&agent()).await.unwrap_err();
        assert_eq!((error.reason(), error.is_refusal()), (reason, refusal), "{ak}");
    }
}

#[tokio::test]
async fn an_ek_may_be_missing_but_not_be_wrong() {
    let world = World::new().await;
    world.keylime.change(AGENT, |node| node.ek_tpm = String::new());
    assert!(world.servers().registration(&agent()).await.unwrap().ek.is_none());
    world.keylime.change(AGENT, |node| node.ek_tpm = "AAAA".to_owned());
    assert_eq!(world.servers().registration(&agent()).await.unwrap_err().reason(), "wrong_shape");
}

#[tokio::test]
async fn what_is_asked_arrives_unchanged() {
    let world = World::new().await;
    let servers = world.servers();
    let odd = AgentId::new("a.b-c_D...").unwrap();
    let quote = "r+/=:&agent_uuid=x#? %2b:é";
    servers.state(&odd).await.unwrap_err();
    servers
        .confirm_identity(&at(&world.keylime.verifier), &odd, quote, &nonce(), HashAlg::Sha512)
        .await
        .unwrap_err();
    let targets = world.keylime.verifier.targets();
    assert_eq!(targets[1], "/v2.6/agents/a.b-c_D...");
    let quote = "r%2B%2F%3D%3A%26agent_uuid%3Dx%23%3F+%252b%3A%C3%A9";
    let expected =
        format!("/v2.6/verify/identity?agent_uuid=a.b-c_D...&hash_alg=sha512&nonce={NONCE}&quote={quote}");
    // In between is the list, which has no such agent: once for both.
    assert_eq!(targets[2], "/v2.6/agents/");
    assert_eq!(targets[3], expected);
}

#[tokio::test]
async fn an_attestation_takes_four_requests_and_no_new_handshake_once_warm() {
    let world = World::new().await;
    let servers = world.servers();
    let attest = async || {
        let node = agent();
        let (registration, state) = tokio::join!(servers.registration(&node), servers.state(&node));
        registration.unwrap();
        state.unwrap();
        confirm(&servers).await.unwrap();
        servers.state(&agent()).await.unwrap();
    };
    attest().await;
    let (verifier, registrar) = (&world.keylime.verifier, &world.keylime.registrar);
    let served = verifier.served() + registrar.served();
    assert_eq!((served, verifier.handshakes(), registrar.handshakes()), (6, 1, 1));
    for _ in 0..10 {
        attest().await;
    }
    assert_eq!(verifier.served() + registrar.served(), served + 40);
    assert_eq!((verifier.handshakes(), registrar.handshakes()), (1, 1));
}

#[tokio::test]
async fn an_agent_that_is_registered_and_not_activated_is_told_apart() {
    let world = World::new().await;
    let status = format!("Agent with ID {AGENT} has not been activated");
    let body = serde_json::json!({"code": 404, "status": status, "results": {}}).to_string();
    world.keylime.registrar.fault("/agents/", Fault::Answer(Response::json(404, body)));
    let error = world.servers().registration(&agent()).await.unwrap_err();
    assert_eq!((error.reason(), error.is_refusal()), ("not_activated", true));
    assert!(
        error.to_string().contains("registered, but not activated; see the Keylime agent's log"),
        "{error}"
    );
}
