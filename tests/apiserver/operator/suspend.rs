//! `spec.suspend`: nothing is written while it is true, whatever happens, and all that was missed is
//! done afterwards.

use anyhow::{Result, ensure};
use lab::fake_keylime::State;
use serde_json::{Value, json};

use super::nodes::{at_address, expect};
use super::site::{Operator, Site};
use super::spire;

const DERIVED: &str = "spire-server-keylime";

/// The writes of the operator but those of the resource's own status.
fn writes(site: &Site) -> Result<Vec<String>> {
    let own =
        |write: &String| !write.contains("/keylimeattestors/spire/status") && !write.contains("/events");
    Ok(site.writes()?.into_iter().filter(own).collect())
}

/// Waits until the operator has reconciled again, twice.
fn reconciled(site: &Site, operator: &Operator) -> Result<()> {
    let before = operator.reconciles()?;
    site.wait("two reconciles", |site| {
        // A change of its metadata wakes it, and asks for nothing.
        let change = json!({"metadata": {"annotations": {"woken": format!("{}", operator.reconciles()?)}}});
        site.patch("kla/spire", &change)?;
        Ok(operator.reconciles()? >= before + 2)
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_suspended_resource_is_left_alone_and_so_is_spire() -> Result<()> {
    let mut site = Site::start("suspended").await?;
    site.apply(&spire::json(&site.namespace))?;
    let before = site.spire()?;
    site.attest(json!({"suspend": true}))?;
    let operator = site.operator()?;
    site.wait_for("ConfigurationApplied", "Suspended")?;
    ensure!(site.condition("Ready")?.0 == "Suspended");
    reconciled(&site, &operator)?;
    ensure!(writes(&site)?.is_empty(), "{:?}", writes(&site)?);
    ensure!(site.get("kla/spire")?["metadata"].get("finalizers").is_none(), "it got a finalizer");
    site.is_as(&before)?;
    // Without a finalizer it goes at once.
    site.delete()?;
    site.wait("the resource to go", |site| Ok(!site.exists("kla/spire")?))?;
    operator.stop()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_happens_meanwhile_is_done_afterwards() -> Result<()> {
    let name = "suspended-later";
    let mut site = Site::start(name).await?;
    site.apply(&spire::json(&site.namespace))?;
    site.make_node(name, "22222222-0000-0000-0000-000000000000", "192.0.2.78")?;
    site.keylime.add(at_address(name, "192.0.2.78"));
    site.attest(json!({}))?;
    let operator = site.operator()?;
    site.make_rolled_out()?;
    let node = format!("attestednode/{name}");
    site.wait("the node to be known", |site| site.exists(&node))?;

    site.attest(json!({"suspend": true}))?;
    site.wait_for("ConfigurationApplied", "Suspended")?;
    let (written, seen) = (writes(&site)?, site.get(&node)?);
    ensure!(condition_of_before(&site)? == "RolledOut", "what was known of the server is gone");
    site.kubectl(&["delete", "configmap", DERIVED])?;
    let failing = State::fail().with("ip", json!("192.0.2.78"));
    site.keylime.change(name, |node| *node = node.clone().with_states([failing]));
    reconciled(&site, &operator)?;
    // Longer than nodes.interval.
    std::thread::sleep(std::time::Duration::from_secs(7));
    let since = &writes(&site)?[written.len()..];
    ensure!(since.is_empty(), "{since:?}");
    ensure!(!site.exists(&format!("configmap/{DERIVED}"))?, "it was written");
    ensure!(site.get(&node)? == seen, "the node was followed");

    site.attest(json!({"suspend": false}))?;
    site.wait("the configuration", |site| site.exists(&format!("configmap/{DERIVED}")))?;
    expect(&site, name, "KeylimeAttestationFailed")?;
    site.roll_out_until("Ready", "Ready")?;
    operator.stop()
}

/// The reason of ServerRolledOut, of whichever generation.
fn condition_of_before(site: &Site) -> Result<String> {
    let resource = site.get("kla/spire")?;
    let conditions = resource.pointer("/status/conditions").and_then(Value::as_array);
    let server = conditions.into_iter().flatten().find(|one| one["type"] == "ServerRolledOut");
    Ok(server.and_then(|one| one["reason"].as_str()).unwrap_or_default().to_owned())
}
