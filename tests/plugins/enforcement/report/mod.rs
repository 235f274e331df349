//! The plugin's report to the operator.

mod access;

use std::net::Ipv4Addr;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use keylime::{Endpoint, HttpsRequest, IdentityFiles, KeyHash, PinnedClient};
use keylime_attestor_proto::api::types::Agent as SpireAgent;
use lab::fake_keylime::State;
use lab::fake_keylime::pki::{Ca, Files};
use lab::fake_spire::{Call, agent, keylime_agent, with_selector};
use lab::ports::Port;
use report::{Act, Client, Error, Mode, REATTEST_PATH, REPORT_PATH};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use tempfile::TempDir;
use tokio::net::TcpStream;

use super::{World, evicted};

const TIMEOUT: Duration = Duration::from_secs(20);
/// How long the plugin lets a client be silent.
const CLIENT_TIMEOUT: Duration = Duration::from_secs(5);

/// A world whose plugin reports.
struct Reporting {
    world: World,
    port: Port,
    /// The operator's certificate, which has nothing to do with Keylime.
    own: Files,
    client: Client,
    _folder: TempDir,
}

impl Reporting {
    async fn new(world: World, keys: &str) -> Result<Self> {
        let port = Port::free()?;
        let folder = tempfile::tempdir()?;
        let own = Ca::new()?.write_client(folder.path())?;
        let client = Client::new(world.site.files.cert.clone(), identity(&own), TIMEOUT)
            .map_err(|problems| anyhow::anyhow!("{problems:?}"))?;
        let reporting = Self { world, port, own, client, _folder: folder };
        // As the operator writes it: of either family, as far as there is one.
        reporting.enforce("[::]", keys).await?;
        reporting.world.site.host.log().wait_for_message("report is served").await?;
        Ok(reporting)
    }

    async fn enforce(&self, ip: &str, keys: &str) -> Result<()> {
        let (port, hash) = (&self.port, key_hash(&self.own.cert)?);
        let report = format!("report_address = \"{ip}:{port}\"\n report_client_key_sha256 = \"{hash}\"\n");
        self.world.enforce(&format!("{report} {keys}")).await
    }

    fn endpoint(&self) -> Endpoint {
        Endpoint::new("127.0.0.1", self.port.number()).unwrap()
    }

    async fn report(&self) -> Result<report::Report> {
        Ok(self.client.report(&self.endpoint()).await?)
    }
}

fn identity(files: &Files) -> IdentityFiles {
    IdentityFiles { cert: files.cert.clone(), key: files.key.clone() }
}

fn key_hash(cert: &Path) -> Result<KeyHash> {
    Ok(KeyHash::of(&CertificateDer::from_pem_file(cert)?)?)
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
    reporting.enforce("127.0.0.1", "").await?;
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
        PinnedClient::new(reporting.world.site.files.cert.clone(), identity(&reporting.own), TIMEOUT)
            .expect("the files are good");
    let nonsense = HttpsRequest::Post(b"nonsense".to_vec());
    let too_large = HttpsRequest::Post([br#"{"spiffe_id": "a"}"#.as_slice(), &[b' '; 5_000]].concat());
    for (path, request, status, reason) in [
        (REPORT_PATH, HttpsRequest::Post(b"{}".to_vec()), 405, "expected GET"),
        (REATTEST_PATH, HttpsRequest::Get, 405, "expected POST"),
        ("/", HttpsRequest::Get, 404, "/v1/report"),
        ("/v1/report/", HttpsRequest::Get, 404, "/v1/report"),
        (REATTEST_PATH, nonsense, 400, "spiffe_id"),
        (REATTEST_PATH, HttpsRequest::Post(br#"{"spiffe_id": "a", "ban": true}"#.to_vec()), 400, "ban"),
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
