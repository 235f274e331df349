//! A SPIRE agent gets its identity, and with it workloads get theirs, because Keylime and the
//! node's TPM say so; and is refused because they do not. Real SPIRE, real Keylime, software TPMs.

use anyhow::{Context as _, Result, ensure};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use lab::fake_keylime::pki::Files;
use lab::keylime::{Keylime, NodeOptions, Options, curl};
use lab::plugins;
use lab::spire::{Form, ServerOptions, SpireAgent, SpireServer};
use ring::digest::{SHA256, digest};
use serde_json::{Value, json};

use crate::{KEYLIME, NODE};

fn server(form: Form) -> Result<SpireServer> {
    let attestor = lab::spire::Attestor { form, ..plugins::server(KEYLIME.get()?)? };
    SpireServer::start(&ServerOptions { attestor, agent_ttl: "1h" })
}

#[test]
fn attests_with_hcl_over_mutual_tls() -> Result<()> {
    attests_over_mutual_tls(Form::Hcl)
}

#[test]
fn attests_with_json_of_the_chart_over_mutual_tls() -> Result<()> {
    attests_over_mutual_tls(Form::Json)
}

#[test]
fn attests_with_plugin_data_file_over_mutual_tls() -> Result<()> {
    attests_over_mutual_tls(Form::DataFile)
}

fn attests_over_mutual_tls(form: Form) -> Result<()> {
    let (keylime, node) = (KEYLIME.get()?, NODE.get()?.agent());
    let server = server(form)?;
    let mut attestor = plugins::agent(keylime, node)?;
    attestor.form = form;
    let mut agent = SpireAgent::start(&server, &attestor)?;
    agent.wait_until_attested()?;

    let id = plugins::spiffe_id(node);
    let expected = [
        format!("keylime:agent_id:{}", node.id()),
        format!("keylime:ak_sha256:{}", sha256_of_registered(node.id(), "aik_tpm")?),
        format!("keylime:ek_sha256:{}", sha256_of_registered(node.id(), "ek_tpm")?),
        "keylime:hash_alg:sha256".to_owned(),
        "keylime:measured_boot:false".to_owned(),
        "keylime:runtime_policy:false".to_owned(),
        "keylime:tpm_policy_pcr:23".to_owned(),
        "keylime:verifier_id:default".to_owned(),
    ];
    assert_eq!(server.selectors(&id)?, expected);

    server.create_entry(&id, "spiffe://lab.test/workload")?;
    let svid = agent.fetch_x509_svid()?;
    assert!(svid.contains("spiffe://lab.test/workload\n"), "{svid}");
    Ok(())
}

/// The SHA-256 of a key in the registrar's record of a node.
fn sha256_of_registered(id: &str, key: &str) -> Result<String> {
    let record =
        KEYLIME.get()?.admin().registrar_record(id)?.context("the registrar does not know the node")?;
    let key = record.get(key).and_then(Value::as_str).with_context(|| format!("no {key}: {record}"))?;
    let digest = digest(&SHA256, &BASE64_STANDARD.decode(key)?);
    Ok(digest.as_ref().iter().map(|byte| format!("{byte:02x}")).collect())
}

#[test]
fn nodes_certificate_is_for_agents_only() -> Result<()> {
    let (keylime, node) = (KEYLIME.get()?, NODE.get()?.agent());
    let id = node.id();
    let (theirs, ours) = (keylime.server_client(), keylime.node_client());
    let with_our_client = Files { ca: theirs.ca.clone(), ..ours.clone() };
    for port in [keylime.verifier_port(), keylime.registrar_port()] {
        let url = format!("https://127.0.0.1:{port}/v2.2/agents/{id}");
        let get = |client| curl(client, &["--fail", &url], None);
        get(theirs)?;
        assert!(get(&with_our_client).is_err(), "port {port} serves a client of the nodes' own CA");
    }
    let url = format!("https://127.0.0.1:{}/v2.1/quotes/identity?nonce=abc", node.port());
    let with_pinned_agent = Files { ca: node.certificate(), ..ours.clone() };
    curl(&with_pinned_agent, &["--fail", &url], None).map(drop)
}

#[test]
fn attests_over_plain_http_with_an_agent_that_does_not_tell_its_id() -> Result<()> {
    let keylime = Keylime::start(Options { mutual_tls: false, ..Options::default() })?;
    let meta_data = json!({ "rack": "r7", "owner": "nobody's business" });
    let node = keylime.add_node(NodeOptions { info: false, meta_data, ..NodeOptions::default() })?;
    let mut attestor = plugins::server(&keylime)?;
    attestor.data.insert("allowed_metadata_keys".to_owned(), json!(["rack"]));
    let server = SpireServer::start(&ServerOptions { attestor, agent_ttl: "1h" })?;

    let mut attestor = plugins::agent_without_tls(node.agent())?;
    attestor.data.insert("keylime_agent_id".to_owned(), json!(node.agent().id()));
    SpireAgent::start(&server, &attestor)?.wait_until_attested()?;

    let selectors = server.selectors(&plugins::spiffe_id(node.agent()))?;
    let of_metadata: Vec<_> = selectors.iter().filter(|one| one.contains(":metadata:")).collect();
    assert_eq!(of_metadata, ["keylime:metadata:rack:r7"], "{selectors:?}");
    Ok(())
}

#[test]
fn refuses_a_failing_node_until_it_is_repaired() -> Result<()> {
    let keylime = KEYLIME.get()?;
    let node = keylime.add_node(NodeOptions { with_tenant: true, ..NodeOptions::default() })?;
    let server = server(Form::Hcl)?;
    let attestor = plugins::agent(keylime, node.agent())?;

    node.fail()?;
    let log = SpireAgent::start(&server, &attestor)?.wait_until_refused()?;
    assert_refusal(&log, "PermissionDenied", "is not attested")?;
    assert_refusal(&server.log()?, "refused", "FAIL")?;
    assert!(server.agent(&plugins::spiffe_id(node.agent())).is_err(), "a refused agent is known");

    node.repair()?;
    SpireAgent::start(&server, &attestor)?.wait_until_attested()
}

#[test]
fn refuses_a_node_that_keylime_does_not_know() -> Result<()> {
    let keylime = KEYLIME.get()?;
    let node = keylime.add_node(NodeOptions::default())?;
    let server = server(Form::Hcl)?;
    let attestor = plugins::agent(keylime, node.agent())?;

    node.remove_from_verifier()?;
    let log = SpireAgent::start(&server, &attestor)?.wait_until_refused()?;
    assert_refusal(&log, "PermissionDenied", "is not attested")?;
    assert_refusal(&server.log()?, "refused", "not known to Keylime's verifier")?;

    node.remove_from_registrar()?;
    let log = SpireAgent::start(&server, &attestor)?.wait_until_refused()?;
    assert_refusal(&log, "PermissionDenied", "is not attested")?;
    assert_refusal(&server.log()?, "refused", "not known to Keylime's registrar")
}

#[test]
fn refuses_another_tpm_under_the_id_of_a_node() -> Result<()> {
    let keylime = KEYLIME.get()?;
    let other = keylime.add_node(NodeOptions::default())?;
    let server = server(Form::Hcl)?;
    let mut attestor = plugins::agent(keylime, other.agent())?;
    attestor.data.insert("keylime_agent_id".to_owned(), json!(NODE.get()?.agent().id()));
    let log = SpireAgent::start(&server, &attestor)?.wait_until_refused()?;
    assert_refusal(&log, "PermissionDenied", "signature")
}

/// A log has one line with the code, or the result, and the reason.
fn assert_refusal(log: &str, code: &str, reason: &str) -> Result<()> {
    let said = log.lines().any(|line| line.contains(code) && line.contains(reason));
    ensure!(said, "no line with {code} and {reason:?} in\n{log}");
    Ok(())
}
