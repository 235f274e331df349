//! Enforcement against the real thing: Keylime fails a node, and SPIRE's agent there loses its
//! identity.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, Result, ensure};
use keylime::{Endpoint, IdentityFiles, KeyHash, Known, Servers, ServersConfig, TlsFiles};
use lab::keylime::{Keylime, Node, NodeOptions, Options};
use lab::plugins;
use lab::ports::Port;
use lab::spire::{ServerOptions, SpireAgent, SpireServer};
use report::{Act, Client, Report};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use serde_json::{Value, json};
use tokio::runtime::Runtime;

use crate::KEYLIME;

const GONE: &str = "agent lost its identity";
const TIMEOUT: Duration = Duration::from_secs(120);

/// Two nodes with an attested SPIRE agent each.
struct Site {
    server: SpireServer,
    port: Port,
    first: Member,
    second: Member,
}

struct Member {
    node: Node,
    agent: SpireAgent,
    id: String,
}

impl Site {
    fn start(keylime: &Keylime, action: &str) -> Result<Self> {
        let mut attestor = plugins::server(keylime)?;
        let port = Port::free()?;
        let address = format!("127.0.0.1:{port}");
        // The certificate at hand; the operator has one of its own.
        let client = CertificateDer::from_pem_file(&keylime.server_client().cert)?;
        let hash = KeyHash::of(&client)?.to_string();
        let block = json!({ "action": action, "interval": "1s", "report_address": address, "report_client_key_sha256": hash });
        attestor.data.insert("enforcement".to_owned(), block);
        let server = SpireServer::start(&ServerOptions { attestor, agent_ttl: "1h" })?;
        let (first, second) = (Member::start(keylime, &server)?, Member::start(keylime, &server)?);
        Ok(Self { server, port, first, second })
    }

    /// The plugin's report.
    fn report(&self, keylime: &Keylime) -> Result<Report> {
        let files = keylime.server_client().clone();
        let own = IdentityFiles { cert: files.cert.clone(), key: files.key };
        let client = Client::new(files.cert, own, TIMEOUT);
        let client = client.map_err(|problems| anyhow::anyhow!("{problems:?}"))?;
        let endpoint = Endpoint::new("127.0.0.1", self.port.number())?;
        Ok(Runtime::new()?.block_on(client.report(&endpoint))?)
    }

    /// How often the server's log says this.
    fn said(&self, text: &str) -> Result<usize> {
        Ok(self.server.log()?.lines().filter(|line| line.contains(text)).count())
    }

    /// Waits until the server's log has said this so many times in all.
    fn wait_until_said(&self, text: &str, times: usize) -> Result<()> {
        lab::wait::until(&format!("{text:?} in the log"), TIMEOUT, || {
            let said = self.said(text)?;
            ensure!(said >= times, "it was said {said} times");
            Ok(())
        })
    }
}

impl Member {
    fn start(keylime: &Keylime, server: &SpireServer) -> Result<Self> {
        let node = keylime.add_node(NodeOptions::default())?;
        let mut agent = SpireAgent::start(server, &plugins::agent(keylime, node.agent())?)?;
        agent.wait_until_attested()?;
        let id = plugins::spiffe_id(node.agent());
        Ok(Self { node, agent, id })
    }

    /// Starts the agent again, as a DaemonSet does when it has ended.
    fn start_again(&mut self, keylime: &Keylime, server: &SpireServer) -> Result<()> {
        self.agent = SpireAgent::start(server, &plugins::agent(keylime, self.node.agent())?)?;
        Ok(())
    }
}

#[test]
fn a_node_that_keylime_fails_loses_its_identity_until_it_is_repaired() -> Result<()> {
    let keylime = KEYLIME.get()?;
    let mut site = Site::start(keylime, "evict")?;
    let serial = serial_number(&site.server, &site.first.id)?;

    site.second.node.fail()?;
    let failed = Instant::now();
    site.wait_until_said(GONE, 1)?;
    say(failed, "from Keylime's FAIL to the eviction");
    let log = site.second.agent.wait_until_refused()?;
    say(failed, "from Keylime's FAIL to the end of the SPIRE agent");
    ensure!(log.contains("PermissionDenied") && log.contains("is not attested"), "it is not refused:\n{log}");
    site.wait_until_said("says that the agent FAILs attestation", 2)?;
    ensure!(site.server.agent(&site.second.id).is_err(), "the server knows the evicted agent");
    assert_eq!(serial_number(&site.server, &site.first.id)?, serial, "the other agent attested anew");

    let report = site.report(keylime)?;
    let [action] = report.actions.as_slice() else { anyhow::bail!("{report:?}") };
    assert_eq!((action.action, &action.spiffe_id, &action.error), (Act::Evict, &site.second.id, &None));

    site.second.node.repair()?;
    site.second.start_again(keylime, &site.server)?;
    site.second.agent.wait_until_attested()?;
    lab::wait::until("both agents in the report", TIMEOUT, || {
        let report = site.report(keylime)?;
        let mut told: Vec<_> = report
            .agents
            .iter()
            .map(|agent| (agent.spiffe_id.clone(), agent.agent_id.as_ref().map(ToString::to_string)))
            .collect();
        told.sort_unstable();
        let one = |member: &Member| (member.id.clone(), Some(member.node.agent().id().to_owned()));
        let mut expected = [one(&site.first), one(&site.second)];
        expected.sort_unstable();
        ensure!(told == expected, "{report:?}");
        let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs();
        ensure!(report.agents.iter().all(|agent| agent.expires > now && !agent.banned), "{report:?}");
        Ok(())
    })?;
    ensure!(site.server.agent(&site.second.id).is_ok(), "the server does not know the agent");
    assert_eq!(serial_number(&site.server, &site.first.id)?, serial, "the other agent attested anew");
    assert_eq!(site.said(GONE)?, 1);
    Ok(())
}

#[test]
fn a_banned_agent_stays_out_until_a_human_lets_it_in() -> Result<()> {
    let keylime = KEYLIME.get()?;
    let mut site = Site::start(keylime, "ban")?;
    site.second.node.fail()?;
    let (server, id) = (&site.server, &site.second.id);
    lab::wait::until("the ban", TIMEOUT, || {
        let agent = server.agent(id)?;
        ensure!(agent.get("banned").and_then(Value::as_bool) == Some(true), "it is not banned: {agent}");
        Ok(())
    })?;
    site.second.node.repair()?;
    site.second.start_again(keylime, &site.server)?;
    let log = site.second.agent.wait_until_refused()?;
    ensure!(log.contains("banned"), "it says no reason:\n{log}");

    site.server.evict(&site.second.id)?;
    site.second.start_again(keylime, &site.server)?;
    site.second.agent.wait_until_attested()
}

#[test]
fn a_node_that_is_no_longer_enrolled_loses_its_identity() -> Result<()> {
    let keylime = KEYLIME.get()?;
    let mut site = Site::start(keylime, "evict")?;
    site.second.node.remove_from_verifier()?;
    site.wait_until_said(GONE, 1)?;
    let log = site.second.agent.wait_until_refused()?;
    ensure!(log.contains("is not attested"), "it is not refused:\n{log}");
    site.wait_until_said("not known to Keylime's verifier", 1)?;
    ensure!(site.server.agent(&site.first.id).is_ok(), "the other agent is gone");
    Ok(())
}

#[test]
fn a_verifier_that_is_killed_takes_nobody_with_it() -> Result<()> {
    let keylime = Keylime::start(Options::default())?;
    let site = Site::start(&keylime, "evict")?;
    let serials = |site: &Site| -> Result<_> {
        Ok((serial_number(&site.server, &site.first.id)?, serial_number(&site.server, &site.second.id)?))
    };
    let before = serials(&site)?;
    keylime.stop_verifier()?;
    site.wait_until_said("enforcement cannot poll: nobody is acted on", 1)?;
    // Each poll says so again, at debug.
    site.wait_until_said("enforcement still cannot poll", 3)?;
    assert_eq!(serials(&site)?, before);

    keylime.start_verifier()?;
    site.wait_until_said("enforcement sees SPIRE and Keylime again", 1)?;
    assert_eq!(serials(&site)?, before);
    assert_eq!(site.said(GONE)?, 0);
    Ok(())
}

#[test]
fn another_tpm_under_a_known_id_is_refused_until_an_administrator_evicts_the_agent() -> Result<()> {
    let keylime = KEYLIME.get()?;
    let site = Site::start(keylime, "observe")?;
    let first = &site.first;
    // Whoever can write to Keylime has its TPM stand under the node's id.
    first.node.remove_from_verifier()?;
    first.node.remove_from_registrar()?;
    let id = Some(first.node.agent().id().to_owned());
    let other = keylime.add_node(NodeOptions { id, ..NodeOptions::default() })?;
    let attestor = plugins::agent(keylime, other.agent())?;
    let log = SpireAgent::start(&site.server, &attestor)?.wait_until_refused()?;
    let refused = log.contains("PermissionDenied")
        && log.contains("is not the one that this agent attested with before");
    ensure!(refused, "it says no reason:\n{log}");
    site.wait_until_said("reason=key_changed", 1)?;

    site.server.evict(&first.id)?;
    SpireAgent::start(&site.server, &attestor)?.wait_until_attested()
}

#[test]
fn a_real_verifier_tells_of_all_its_agents_and_of_none() -> Result<()> {
    let keylime = Keylime::start(Options::default())?;
    let endpoint = |port| Endpoint::new("127.0.0.1", port);
    let files = keylime.server_client().clone();
    let config = ServersConfig {
        verifiers: vec![endpoint(keylime.verifier_port())?],
        registrar: endpoint(keylime.registrar_port())?,
        tls: TlsFiles { ca: files.ca, cert: files.cert, key: files.key, server_name: None },
        request_timeout: TIMEOUT,
    };
    let servers = Servers::new(config).map_err(|problems| anyhow::anyhow!("{problems:?}"))?;
    let runtime = Runtime::new()?;
    let states = runtime.block_on(servers.states());
    ensure!(states.agents.is_empty() && states.doubts.is_empty() && states.failures.is_empty(), "{states:?}");

    let node = keylime.add_node(NodeOptions::default())?;
    let states = runtime.block_on(servers.states());
    let id = evidence::AgentId::new(node.agent().id())?;
    let Known::At(state) = states.of_agent(&id) else { anyhow::bail!("{states:?}") };
    assert_eq!(state.node.attestation, evidence::Attestation::Pass);
    assert_eq!(state.contact, Some(keylime::Contact::Address("127.0.0.1".parse()?)));
    Ok(())
}

#[expect(clippy::print_stderr, reason = "the measured times are for who runs the tests")]
fn say(since: Instant, what: &str) {
    eprintln!("{:5.1} s: {what}", since.elapsed().as_secs_f32());
}

fn serial_number(server: &SpireServer, id: &str) -> Result<String> {
    let agent = server.agent(id)?;
    let serial = agent.get("x509svid_serial_number").and_then(Value::as_str);
    Ok(serial.with_context(|| format!("no serial number: {agent}"))?.to_owned())
}
