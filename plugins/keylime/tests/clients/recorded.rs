//! Every recorded answer of a real Keylime is taken for what it is.

use std::collections::BTreeSet;
use std::fmt::Debug;
use std::path::{Path, PathBuf};

use evidence::{AgentId, HashAlg};
use keylime::{AgentState, Error, NodeAgent, NodeAgentConfig, States};
use lab::fake_keylime::{FakeAgent, FakeAgentConfig, FakeServer, Fault, Response};

use super::{AGENT, PATIENT, World, agent, at, nonce};
use Call::*;
use Kind::*;

/// The question of a recorded answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Call {
    VerifierVersion,
    RegistrarVersion,
    AgentVersion,
    State,
    Bulk,
    Confirm,
    Registration,
    Info,
    Quote,
}

/// The content type it came with.
#[derive(Debug, Clone, Copy)]
enum Kind {
    Json,
    Html,
    Nothing,
}

/// Call, file, status, content type, end of the id asked for, and what it must be taken for: for a
/// version the path of the next request, else the value or the error's reason.
#[rustfmt::skip]
const ANSWERS: &[(Call, &str, u16, Kind, &str, &str)] = &[
    // VerifierVersion
    (VerifierVersion, "verifier-version", 200, Json, "00001", "v2.6"),
    (VerifierVersion, "verifier-versions", 200, Json, "00001", "v2.6"),
    (VerifierVersion, "verifier-push-version", 410, Json, "00001", "v2.2"),
    (VerifierVersion, "verifier-push-versions", 410, Json, "00001", "v2.2"),
    // RegistrarVersion
    (RegistrarVersion, "registrar-version", 200, Json, "00001", "v2.6"),
    (RegistrarVersion, "registrar-version-http", 200, Json, "00001", "v2.6"),
    // AgentVersion
    (AgentVersion, "agent-version", 200, Json, "00001", "v2.6"),
    (AgentVersion, "agent-mtls-off-version", 200, Json, "00001", "v2.6"),
    (AgentVersion, "pyagent-version", 200, Json, "00001", "v2.1"),
    // State
    (State, "verifier-root", 307, Html, "00001", "redirect"),
    (State, "verifier-agents-uuids", 200, Json, "00001", "wrong_shape"),
    (State, "verifier-agent-pass", 200, Json, "00001", "Pass"),
    (State, "verifier-agent-pass-v2.1", 200, Json, "00001", "Pass"),
    (State, "verifier-agent-pass-v3.0-pull", 500, Html, "00001", "server_error"),
    (State, "verifier-agent-unknown", 404, Json, "fffff", "unknown_agent"),
    (State, "verifier-agent-no-client-cert", 403, Json, "00001", "client_certificate_refused"),
    (State, "verifier-agents-no-client-cert", 403, Json, "00001", "client_certificate_refused"),
    (State, "verifier-wrong-api-version", 404, Html, "00001", "unexpected_status"),
    (State, "verifier-v1.0-agent", 404, Html, "00001", "unexpected_status"),
    (State, "verifier-unknown-path", 404, Html, "00001", "unexpected_status"),
    (State, "verifier-agent-invalid-id-dotdot", 400, Json, "00001", "unexpected_status"),
    (State, "verifier-agent-invalid-id-slash", 400, Json, "00001", "unexpected_status"),
    (State, "verifier-agent-invalid-id-rawdots", 404, Html, "00001", "unexpected_status"),
    (State, "verifier-agent-invalid-id-space", 400, Json, "00001", "unexpected_status"),
    (State, "verifier-agent-id-case", 404, Json, "00001", "unknown_agent"),
    (State, "verifier-agent-id-query", 200, Json, "00001", "Pass"),
    (State, "verifier-agents-index-quote-params", 200, Json, "00001", "wrong_shape"),
    (State, "verifier-agent-fail-policy", 200, Json, "00005", "Fail"),
    (State, "verifier-agent-fail-unreachable", 200, Json, "00006", "Unreachable"),
    (State, "verifier-agent-deleted", 404, Json, "00006", "unknown_agent"),
    (State, "verifier-agent-pending", 200, Json, "00006", "Pending"),
    (State, "verifier-agent-stopped", 200, Json, "00006", "Fail"),
    (State, "verifier-agent-pass-mtls-off", 200, Json, "00002", "Pass"),
    (State, "verifier-agent-fail-quote", 200, Json, "00001", "Fail"),
    (State, "verifier-push-agent-pass", 200, Json, "00003", "Pass"),
    (State, "verifier-push-agent-v3.0", 500, Html, "00003", "server_error"),
    (State, "verifier-push-agents-v3.0", 500, Html, "00001", "server_error"),
    (State, "verifier-push-attestations-latest", 201, Json, "00003", "unexpected_status"),
    (State, "verifier-push-attestations", 500, Html, "00003", "server_error"),
    (State, "verifier-push-root", 307, Html, "00001", "redirect"),
    (State, "verifier-push-agent-timeout", 200, Json, "00003", "Timeout"),
    (State, "verifier-push-agent-pending", 200, Json, "00003", "Pending"),
    (State, "verifier-push-agent-fail", 200, Json, "00003", "Fail"),
    (State, "pyagent-verifier-agent", 200, Json, "00004", "Pass"),
    // Bulk
    (Bulk, "verifier-agents-bulk", 200, Json, "00001", "00001 Pass 127.0.0.1, 00005 Fail 127.0.0.1, 00006 Fail 127.0.0.1"),
    (Bulk, "verifier-agents-bulk-no-slash", 200, Json, "00001", "00001 Pass 127.0.0.1, 00005 Pass 127.0.0.1, 00006 Pass 127.0.0.1"),
    (Bulk, "verifier-agents-bulk-empty", 200, Json, "00001", "nobody"),
    (Bulk, "verifier-push-agents-bulk", 200, Json, "00003", "00003 Pass nowhere"),
    // Confirm
    (Confirm, "verifier-wrong-method", 405, Html, "00001", "unexpected_status"),
    (Confirm, "verifier-identity-valid", 200, Json, "00001", "Valid"),
    (Confirm, "verifier-identity-valid-no-client-cert", 200, Json, "00001", "Valid"),
    (Confirm, "verifier-identity-replayed", 200, Json, "00001", "Valid"),
    (Confirm, "verifier-identity-wrong-nonce", 200, Json, "00001", "Invalid"),
    (Confirm, "verifier-identity-wrong-hash", 200, Json, "00001", "Invalid"),
    (Confirm, "verifier-identity-unknown-hash", 200, Json, "00001", "Invalid"),
    (Confirm, "verifier-identity-malformed-quote", 200, Json, "00001", "Invalid"),
    (Confirm, "verifier-identity-malformed-quote-no-r", 200, Json, "00001", "Invalid"),
    (Confirm, "verifier-identity-malformed-quote-garbage", 200, Json, "00001", "Invalid"),
    (Confirm, "verifier-identity-malformed-quote-base64", 200, Json, "00001", "Invalid"),
    (Confirm, "verifier-identity-tampered-pcrs", 200, Json, "00001", "Invalid"),
    (Confirm, "verifier-identity-unknown-agent", 404, Json, "fffff", "unknown_agent"),
    (Confirm, "verifier-identity-unknown-agent-no-client-cert", 404, Json, "fffff", "unknown_agent"),
    (Confirm, "verifier-identity-not-enrolled-agent", 404, Json, "00002", "unknown_agent"),
    (Confirm, "verifier-identity-missing-uuid", 400, Json, "00001", "unexpected_status"),
    (Confirm, "verifier-identity-missing-quote", 400, Json, "00001", "unexpected_status"),
    (Confirm, "verifier-identity-missing-nonce", 400, Json, "00001", "unexpected_status"),
    (Confirm, "verifier-identity-missing-hash", 400, Json, "00001", "unexpected_status"),
    (Confirm, "verifier-identity-plus-not-encoded", 200, Json, "00001", "Invalid"),
    (Confirm, "verifier-identity-invalid-id", 404, Json, "00001", "unknown_agent"),
    (Confirm, "verifier-identity-wrong-api-version", 404, Html, "00001", "unexpected_status"),
    (Confirm, "verifier-identity-v2.1", 200, Json, "00001", "Valid"),
    (Confirm, "verifier-identity-v2.0", 200, Json, "00001", "Valid"),
    (Confirm, "verifier-identity-v3.0", 404, Html, "00001", "unexpected_status"),
    (Confirm, "verifier-identity-integrity-quote", 200, Json, "00001", "Valid"),
    (Confirm, "verifier-identity-empty-nonce", 400, Json, "00001", "unexpected_status"),
    (Confirm, "verifier-identity-base64-nonce", 200, Json, "00001", "Valid"),
    (Confirm, "verifier-identity-duplicate-uuid", 200, Json, "00005", "Valid"),
    (Confirm, "verifier-identity-valid-own-quote", 200, Json, "00005", "Valid"),
    (Confirm, "verifier-push-identity-valid", 200, Json, "00003", "Valid"),
    (Confirm, "verifier-push-identity-v3.0", 404, Html, "00003", "unexpected_status"),
    (Confirm, "verifier-push-identity-wrong-nonce", 200, Json, "00003", "Invalid"),
    (Confirm, "pyagent-verifier-identity", 200, Json, "00004", "Valid"),
    // Registration
    (Registration, "registrar-agents", 200, Json, "00001", "wrong_shape"),
    (Registration, "registrar-agent", 200, Json, "00001", "registered"),
    (Registration, "registrar-agent-mtls-off", 200, Json, "00002", "registered"),
    (Registration, "registrar-agent-unknown", 404, Json, "fffff", "unknown_agent"),
    (Registration, "registrar-agent-no-client-cert", 403, Json, "00001", "client_certificate_refused"),
    (Registration, "registrar-agents-no-client-cert", 403, Json, "00001", "client_certificate_refused"),
    (Registration, "registrar-agent-http-8890", 400, Html, "00001", "unexpected_status"),
    (Registration, "registrar-wrong-api-version", 404, Html, "00001", "unexpected_status"),
    (Registration, "registrar-unknown-path", 404, Html, "00001", "unexpected_status"),
    (Registration, "registrar-agent-invalid-id", 404, Json, "00001", "unknown_agent"),
    (Registration, "registrar-agent-v3.0", 500, Html, "00001", "server_error"),
    (Registration, "registrar-push-agent", 200, Json, "00003", "registered"),
    (Registration, "registrar-agent-v2.1", 200, Json, "00001", "registered"),
    (Registration, "pyagent-registrar-agent", 200, Json, "00004", "registered"),
    // Info
    (Info, "agent-info", 200, Json, "00001", "told"),
    (Info, "agent-info-v2.1", 400, Json, "00001", "no_agent_info"),
    (Info, "agent-wrong-api-version", 400, Json, "00001", "no_agent_info"),
    (Info, "agent-unknown-path", 400, Json, "00001", "no_agent_info"),
    (Info, "agent-unknown-path-top", 400, Json, "00001", "no_agent_info"),
    (Info, "agent-unknown-path-agent", 400, Json, "00001", "no_agent_info"),
    (Info, "agent-wrong-method", 405, Nothing, "00001", "unexpected_status"),
    (Info, "agent-info-v2.2", 200, Json, "00001", "told"),
    (Info, "agent-info-v2.5", 200, Json, "00001", "told"),
    (Info, "agent-mtls-off-info", 200, Json, "00001", "told"),
    (Info, "pyagent-info", 400, Json, "00001", "no_agent_info"),
    (Info, "pyagent-info-v2.6", 400, Json, "00001", "no_agent_info"),
    (Info, "pyagent-unknown-path", 400, Json, "00001", "no_agent_info"),
    // Quote
    (Quote, "agent-identity-quote", 200, Json, "00001", "quoted"),
    (Quote, "agent-identity-quote-partial", 200, Json, "00001", "quoted"),
    (Quote, "agent-identity-quote-v2.1", 200, Json, "00001", "quoted"),
    (Quote, "agent-nonce-64", 200, Json, "00001", "quoted"),
    (Quote, "agent-nonce-too-long", 400, Json, "00001", "unexpected_status"),
    (Quote, "agent-nonce-invalid", 400, Json, "00001", "unexpected_status"),
    (Quote, "agent-nonce-empty", 200, Json, "00001", "quoted"),
    (Quote, "agent-nonce-missing", 400, Json, "00001", "unexpected_status"),
    (Quote, "agent-nonce-nonascii", 200, Json, "00001", "quoted"),
    (Quote, "agent-wrong-api-version-quote", 400, Json, "00001", "unexpected_status"),
    (Quote, "agent-unknown-path-quotes", 400, Json, "00001", "unexpected_status"),
    (Quote, "agent-mtls-off-identity-quote", 200, Json, "00001", "quoted"),
    (Quote, "pyagent-identity-quote", 200, Json, "00001", "quoted"),
    (Quote, "pyagent-identity-quote-v2.0", 200, Json, "00001", "quoted"),
    (Quote, "pyagent-identity-quote-v2.2", 200, Json, "00001", "quoted"),
    (Quote, "pyagent-identity-quote-v2.6", 200, Json, "00001", "quoted"),
    (Quote, "pyagent-nonce-too-long", 400, Json, "00001", "unexpected_status"),
    (Quote, "pyagent-nonce-invalid", 400, Json, "00001", "unexpected_status"),
];

#[tokio::test]
async fn every_recorded_answer_is_taken_for_what_it_is() {
    let world = World::new().await;
    let rust_agent = FakeAgent::start(FakeAgentConfig::recorded("a")).await.unwrap();
    for (call, file, status, kind, id, expected) in ANSWERS {
        let answer = Fault::Answer(response(file, *status, *kind));
        let id = AgentId::new(&format!("d432fbb3-d2f1-4a97-9ef7-75bd81c{id}")).unwrap();
        let servers = world.servers();
        let node_agent = client(&rust_agent);
        world.keylime.change(AGENT, |node| node.enrolled = matches!(call, VerifierVersion));
        let verifier = &world.keylime.verifier;
        let registrar = &world.keylime.registrar;
        for server in [verifier, registrar, &rust_agent.server] {
            server.heal();
            server.fault(call.path(), answer.clone());
        }
        let came = match call {
            VerifierVersion => asked(verifier, servers.state(&agent()).await),
            RegistrarVersion => asked(registrar, servers.registration(&agent()).await),
            AgentVersion => asked(&rust_agent.server, node_agent.identity_quote(&nonce()).await),
            State => shown(servers.state(&id).await.map(|state| format!("{:?}", state.node.attestation))),
            Bulk => all(&servers.states().await),
            Confirm => {
                let answer =
                    servers.confirm_identity(&at(verifier), &id, "r:", &nonce(), HashAlg::Sha256).await;
                shown(answer.map(|answer| format!("{answer:?}")))
            }
            Registration => shown(servers.registration(&id).await.map(|registration| {
                assert_eq!(registration.agent_id, id);
                assert!(registration.ek.is_some());
                "registered".to_owned()
            })),
            Info => shown(node_agent.info().await.map(|info| {
                assert_eq!((info.agent_id.as_str().len(), info.hash_alg), (36, HashAlg::Sha256));
                "told".to_owned()
            })),
            Quote => shown(node_agent.identity_quote(&nonce()).await.map(|answer| {
                assert_eq!((answer.quote.starts_with("r/1RDR4A"), answer.hash_alg), (true, HashAlg::Sha256));
                "quoted".to_owned()
            })),
        };
        assert_eq!(came, *expected, "{file}");
    }
}

#[test]
fn no_recorded_answer_is_left_out() {
    let named: BTreeSet<String> = ANSWERS.iter().map(|(_, file, ..)| format!("{file}.json")).collect();
    let files: BTreeSet<String> = std::fs::read_dir(folder())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.ends_with(".json"))
        .collect();
    assert_eq!(named, files);
}

/// The end of each id with its state and address.
fn all(states: &States) -> String {
    assert!(states.doubts.is_empty() && states.failures.is_empty(), "{states:?}");
    let one = |state: &AgentState| {
        let ip = match &state.contact {
            Some(keylime::Contact::Address(ip)) => ip.to_string(),
            Some(keylime::Contact::Name(name)) => name.clone(),
            None => "nowhere".to_owned(),
        };
        format!("{} {:?} {ip}", &state.node.agent_id.as_str()[31..], state.node.attestation)
    };
    let all: Vec<String> = states.agents.values().map(one).collect();
    if all.is_empty() { "nobody".to_owned() } else { all.join(", ") }
}

impl Call {
    fn path(self) -> &'static str {
        match self {
            VerifierVersion | RegistrarVersion | AgentVersion => "/version",
            // The list of all agents, by which an unknown one is checked, is the fake's own.
            State => "/agents/d432fbb3",
            Registration | Bulk => "/agents/",
            Confirm => "/verify/identity",
            Info => "/agent/info",
            Quote => "/quotes/identity",
        }
    }
}

fn client(agent: &FakeAgent) -> NodeAgent {
    NodeAgent::new(NodeAgentConfig { endpoint: at(&agent.server), tls: None, request_timeout: PATIENT })
        .unwrap()
}

/// The version in the path of the last request, which must have been a good one.
fn asked<T: Debug>(server: &FakeServer, answer: Result<T, Error>) -> String {
    answer.unwrap();
    server.targets().last().unwrap().split('/').nth(1).unwrap().to_owned()
}

fn shown(answer: Result<String, Error>) -> String {
    answer.unwrap_or_else(|error| error.reason().to_owned())
}

fn response(file: &str, status: u16, kind: Kind) -> Response {
    let body = std::fs::read(folder().join(format!("{file}.json"))).unwrap();
    match kind {
        Json => Response::json(status, body),
        Html => Response::html(status, body),
        Nothing => Response { status, content_type: None, body },
    }
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/testdata/keylime")
}
