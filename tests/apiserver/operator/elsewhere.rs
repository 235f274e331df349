//! Namespaces in which the operator does not act, though it would have the right: who may write
//! resources there gets nothing done by it, and is told so.

use std::fs;

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};

use super::site::Site;
use super::spire;

#[tokio::test(flavor = "multi_thread")]
async fn a_tenants_resource_changes_nothing_of_spires() -> Result<()> {
    let mut site = Site::start("spires").await?;
    site.server.kubectl(&["create", "namespace", "tenant"])?;
    site.apply(&spire::json(&site.namespace))?;
    let mut resource = site.resource("takeover", json!({"spire": {"server": {"namespace": "spires"}}}));
    resource["metadata"]["namespace"] = json!("tenant");
    resource["spec"]["spire"]["agents"][0]["namespace"] = json!("spires");
    let file = site.dir.path().join("takeover.json");
    let file = file.to_str().context("a path that is not UTF-8")?;
    // Of the first, another operator has said something.
    for name in ["others", "takeover"] {
        resource["metadata"]["name"] = json!(name);
        fs::write(file, resource.to_string())?;
        site.server.kubectl(&["create", "--filename", file])?;
    }
    let said = r#"--patch={"status":{"observedGeneration":1}}"#;
    let say = ["patch", "kla", "others", "--namespace", "tenant", "--subresource=status", "--type=merge"];
    site.server.kubectl(&[&say[..], &[said]].concat())?;
    let before = site.spire()?;
    let operator = site.operator()?;

    let get = |site: &Site, name: &str| -> Result<Value> {
        let get = ["get", "kla", name, "--namespace", "tenant", "--output", "json"];
        Ok(serde_json::from_str(&site.server.kubectl(&get)?)?)
    };
    site.wait("the tenant to be told", |site| Ok(get(site, "takeover")?["status"]["conditions"].is_array()))?;
    let (told, others) = (get(&site, "takeover")?, get(&site, "others")?);
    ensure!(others["status"]["conditions"].is_null(), "it was taken from another operator: {others}");
    let [condition] = told["status"]["conditions"].as_array().map(Vec::as_slice).unwrap_or_default() else {
        anyhow::bail!("expected one condition, got {told}");
    };
    ensure!(condition["reason"] == "NamespaceNotManaged", "{condition}");
    ensure!(told["metadata"]["finalizers"].is_null(), "it cannot be deleted: {told}");
    site.is_as(&before)?;
    operator.stop()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_resource_that_names_workloads_elsewhere_is_refused_and_can_be_deleted() -> Result<()> {
    let mut site = Site::start("reaching").await?;
    site.server.kubectl(&["create", "namespace", "reached"])?;
    site.apply(&spire::json(&site.namespace))?;
    let agents = json!([{"name": "spire-agent", "namespace": "reached"}]);
    site.attest(json!({"spire": {"agents": agents}}))?;
    let operator = site.operator()?;
    let message = site.wait_for("ConfigurationApplied", "NamespaceNotManaged")?;
    for part in ["DaemonSet reached/spire-agent", "reaching only", "`namespaces`"] {
        ensure!(message.contains(part), "{part} is not in {message}");
    }
    ensure!(site.hash("statefulset/spire-server")?.is_none(), "half of it was done");
    site.delete()?;
    site.let_go()?;
    operator.stop()
}
