//! The node's own agent, over plain http and over TLS.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use evidence::HashAlg;
use keylime::{AgentTls, Endpoint, Error, NodeAgent, NodeAgentConfig, Setting};
use lab::fake_keylime::pki::{Ca, Leaf};
use lab::fake_keylime::{FakeAgent, FakeAgentConfig, Fault, SERVER_NAMES};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use tempfile::TempDir;

use super::{AGENT, NONCE, PATIENT, SHORT, at, nonce, settings};

/// An agent with mTLS and the files of a client that it trusts.
struct Node {
    agent: FakeAgent,
    dir: TempDir,
}

impl Node {
    async fn new(names: &[&str]) -> Node {
        let agent = FakeAgent::start(FakeAgentConfig::recorded(AGENT).with_tls(names)).await.unwrap();
        let dir = tempfile::tempdir().unwrap();
        agent.pki.as_ref().unwrap().client_ca.write_client(dir.path()).unwrap();
        Node { agent, dir }
    }

    fn certificate(&self) -> &Leaf {
        &self.agent.pki.as_ref().unwrap().certificate
    }

    fn pin(&self, bytes: impl AsRef<[u8]>) -> Option<PathBuf> {
        let path = self.dir.path().join("pinned");
        fs::write(&path, bytes).unwrap();
        Some(path)
    }

    fn client(&self, pinned: Option<PathBuf>) -> NodeAgent {
        client(at(&self.agent.server), Some(tls(self.dir.path(), pinned)))
    }
}

fn tls(dir: &Path, pinned: Option<PathBuf>) -> AgentTls {
    AgentTls { cert: dir.join("client-cert.crt"), key: dir.join("client-private.pem"), pinned }
}

fn client(endpoint: Endpoint, tls: Option<AgentTls>) -> NodeAgent {
    NodeAgent::new(NodeAgentConfig { endpoint, tls, request_timeout: PATIENT }).unwrap()
}

async fn reason(client: &NodeAgent) -> &'static str {
    client.info().await.map_or_else(|error| error.reason(), |_| "none")
}

#[tokio::test]
async fn an_agent_over_plain_http_tells_and_quotes() {
    let agent = FakeAgent::start(FakeAgentConfig::recorded(AGENT).quoting(|nonce| format!("r{nonce}")))
        .await
        .unwrap();
    let client = client(at(&agent.server), None);
    let info = client.info().await.unwrap();
    assert_eq!((info.agent_id.as_str(), info.hash_alg), (AGENT, HashAlg::Sha256));
    let answer = client.identity_quote(&nonce()).await.unwrap();
    assert_eq!((answer.quote.as_str(), answer.hash_alg), (format!("r{NONCE}").as_str(), HashAlg::Sha256));
    assert_eq!(
        agent.server.targets(),
        ["/version", "/v2.6/agent/info", &format!("/v2.6/quotes/identity?nonce={NONCE}")]
    );
    assert!(!format!("{answer:?}").contains(NONCE));
}

#[tokio::test]
async fn the_pinned_certificate_is_accepted_though_its_signature_is_broken() {
    let node = Node::new(&SERVER_NAMES).await;
    for pinned in [node.pin(&node.certificate().cert_pem), node.pin(&node.certificate().cert_der)] {
        assert_eq!(reason(&node.client(pinned)).await, "none");
    }
    assert!(node.agent.server.requests().iter().all(|request| request.with_certificate));
}

#[tokio::test]
async fn another_certificate_than_the_pinned_one_is_refused() {
    let node = Node::new(&SERVER_NAMES).await;
    let other = Leaf::with_broken_signature(&SERVER_NAMES).unwrap();
    assert_eq!(reason(&node.client(node.pin(&other.cert_pem))).await, "certificate_not_pinned");
    assert_eq!(node.agent.server.served(), 0);
}

#[tokio::test]
async fn the_pinned_certificate_must_be_for_the_host() {
    let node = Node::new(&["localhost", "10.1.2.3"]).await;
    let pinned = node.pin(&node.certificate().cert_pem);
    assert_eq!(reason(&node.client(pinned.clone())).await, "wrong_server_name");
    let endpoint = Endpoint::new("localhost", node.agent.server.port()).unwrap();
    assert_eq!(reason(&client(endpoint, Some(tls(node.dir.path(), pinned)))).await, "none");
}

#[tokio::test]
async fn who_has_the_certificate_but_not_its_key_is_refused() {
    for pinned in [true, false] {
        let node = Node::new(&SERVER_NAMES).await;
        let pki = node.agent.pki.as_ref().unwrap();
        node.agent.server.set_tls(stolen(&pki.certificate.cert_der));
        let pinned = pinned.then(|| node.pin(&pki.certificate.cert_pem).unwrap());
        assert_eq!(reason(&node.client(pinned)).await, "tls_failed");
        assert_eq!(node.agent.server.served(), 0);
    }
}

#[tokio::test]
async fn on_loopback_no_pin_is_needed_and_elsewhere_it_is() {
    let node = Node::new(&["elsewhere.example"]).await;
    assert_eq!(reason(&node.client(None)).await, "none");
    for host in ["10.1.2.3", "node.example", "0.0.0.0", "::"] {
        let endpoint = Endpoint::new(host, 9002).unwrap();
        let tls = Some(tls(node.dir.path(), None));
        let problems =
            NodeAgent::new(NodeAgentConfig { endpoint, tls, request_timeout: PATIENT }).unwrap_err();
        assert_eq!(settings(&problems), [Setting::PinnedFile], "{host}");
    }
}

#[tokio::test]
async fn an_agent_that_does_not_trust_us_is_named() {
    let node = Node::new(&SERVER_NAMES).await;
    Ca::new().unwrap().write_client(node.dir.path()).unwrap();
    assert_eq!(reason(&node.client(None)).await, "client_certificate_refused");
}

#[tokio::test]
async fn https_and_http_mixed_up_say_so() {
    let node = Node::new(&SERVER_NAMES).await;
    let error = client(at(&node.agent.server), None).info().await.unwrap_err();
    assert!(error.to_string().contains("may expect https"), "{error}");
    let plain = FakeAgent::start(FakeAgentConfig::recorded(AGENT)).await.unwrap();
    plain.server.fault("", Fault::HangUp);
    let error = client(at(&plain.server), None).info().await.unwrap_err();
    assert!(error.to_string().contains("may expect https"), "{error}");
}

#[tokio::test]
async fn an_agent_that_does_not_tell_its_id_is_told_apart() {
    let python = FakeAgentConfig {
        tells_info: false,
        versions: vec!["2.1".to_owned()],
        ..FakeAgentConfig::recorded(AGENT)
    };
    let agent = FakeAgent::start(python).await.unwrap();
    let client = client(at(&agent.server), None);
    let error = client.info().await.unwrap_err();
    assert!(matches!(error, Error::NoAgentInfo { .. }));
    assert!(error.to_string().contains("keylime_agent_id"), "{error}");
    assert_eq!(client.identity_quote(&nonce()).await.unwrap().hash_alg, HashAlg::Sha256);
}

#[tokio::test]
async fn an_id_or_algorithm_that_cannot_be_used_is_malformed() {
    for (id, hash_alg, text) in [
        ("../version", "sha256", "agent id"),
        ("", "sha256", "agent id"),
        (AGENT, "sha1", "sha1"),
        (AGENT, "", "sha256"),
    ] {
        let config = FakeAgentConfig { hash_alg: hash_alg.to_owned(), ..FakeAgentConfig::recorded(id) };
        let agent = FakeAgent::start(config).await.unwrap();
        let error = client(at(&agent.server), None).info().await.unwrap_err();
        assert_eq!(error.reason(), "wrong_shape");
        assert!(error.to_string().contains(text), "{error}");
    }
}

#[tokio::test]
async fn an_agent_that_closes_between_requests_or_hangs_is_no_trouble() {
    let mut agent = FakeAgent::start(FakeAgentConfig::recorded(AGENT)).await.unwrap();
    let endpoint = at(&agent.server);
    let config = NodeAgentConfig { endpoint, tls: None, request_timeout: SHORT };
    let client = NodeAgent::new(config).unwrap();
    client.info().await.unwrap();
    agent.server.restart().await.unwrap();
    client.info().await.unwrap();
    agent.server.fault("/quotes/", Fault::Hang);
    assert_eq!(client.identity_quote(&nonce()).await.unwrap_err().reason(), "answer_timeout");
}

#[tokio::test]
async fn a_pin_that_is_none_is_reported_with_the_rest() {
    let node = Node::new(&SERVER_NAMES).await;
    let two = node.certificate().cert_pem.repeat(2);
    for pin in ["", "nonsense", two.as_str()] {
        let problems = NodeAgent::new(NodeAgentConfig {
            endpoint: at(&node.agent.server),
            tls: Some(tls(node.dir.path(), node.pin(pin))),
            request_timeout: PATIENT,
        });
        assert_eq!(settings(&problems.unwrap_err()), [Setting::PinnedFile], "{pin:?}");
    }
    let problems = NodeAgent::new(NodeAgentConfig {
        endpoint: Endpoint::new("10.1.2.3", 9002).unwrap(),
        tls: Some(tls(Path::new("/nowhere"), None)),
        request_timeout: PATIENT,
    });
    let expected = [Setting::PinnedFile, Setting::CertFile, Setting::KeyFile];
    assert_eq!(settings(&problems.unwrap_err()), expected);
}

#[derive(Debug)]
struct Fixed(Arc<CertifiedKey>);

impl ResolvesServerCert for Fixed {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.0.clone())
    }
}

/// The TLS side of someone who shows a certificate with a key of his own.
pub(super) fn stolen(certificate: &CertificateDer<'static>) -> rustls::ServerConfig {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let own = Ca::new().unwrap().client().unwrap();
    let key = PrivateKeyDer::from_pem_slice(own.key_pem.as_bytes()).unwrap();
    let key = provider.key_provider.load_private_key(key).unwrap();
    let certified = CertifiedKey::new(vec![certificate.clone()], key);
    rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_cert_resolver(Arc::new(Fixed(Arc::new(certified))))
}
