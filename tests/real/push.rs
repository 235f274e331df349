//! Nodes in push mode: Keylime's agents open no port and push quotes to the verifier; SPIRE's agents
//! attest by the quoter. Real SPIRE, real verifier and registrar, software TPMs.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use lab::agent_data::KeyKind;
use lab::keylime::{Keylime, Options, PushNode};
use lab::quoter::Quoter;
use lab::shared::Shared;
use lab::spire::{ServerOptions, SpireAgent, SpireServer};
use lab::{plugins, wait};
use serde_json::{Value, json};

const TIMEOUT: Duration = Duration::from_secs(120);

static PUSH: Shared<Keylime> = Shared::new(|| Keylime::start(Options::push()));

/// A node with a quoter, and a SPIRE server.
struct Site {
    server: SpireServer,
    quoter: Quoter,
    node: PushNode,
    id: String,
}

type More<'a> = &'a [(&'a str, Value)];

impl Site {
    /// With these keys more for the server plugin.
    fn start(keylime: &Keylime, key: KeyKind, more: More<'_>) -> Result<Self> {
        let mut attestor = plugins::server(keylime)?;
        attestor.data.extend(more.iter().map(|(key, value)| ((*key).to_owned(), value.clone())));
        let server = SpireServer::start(&ServerOptions { attestor, agent_ttl: "1h" })?;
        let node = keylime.add_push_node(key)?;
        let quoter = Quoter::start_beside(&node.agent_data(), &node.tpm().tcti())?;
        let id = plugins::spiffe_id_of(node.id());
        Ok(Self { server, quoter, node, id })
    }

    fn agent(&self) -> Result<SpireAgent> {
        SpireAgent::start(&self.server, &plugins::agent_by_quoter(&self.quoter.socket())?)
    }

    fn attested(&self) -> Result<SpireAgent> {
        let mut agent = self.agent()?;
        agent.wait_until_attested().with_context(|| self.last_word())?;
        Ok(agent)
    }

    /// An agent is refused; the reason is in the server's log and not in the agent's.
    fn ensure_refused(&self, reason: &str) -> Result<()> {
        let log = self.agent()?.wait_until_refused()?;
        let refused = log.contains("PermissionDenied") && log.contains("is not attested");
        ensure!(refused && !log.contains(reason), "the agent's log is:\n{log}");
        self.ensure_said(reason)
    }

    /// What the server plugin said of the attestation that ended last.
    fn last_word(&self) -> String {
        let log = self.server.log().unwrap_or_default();
        log.lines().rfind(|line| line.contains("node attestation ended")).unwrap_or_default().to_owned()
    }

    fn ensure_said(&self, text: &str) -> Result<()> {
        let log = self.server.log()?;
        ensure!(log.contains(text), "no {text:?} in\n{log}");
        Ok(())
    }
}

#[test]
fn a_node_without_a_keylime_port_attests_and_is_refused_while_keylime_fails_or_misses_it() -> Result<()> {
    let mut site = Site::start(PUSH.get()?, KeyKind::Rsa, &[])?;
    let mut agent = site.attested()?;
    assert_eq!(site.node.agent()?.open_ports()?, [0; 0], "the Keylime agent");
    assert_eq!(site.quoter.process()?.open_ports()?, [0; 0], "the quoter");
    ensure!(!site.node.tpm().open_ports()?.is_empty(), "nobody is seen to listen");
    let selectors = site.server.selectors(&site.id)?;
    for selector in ["keylime:hash_alg:sha256", "keylime:tpm_policy_pcr:23"] {
        ensure!(selectors.iter().any(|one| one == selector), "no {selector} in {selectors:?}");
    }
    site.server.create_entry(&site.id, "spiffe://lab.test/workload")?;
    ensure!(agent.fetch_x509_svid()?.contains("spiffe://lab.test/workload"), "the workload has no SVID");
    drop(agent);

    site.node.fail()?;
    site.ensure_refused("FAILs attestation; repair the node and enrol it anew")?;
    site.node.repair()?;
    drop(site.attested()?);

    site.node.silence()?;
    site.ensure_refused("has not been heard of by Keylime's verifier for too long (TIMEOUT)")?;
    site.node.speak_again()?;
    site.attested().map(drop)
}

#[test]
fn a_node_with_an_ecc_key_attests() -> Result<()> {
    let keylime = Keylime::start(Options { push_takes_ecc: true, ..Options::push() })?;
    let site = Site::start(&keylime, KeyKind::P256, &[])?;
    drop(site.attested()?);
    site.node.fail()?;
    site.ensure_refused("says that the agent FAILs attestation")
}

#[test]
fn a_greatest_age_below_the_push_interval_is_warned_of() -> Result<()> {
    let site = Site::start(PUSH.get()?, KeyKind::Rsa, &[("max_attestation_age", json!("1s"))])?;
    // Attested or refused: that depends on when the last quote came.
    let _agent = site.agent()?;
    let warning = "max_attestation_age is not longer than the verifier's quote_interval";
    wait::until("the warning", TIMEOUT, || site.ensure_said(warning))
}

#[test]
fn a_silent_node_loses_its_identity_and_gets_it_back() -> Result<()> {
    // The only node: its silence is that of all.
    let enforcement =
        json!({ "action": "evict", "interval": "1s", "unreachable_grace": "1s", "max_unhealthy": "100%" });
    let mut site = Site::start(PUSH.get()?, KeyKind::Rsa, &[("enforcement", enforcement)])?;
    let mut agent = site.attested()?;
    site.node.silence()?;
    wait::until("the eviction", TIMEOUT, || site.ensure_said("agent lost its identity"))?;
    site.ensure_said("has not been heard of by Keylime's verifier for too long (TIMEOUT)")?;
    let log = agent.wait_until_refused()?;
    ensure!(log.contains("is not attested"), "it is not refused:\n{log}");
    site.node.speak_again()?;
    site.attested().map(drop)
}
