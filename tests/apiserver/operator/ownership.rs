//! Objects that bear our labels, and even our field manager's name, and are not ours: anybody who
//! may make objects beside SPIRE can have some. They are neither read nor changed nor deleted.

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};

use super::site::Site;
use super::spire;

const AS_THE_OPERATOR: [&str; 2] = ["--server-side", "--field-manager=keylime-attestor-operator"];

#[tokio::test(flavor = "multi_thread")]
async fn what_bears_our_labels_and_is_not_ours_is_left_alone() -> Result<()> {
    let mut site = Site::start("labelled").await?;
    site.apply(&spire::json(&site.namespace))?;
    let mut daemon_set = spire::json(&site.namespace)["items"].as_array().context("no list")?.clone();
    daemon_set.retain(|object| object["kind"] == "DaemonSet");
    let mut objects = vec![config_map("decoy", "decoy"), daemon_set.remove(0)];
    objects[1]["metadata"]["name"] = json!("decoy");
    objects.iter_mut().for_each(|object| label(object, &site.namespace));
    site.apply_with(&json!({"apiVersion": "v1", "kind": "List", "items": objects}), &AS_THE_OPERATOR)?;
    let before = site.spire()?;

    site.attest(json!({}))?;
    let operator = site.operator()?;
    site.make_ready()?;
    let decoys = |all: Vec<Value>| all.into_iter().filter(|object| object["metadata"]["name"] == "decoy");
    ensure!(decoys(site.spire()?).eq(decoys(before.clone())), "they were changed");
    site.delete()?;
    site.let_go()?;
    site.is_as(&before)?;
    operator.stop()
}

/// With watches of whole ConfigMaps the operator took 99 MiB more.
#[tokio::test(flavor = "multi_thread")]
async fn large_config_maps_that_bear_our_labels_cost_nothing() -> Result<()> {
    const NUMBER: usize = 50;
    const MOST_KIB: u64 = 24 * 1024;
    let mut site = Site::start("hoarded").await?;
    site.apply(&spire::json(&site.namespace))?;
    site.attest(json!({}))?;
    let operator = site.operator()?;
    site.make_ready()?;
    let before = operator.process.peak_kib()?;
    operator.stop()?;

    let text = "x".repeat(1024 * 1024 - 1024);
    let mut decoys: Vec<Value> =
        (0..NUMBER).map(|number| config_map(&format!("decoy-{number}"), &text)).collect();
    decoys.iter_mut().for_each(|decoy| label(decoy, &site.namespace));
    site.apply_with(&json!({"apiVersion": "v1", "kind": "List", "items": decoys}), &AS_THE_OPERATOR)?;
    let watched = watches_of_config_maps(&site)?;
    let operator = site.operator()?;
    // After a list of them all.
    site.wait("a watch", |site| Ok(watches_of_config_maps(site)? > watched))?;
    let more = operator.process.peak_kib()?.saturating_sub(before);
    ensure!(more < MOST_KIB, "{NUMBER} ConfigMaps of 1 MiB took {more} KiB more than {before} KiB");
    operator.stop()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_config_map_of_somebody_else_where_ours_would_be_is_not_overwritten() -> Result<()> {
    let mut site = Site::start("occupied").await?;
    site.apply(&spire::json(&site.namespace))?;
    let mut occupied = config_map("spire-server-keylime", "theirs");
    label(&mut occupied, &site.namespace);
    site.apply_with(&occupied, &AS_THE_OPERATOR)?;
    let before = site.spire()?;
    site.attest(json!({}))?;
    let operator = site.operator()?;
    let message = site.wait_for("ConfigurationApplied", "ConfigMapNotOurs")?;
    ensure!(message.contains("occupied/spire-server-keylime"), "{message}");
    site.is_as(&before)?;

    site.kubectl(&["delete", "configmap", "spire-server-keylime"])?;
    site.make_ready()?;
    operator.stop()?;
    // Somebody puts his own in the place of ours.
    site.kubectl(&["delete", "configmap", "spire-server-keylime"])?;
    site.apply_with(&occupied, &AS_THE_OPERATOR)?;
    site.delete()?;
    let operator = site.operator()?;
    site.let_go()?;
    ensure!(site.text("spire-server-keylime", "server.conf")? == "theirs");
    operator.stop()
}

fn watches_of_config_maps(site: &Site) -> Result<usize> {
    let audit = site.server.audit()?;
    let begun = audit.iter().filter(|entry| {
        let of = &entry["objectRef"];
        entry["verb"] == "watch"
            && entry["stage"] == "ResponseStarted"
            && of["resource"] == "configmaps"
            && of["namespace"] == site.namespace.as_str()
    });
    Ok(begun.count())
}

fn config_map(name: &str, text: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": {"server.conf": text}})
}

/// As the operator labels what it makes.
fn label(object: &mut Value, namespace: &str) {
    object["metadata"]["labels"] = json!({
        "app.kubernetes.io/managed-by": "keylime-attestor-operator",
        "spire.keylime.dev/attestor-name": "spire",
        "spire.keylime.dev/attestor-namespace": namespace,
    });
}
