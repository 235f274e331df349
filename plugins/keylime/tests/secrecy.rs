//! Neither errors nor logs hold a nonce or a quote. A test program of its own, because it looks at
//! all that the process logs.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, also in what its functions call")]

use std::io;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use evidence::{AgentId, HashAlg, Nonce};
use keylime::{Endpoint, NodeAgent, NodeAgentConfig, Servers, ServersConfig, TlsFiles};
use lab::fake_keylime::{FakeAgent, FakeAgentConfig, FakeKeylime, FakeServer, Fault, Node, Response, Valid};
use serde_json::json;

const NONCE: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZ123456";
const QUOTE: &str = "rAA+/==:BB:CC";

/// The secrets: the nonce, and the quote as text and as in a URL.
const SECRETS: [&str; 3] = [NONCE, "rAA+", "rAA%2B"];

#[tokio::test]
async fn no_error_and_no_log_holds_a_nonce_or_a_quote() {
    let log = Log::default();
    let writer = log.clone();
    tracing_subscriber::fmt()
        .with_max_level(tracing::Level::TRACE)
        .with_writer(move || writer.clone())
        .init();
    let mut shown = errors_of_the_verifier().await;
    shown.extend(errors_of_the_agent().await);
    let log = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
    for path in ["/v2.6/verify/identity", "/v2.6/quotes/identity"] {
        assert!(log.contains(path), "the log is not the one of the requests: {log}");
    }
    shown.push(log);
    for text in shown {
        assert!(SECRETS.iter().all(|secret| !text.contains(secret)), "{text}");
    }
}

async fn errors_of_the_verifier() -> Vec<String> {
    let keylime = FakeKeylime::start().await.unwrap();
    let node = Node { valid: Valid::Anything, ..Node::recorded() };
    let agent = AgentId::new(&node.id).unwrap();
    keylime.add(node);
    let dir = tempfile::tempdir().unwrap();
    let files = keylime.ca.write_client(dir.path()).unwrap();
    let servers = Servers::new(ServersConfig {
        verifiers: vec![at(&keylime.verifier)],
        registrar: at(&keylime.registrar),
        tls: TlsFiles { ca: files.ca, cert: files.cert, key: files.key, server_name: None },
        request_timeout: Duration::from_millis(1500),
    })
    .unwrap();
    let verifier = at(&keylime.verifier);
    let mut shown = Vec::new();
    for fault in faults() {
        keylime.verifier.heal();
        keylime.verifier.fault("/verify/", fault);
        let error =
            servers.confirm_identity(&verifier, &agent, QUOTE, &nonce(), HashAlg::Sha256).await.unwrap_err();
        shown.push(format!("{error} {error:?}"));
    }
    keylime.verifier.heal();
    let confirmation =
        servers.confirm_identity(&verifier, &agent, QUOTE, &nonce(), HashAlg::Sha256).await.unwrap();
    shown.push(format!("{confirmation:?} {servers:?}"));
    shown
}

async fn errors_of_the_agent() -> Vec<String> {
    let agent = FakeAgent::start(FakeAgentConfig::recorded("a").quoting(|_| QUOTE.to_owned())).await.unwrap();
    let config = NodeAgentConfig {
        endpoint: at(&agent.server),
        tls: None,
        request_timeout: Duration::from_millis(1500),
    };
    let client = NodeAgent::new(config).unwrap();
    let mut shown = Vec::new();
    for fault in faults() {
        agent.server.heal();
        agent.server.fault("/quotes/", fault);
        let error = client.identity_quote(&nonce()).await.unwrap_err();
        shown.push(format!("{error} {error:?}"));
    }
    agent.server.heal();
    shown.push(format!("{:?}", client.identity_quote(&nonce()).await.unwrap()));
    shown
}

/// Failures of every kind, with answers that repeat what was asked wherever they can.
fn faults() -> Vec<Fault> {
    let repeats = format!("{NONCE} {QUOTE} rAA%2B%2F");
    let json = |status: u16, body: serde_json::Value| Fault::Answer(Response::json(status, body.to_string()));
    vec![
        Fault::Hang,
        Fault::HangUp,
        Fault::CutShort,
        Fault::Raw(format!("{repeats}\r\n\r\n").into_bytes()),
        Fault::Redirect(format!("/?nonce={repeats}")),
        json(200, json!({"code": repeats, "status": repeats, "results": {}})),
        json(200, json!({"code": 200, "status": repeats, "results": {"valid": repeats, "quote": 1}})),
        json(
            200,
            json!({"code": 200, "status": repeats, "results": {"valid": 2, "quote": "r", "hash_alg": 1}}),
        ),
        json(
            200,
            json!({"code": 200, "status": repeats, "results": {"valid": 2, "quote": "r", "hash_alg": repeats}}),
        ),
        json(400, json!({"code": 400, "status": repeats, "results": {}})),
        json(404, json!({"code": 404, "status": repeats})),
        Fault::Answer(Response::html(200, repeats.clone())),
        Fault::Answer(Response::html(500, repeats)),
    ]
}

fn at(server: &FakeServer) -> Endpoint {
    Endpoint::new("127.0.0.1", server.port()).unwrap()
}

fn nonce() -> Nonce {
    Nonce::parse(NONCE.as_bytes()).unwrap()
}

#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
