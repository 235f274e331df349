//! The plugin's report to the operator, and to nobody else.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use keylime::{Endpoint, SharedCertClient, SharedCertError, SharedCertFiles, SharedCertRequest, Unreachable};
use keylime_attestor_proto::api::types::Agent as SpireAgent;
use lab::fake_keylime::State;
use lab::fake_keylime::pki::Files;
use lab::fake_spire::{Call, agent, keylime_agent, with_selector};
use lab::ports::Port;
use report::{Act, Client, Error, Mode, REATTEST_PATH, REPORT_PATH};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, SignatureScheme};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::{World, evicted};

const TIMEOUT: Duration = Duration::from_secs(20);
/// How long the plugin lets a client be silent.
const CLIENT_TIMEOUT: Duration = Duration::from_secs(5);

/// A world whose plugin reports.
struct Reporting {
    world: World,
    port: Port,
    client: Client,
}

impl Reporting {
    async fn new(world: World, keys: &str) -> Result<Self> {
        let port = Port::free()?;
        let client = Client::new(shared_cert(&world.site.files), TIMEOUT)
            .map_err(|problems| anyhow::anyhow!("{problems:?}"))?;
        // As the operator writes it: of either family, as far as there is one.
        world.enforce(&format!("report_address = \"[::]:{port}\"\n {keys}")).await?;
        world.site.host.log().wait_for_message("report is served").await?;
        Ok(Self { world, port, client })
    }

    fn endpoint(&self) -> Endpoint {
        Endpoint::new("127.0.0.1", self.port.number()).unwrap()
    }

    async fn report(&self) -> Result<report::Report> {
        Ok(self.client.report(&self.endpoint()).await?)
    }
}

fn shared_cert(files: &Files) -> SharedCertFiles {
    SharedCertFiles { cert: files.cert.clone(), key: files.key.clone() }
}

fn of_psat(node: &str) -> SpireAgent {
    let agent = with_selector(agent("k8s_psat", node), "k8s_psat", &format!("agent_node_name:{node}"));
    with_selector(agent, "k8s_psat", "agent_node_uid:uid-7")
}

fn id(kind: &str, name: &str) -> String {
    format!("spiffe://example.org/spire/agent/{kind}/{name}")
}

#[tokio::test]
async fn the_report_tells_what_spire_holds_and_what_was_done() -> Result<()> {
    let world = World::new(&["a", "b"], &[("f", State::fail())]).await?;
    world.spire.add(of_psat("node-1"));
    world.spire.add(SpireAgent { banned: true, ..keylime_agent("banned") });
    let reporting = Reporting::new(world, "action = \"evict\"").await?;
    reporting.world.spire.wait_for(|calls| calls.contains(&evicted("f"))).await?;
    reporting.world.spire.wait_for_lists(2).await?;

    let report = reporting.report().await?;
    assert_eq!(
        (report.version, report.trust_domain.as_str(), report.plugin_name.as_str()),
        (1, "example.org", "keylime")
    );
    let seen = report.enforcement;
    assert_eq!((seen.action, seen.listed, seen.failing, seen.unknown), (Mode::Evict, 2, 0, 0));
    assert_eq!((seen.last_error, seen.held), (None, None));
    assert!(seen.last_poll.is_some_and(|poll| poll >= report.plugin_started));
    let [action] = report.actions.as_slice() else { panic!("{:?}", report.actions) };
    assert_eq!(
        (action.sequence, action.action, action.spiffe_id.clone()),
        (1, Act::Evict, id("keylime", "f"))
    );
    assert_eq!(action.agent_id.as_ref().map(evidence::AgentId::as_str), Some("f"));
    assert!(action.reason.contains("FAILs attestation") && action.error.is_none(), "{action:?}");

    let find = |name: &str| report.agents.iter().find(|agent| agent.spiffe_id.ends_with(name)).unwrap();
    assert_eq!(report.agents.len(), 4);
    assert_eq!(find("/a").agent_id.as_ref().map(evidence::AgentId::as_str), Some("a"));
    assert!(find("/banned").banned && !find("/a").banned);
    let other = find("/node-1");
    assert_eq!((other.attestation_type.as_str(), other.agent_id.is_none()), ("k8s_psat", true));
    assert_eq!((other.node_name.as_deref(), other.node_uid.as_deref()), (Some("node-1"), Some("uid-7")));
    assert_eq!(other.expires, u64::from(u32::MAX));
    Ok(())
}

#[tokio::test]
async fn the_report_tells_why_nothing_is_done_and_lasts_through_a_reconfiguration() -> Result<()> {
    let world = World::new(&["a"], &[("e", State::fail())]).await?;
    let mut reporting = Reporting::new(world, "action = \"evict\"").await?;
    reporting.world.spire.wait_for(|calls| calls.contains(&evicted("e"))).await?;
    reporting.world.says("a", State::fail());
    reporting
        .world
        .site
        .host
        .log()
        .wait_for(|entry| entry["@message"].as_str().is_some_and(|said| said.contains("max_unhealthy")))
        .await?;
    let report = reporting.report().await?;
    assert!(report.enforcement.held.is_some_and(|held| held.contains("50%")));
    assert_eq!(report.actions.len(), 1);

    reporting.world.site.keylime.verifier.take_down().await;
    reporting.world.site.host.log().wait_for_message("enforcement cannot poll: nobody is acted on").await?;
    let error = reporting.report().await?.enforcement.last_error;
    assert!(error.as_deref().is_some_and(|error| error.contains("no connection")), "{error:?}");

    // The same address at once: the port of the configuration before is free by then.
    let keys = format!("report_address = \"127.0.0.1:{}\"", reporting.port);
    reporting.world.enforce(&keys).await?;
    reporting.world.site.host.log().wait_for_message("enforcement ended").await?;
    let report = until(&reporting, |report| report.enforcement.action == Mode::Observe).await?;
    assert_eq!((report.enforcement.held, report.actions.len()), (None, 1));
    Ok(())
}

/// Asks until the report is as wanted.
async fn until(reporting: &Reporting, wanted: impl Fn(&report::Report) -> bool) -> Result<report::Report> {
    let asking = async {
        loop {
            match reporting.report().await {
                Ok(report) if wanted(&report) => return report,
                _ => tokio::task::yield_now().await,
            }
        }
    };
    tokio::time::timeout(lab::host::PATIENCE, asking).await.context("the report did not come to be as wanted")
}

#[tokio::test]
async fn without_an_address_nothing_is_served_and_only_our_agents_are_listed() -> Result<()> {
    let world = World::new(&["a"], &[]).await?;
    world.enforce("").await?;
    world.spire.wait_for_lists(2).await?;
    assert_eq!(world.logged("report is served"), 0);
    Ok(())
}

#[tokio::test]
async fn only_the_very_certificate_is_answered() -> Result<()> {
    let reporting = Reporting::new(World::new(&["a"], &[]).await?, "").await?;
    let keylime = &reporting.world.site.keylime;
    let folder = tempfile::tempdir()?;
    let ours = &reporting.world.site.files;
    let same_ca = keylime.ca.write_client(&folder.path().join("same-ca"))?;
    let other_ca = lab::fake_keylime::pki::Ca::new()?.write_client(&folder.path().join("other-ca"))?;

    let answered = get(&reporting, Some((&ours.cert, &ours.key))).await?;
    assert!(answered.starts_with("HTTP/1.1 200"), "{answered}");
    for client in [Some((&same_ca.cert, &same_ca.key)), Some((&other_ca.cert, &other_ca.key)), None] {
        let refused = get(&reporting, client).await.expect_err("another client was answered");
        let text = format!("{refused:#}");
        assert!(text.contains("alert"), "{text}");
    }
    // Our certificate with another's key proves nothing.
    let mixed = SharedCertFiles { cert: ours.cert.clone(), key: same_ca.key.clone() };
    assert!(SharedCertClient::new(mixed, TIMEOUT).is_err());
    // And it is still there for us.
    reporting.report().await?;
    Ok(())
}

#[tokio::test]
async fn the_client_speaks_with_nobody_else() -> Result<()> {
    let reporting = Reporting::new(World::new(&["a"], &[]).await?, "").await?;
    // Another server of the very same CA.
    let verifier = &reporting.world.site.keylime.verifier;
    let other = Endpoint::new("127.0.0.1", verifier.port())?;
    let error = reporting.client.report(&other).await.expect_err("another server was asked");
    assert!(
        matches!(&error, Error::NoAnswer { cause: SharedCertError::Unreachable(Unreachable::NotPinned), .. }),
        "{error}"
    );
    assert_eq!(verifier.targets().iter().filter(|target| target.contains("report")).count(), 0);
    Ok(())
}

#[tokio::test]
async fn both_ends_follow_their_files() -> Result<()> {
    let reporting = Reporting::new(World::new(&["a"], &[]).await?, "").await?;
    reporting.report().await?;
    let folder = tempfile::tempdir()?;
    let files = &reporting.world.site.files;
    let old =
        SharedCertFiles { cert: copy(&files.cert, folder.path())?, key: copy(&files.key, folder.path())? };
    let old = Client::new(old, TIMEOUT).expect("the old files are good");

    reporting
        .world
        .site
        .keylime
        .ca
        .client()?
        .write(files.cert.parent().context("no folder")?, &reporting.world.site.keylime.ca)?;
    // The files are checked once a second on either side, by a connection that begins then.
    let refused = async { while old.report(&reporting.endpoint()).await.is_ok() {} };
    tokio::time::timeout(lab::host::PATIENCE, refused)
        .await
        .context("the old certificate is still answered")?;
    until(&reporting, |_| true).await?;
    Ok(())
}

fn copy(file: &Path, folder: &Path) -> Result<PathBuf> {
    let to = folder.join(file.file_name().context("no name")?);
    std::fs::copy(file, &to)?;
    Ok(to)
}

#[tokio::test]
async fn an_agent_of_another_type_attests_anew_on_request_and_no_other() -> Result<()> {
    let world = World::new(&["a"], &[]).await?;
    world.spire.add(of_psat("node-1"));
    world.spire.add(SpireAgent { banned: true, ..of_psat("banned") });
    let reporting = Reporting::new(world, "").await?;
    let (client, endpoint) = (&reporting.client, reporting.endpoint());

    client.reattest(&endpoint, &id("k8s_psat", "node-1")).await?;
    // Nobody is there any more, which is what was asked for.
    client.reattest(&endpoint, &id("k8s_psat", "node-1")).await?;
    for (spiffe_id, expected) in [
        (id("keylime", "a"), 409),
        (id("k8s_psat", "banned"), 409),
        ("spiffe://other.org/spire/agent/k8s_psat/node-1".to_owned(), 400),
        ("spiffe://example.org/workload".to_owned(), 400),
        (String::new(), 400),
        ("x".repeat(5_000), 400),
    ] {
        let error = client.reattest(&endpoint, &spiffe_id).await.expect_err(&spiffe_id);
        assert!(
            matches!(&error, Error::Rejected { status, .. } if *status == expected),
            "{spiffe_id:.80}: {error}"
        );
    }
    let done: Vec<_> = reporting.world.spire.calls().into_iter().filter(|call| *call != Call::List).collect();
    assert_eq!(done, [Call::Evict(id("k8s_psat", "node-1"))]);
    let report = reporting.report().await?;
    assert_eq!(report.actions.len(), 1);
    assert_eq!(
        (report.actions[0].action, report.actions[0].spiffe_id.clone()),
        (Act::Reattest, id("k8s_psat", "node-1"))
    );

    reporting.world.spire.take_down().await;
    let error = client.reattest(&endpoint, &id("k8s_psat", "node-2")).await.expect_err("SPIRE is gone");
    assert!(matches!(&error, Error::Rejected { status: 502, .. }), "{error}");
    Ok(())
}

#[tokio::test]
async fn other_requests_are_rejected_with_a_reason() -> Result<()> {
    let reporting = Reporting::new(World::new(&["a"], &[]).await?, "").await?;
    let client =
        SharedCertClient::new(shared_cert(&reporting.world.site.files), TIMEOUT).expect("the files are good");
    let nonsense = SharedCertRequest::Post(b"nonsense".to_vec());
    let too_large = SharedCertRequest::Post([br#"{"spiffe_id": "a"}"#.as_slice(), &[b' '; 5_000]].concat());
    for (path, request, status, reason) in [
        (REPORT_PATH, SharedCertRequest::Post(b"{}".to_vec()), 405, "expected GET"),
        (REATTEST_PATH, SharedCertRequest::Get, 405, "expected POST"),
        ("/", SharedCertRequest::Get, 404, "/v1/report"),
        ("/v1/report/", SharedCertRequest::Get, 404, "/v1/report"),
        (REATTEST_PATH, nonsense, 400, "spiffe_id"),
        (REATTEST_PATH, SharedCertRequest::Post(br#"{"spiffe_id": "a", "ban": true}"#.to_vec()), 400, "ban"),
        (REATTEST_PATH, too_large, 400, "at most 4096 bytes"),
    ] {
        let answer = client.ask(&reporting.endpoint(), path, request, 10_000).await?;
        assert_eq!(answer.status, status, "{path}");
        let rejection: report::Rejection = serde_json::from_slice(&answer.body)?;
        assert!(rejection.error.contains(reason), "{path}: {rejection:?}");
    }
    Ok(())
}

/// More than the port has room for.
#[tokio::test]
async fn silent_clients_do_not_keep_the_operator_from_asking() -> Result<()> {
    let reporting = Reporting::new(World::new(&["a"], &[]).await?, "").await?;
    let mut silent = Vec::new();
    for _ in 0..200 {
        silent.push(TcpStream::connect((Ipv4Addr::LOCALHOST, reporting.port.number())).await?);
    }
    let clock = Instant::now();
    reporting.report().await?;
    assert!(clock.elapsed() < CLIENT_TIMEOUT, "it was answered when the others had ended");
    drop(silent);
    Ok(())
}

/// Asks for the report as a client that does not mind whom it asks, with this certificate and key,
/// or with none.
async fn get(reporting: &Reporting, client: Option<(&PathBuf, &PathBuf)>) -> Result<String> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Anyone));
    let config = match client {
        Some((cert, key)) => {
            let chain = CertificateDer::pem_file_iter(cert)?.collect::<Result<Vec<_>, _>>()?;
            builder.with_client_auth_cert(chain, PrivateKeyDer::from_pem_file(key)?)?
        }
        None => builder.with_no_client_auth(),
    };
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, reporting.port.number()));
    let stream = TcpStream::connect(address).await?;
    let name = ServerName::try_from("127.0.0.1")?;
    let mut stream = TlsConnector::from(Arc::new(config)).connect(name, stream).await?;
    let request = format!("GET {REPORT_PATH} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await?;
    Ok(answer)
}

#[derive(Debug)]
struct Anyone;

impl ServerCertVerifier for Anyone {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        rustls::crypto::ring::default_provider().signature_verification_algorithms.supported_schemes()
    }
}
