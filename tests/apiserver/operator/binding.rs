//! `spec.attestation.binding`: tokens are asked for once SPIRE's server can have them reviewed, and
//! demanded once all agents have one.

use std::time::Instant;

use anyhow::{Result, ensure};
use lab::fake_spire::{keylime_agent, with_selector};
use lab::wait;
use serde_json::{Value, json};

use super::reports::Reporting;
use super::site::{Site, TIMEOUT};
use super::spire;
use crate::chart::helm::{HELMS, objects, template};

const CONDITION: &str = "BindingRequired";

#[tokio::test(flavor = "multi_thread")]
async fn tokens_are_asked_for_when_they_can_be_reviewed_and_demanded_when_all_agents_have_one() -> Result<()>
{
    let mut site = Site::start("bound").await?;
    site.apply(&spire::json(&site.namespace))?;
    let before = site.spire()?;
    site.attest(json!({}))?;
    let operator = site.operator()?;
    site.make_ready()?;
    let (reason, message) = site.condition(CONDITION)?;
    ensure!(reason == "NoReviewPossible", "{reason}: {message}");
    for part in ["bound:default", "create tokenreviews", "get nodes", "get pods in bound"] {
        ensure!(message.contains(part), "{part} is not in {message}");
    }
    ensure!(!asks(&site)? && volume(&site)?.is_null(), "a token was asked for that nobody can review");

    // The account's rights are not enough: the pods have to ask with its token.
    grant(&site)?;
    wake(&site, "31s")?;
    site.wait("the pods' own token to be missed", |site| {
        Ok(site.condition(CONDITION)?.1.contains("automountServiceAccountToken"))
    })?;
    ensure!(!asks(&site)?);
    // With the token of its account, which the apiserver adds.
    let hash = site.hash("statefulset/spire-server")?.unwrap_or_default();
    let mut pod = spire::pod(&site.namespace, "spire-server-0", "spire-server", &hash);
    pod["spec"]["automountServiceAccountToken"] = json!(true);
    site.apply(&pod)?;
    wake(&site, "32s")?;
    site.wait("tokens to be asked for", asks)?;
    ensure!(mode(&site)?.contains("\"prefer\""), "{}", mode(&site)?);
    site.wait_for(CONDITION, "RollingOut")?;
    ensure!(volume(&site)?.is_null(), "the agents changed before the server");
    site.make_rolled_out()?;
    let token = json!({"audience": "keylime-attestor", "expirationSeconds": 600, "path": "token"});
    ensure!(
        volume(&site)?["projected"]["sources"] == json!([{"serviceAccountToken": token}]),
        "{:#}",
        volume(&site)?
    );

    // Every agent has one now, and then a minute to get what it needs of SPIRE's server.
    site.wait_for("AgentsRolledOut", "RolledOut")?;
    let ready = Instant::now();
    ensure!(mode(&site)?.contains("\"prefer\""), "{}", mode(&site)?);
    wait::until("tokens to be demanded", TIMEOUT * 2, || {
        ensure!(mode(&site)?.contains("\"require\""), "{}", mode(&site)?);
        Ok(())
    })?;
    ensure!(ready.elapsed().as_secs() > 50, "it was {:?} after the agents were ready", ready.elapsed());
    site.roll_out_until(CONDITION, "Required")?;
    ensure!(site.get("kla/spire")?["status"]["binding"] == "Require");
    site.wait_for("Ready", "Ready")?;

    site.delete()?;
    site.let_go()?;
    site.is_as(&before)?;
    operator.stop()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_reviewed_is_not_demanded() -> Result<()> {
    let mut site = Site::start("unbound").await?;
    site.apply(&spire::json(&site.namespace))?;
    site.attest(json!({"attestation": {"binding": "Require"}}))?;
    let operator = site.operator()?;
    let message = site.wait_for("ConfigurationApplied", "BindingImpossible")?;
    ensure!(message.contains("create tokenreviews"), "{message}");
    ensure!(site.hash("statefulset/spire-server")?.is_none(), "SPIRE's server was changed");
    site.attest(json!({"attestation": {"binding": "Off"}}))?;
    site.make_ready()?;
    ensure!(site.condition(CONDITION)?.0 == "TurnedOff");
    operator.stop()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_proven_pair_is_pinned_and_an_attempt_against_it_is_told() -> Result<()> {
    let reporting = Reporting::start("proven", &["victim", "intruder"], "Observe").await?;
    let site = &reporting.site;
    let uid =
        |node: &str| Ok::<_, anyhow::Error>(text(&site.get(&format!("node/{node}"))?["metadata"]["uid"]));
    let proven =
        |agent: &str, uid: &str| with_selector(keylime_agent(agent), "keylime", &format!("node_uid:{uid}"));
    let victim = proven("victim", &uid("victim")?);
    let server = reporting.server("spire-server-0", "127.0.0.1", vec![victim]).await?;
    let binding =
        |node: &str| Ok::<_, anyhow::Error>(site.get(&format!("attestednode/{node}"))?["status"].clone());
    site.wait("the pair to be pinned", |_| Ok(binding("victim")?["binding"]["agentId"] == "victim"))?;
    ensure!(text(&binding("victim")?["binding"]["nodeUID"]) == uid("victim")?);
    ensure!(binding("victim")?["matchedBy"] == "Proof", "{:#}", binding("victim")?);

    // As if SPIRE's server had let it in.
    server.spire.remove("victim");
    server.spire.add(proven("victim", &uid("intruder")?));
    site.wait("the pair to be held against it", |_| {
        Ok(text(&binding("intruder")?["conflict"]).contains("bound to node victim"))
    })?;
    ensure!(
        binding("victim")?["binding"]["agentId"] == "victim" && binding("intruder")?["binding"].is_null()
    );
    let events =
        site.server.kubectl(&["get", "events.events.k8s.io", "--namespace=default", "--output=json"])?;
    let events: Value = serde_json::from_str(&events)?;
    let told = events["items"].as_array().into_iter().flatten().any(|event| {
        event["reason"] == "BoundElsewhere"
            && event["regarding"]["name"] == "intruder"
            && event["type"] == "Warning"
    });
    ensure!(told, "no Event tells of it");

    // The end of its Node is the end of the pair.
    site.kubectl(&["delete", "node", "victim"])?;
    site.wait("the other node to be bound", |_| Ok(binding("intruder")?["binding"]["agentId"] == "victim"))?;
    reporting.operator.stop()
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

/// Has the operator reconcile, which it does after a minute by itself.
fn wake(site: &Site, challenge_timeout: &str) -> Result<()> {
    site.attest(json!({"attestation": {"challengeTimeout": challenge_timeout}}))
}

/// Gives the account of SPIRE's server what the chart has for it.
pub(crate) fn grant(site: &Site) -> Result<()> {
    let server = format!("rbac.spireServers[0].namespace={}", site.namespace);
    let namespaces = format!("namespaces={{{}}}", site.namespace);
    // A name of its own: ClusterRoles of the apiserver that tests share have no namespace.
    let name = format!("fullnameOverride={}", site.namespace);
    let account = "rbac.spireServers[0].name=default";
    let args = ["--set", &namespaces, "--set", &server, "--set", account, "--set", &name];
    let rendered =
        objects(&template(HELMS[0], &[&args[..], &["--show-only", "templates/rbac.yaml"]].concat())?)?;
    let of_server = rendered.into_iter().filter(|object| {
        object["metadata"]["name"].as_str().is_some_and(|name| name.ends_with("-token-review"))
    });
    let of_server: Vec<_> = of_server.collect();
    ensure!(of_server.len() == 4, "{of_server:?}");
    site.apply(&json!({"apiVersion": "v1", "kind": "List", "items": of_server}))
}

fn mode(site: &Site) -> Result<String> {
    let text = site.text("spire-server-keylime", "server.conf")?;
    Ok(text.split("\"binding\":").nth(1).unwrap_or_default().chars().take(16).collect())
}

fn asks(site: &Site) -> Result<bool> {
    Ok(!mode(site)?.is_empty())
}

/// The agents' volume with the token.
fn volume(site: &Site) -> Result<Value> {
    let agents = site.get("daemonset/spire-agent")?;
    let volumes = agents["spec"]["template"]["spec"]["volumes"].as_array().cloned().unwrap_or_default();
    let token = volumes.into_iter().find(|volume| volume["name"] == "keylime-attestor-token");
    Ok(token.unwrap_or_default())
}
