//! The other ways: SPIRE's older release, configured by hand in HCL, its server a Deployment, its
//! agents root and without `/tmp`, all in one namespace; Helm 3, which merges on the client's side;
//! each mode.

use std::time::Instant;

use anyhow::{Result, ensure};
use lab::cluster::{Cluster, Helm, Options, World};
use lab::spire::Release;

use super::audit;
use super::resource::{self, config_map, derived, expect_keylime, expect_psat, say};
use super::snapshot::{Snapshot, expect_nothing_of_ours};
use super::templates::Watch;

const HELM: Helm = Helm::V3;
const VALUES: [&str; 3] = ["server.kind=Deployment", "server.format=hcl", "agent.format=hcl"];
const CONFIGURATIONS: [(&str, &str); 2] = [("spire-server", "server.conf"), ("spire-agent", "agent.conf")];

#[test]
fn each_mode_serves_an_hcl_configuration_and_gives_it_back() -> Result<()> {
    let clock = Instant::now();
    let cluster = Cluster::start(&Options::of(World::BY_HAND.with(Release::V1_13)))?;
    cluster.install_spire(HELM, &VALUES)?;
    expect_psat(&cluster)?;
    cluster.install_operator(HELM)?;
    let before = Snapshot::without_us(&cluster)?;
    say(clock, "SPIRE attests by k8s_psat, and the operator is ready");

    // One live resource is given one mode after the other.
    in_place(&cluster, &before)?;
    overlay(&cluster, &before)?;
    say(clock, "from InPlace to Overlay");
    upgrade_spire(&cluster)?;
    say(clock, "SPIRE was upgraded");
    config_only(&cluster, &before)?;
    in_place(&cluster, &before)?;
    say(clock, "from Overlay to ConfigOnly and InPlace");
    resource::delete(&cluster)?;
    before.expect(&cluster)?;
    expect_nothing_of_ours(&cluster)?;
    expect_psat(&cluster)?;
    say(clock, "the resource is deleted");

    audit::expect_within_rights(&cluster)?;
    cluster.stop()
}

/// Tokens are demanded at once, not when all agents have one.
fn apply(cluster: &Cluster, mode: &str) -> Result<()> {
    let text = cluster.attestor(mode, "Deployment") + "  attestation: {binding: Require}\n";
    resource::apply_text(cluster, &text)
}

/// The derived configurations are read, and SPIRE's own are as they were.
fn overlay(cluster: &Cluster, before: &Snapshot) -> Result<()> {
    apply(cluster, "Overlay")?;
    for (name, key) in CONFIGURATIONS {
        let (own, now) = (before.entry(name, key)?, config_map(cluster, name, key)?);
        ensure!(now == own, "{name} is {now}");
    }
    expect_keylime(cluster)
}

/// Each time once more with the same values, and all of it back in the end.
fn upgrade_spire(cluster: &Cluster) -> Result<()> {
    let watch = Watch::start(cluster)?;
    for level in ["info", "debug"] {
        let set = format!("logLevel={level}");
        let values = [&VALUES[..], &[set.as_str()]].concat();
        resource::upgrade(cluster, HELM, &values, &format!("log_level = \"{level}\""))?;
        // Nothing is new to it.
        cluster.install_spire(HELM, &values)?;
    }
    let states = watch.end()?;
    ensure!(states > 10, "{states} states only: nothing was replaced");
    let server = derived(cluster, "spire-server", "server.conf")?;
    ensure!(server.starts_with("# A SPIRE server configured by hand, in HCL 1."), "{server}");
    expect_keylime(cluster)
}

/// SPIRE's own configurations are edited.
fn in_place(cluster: &Cluster, before: &Snapshot) -> Result<()> {
    apply(cluster, "InPlace")?;
    expect_keylime(cluster)?;
    for (name, key) in CONFIGURATIONS {
        let (own, edited) = (before.entry(name, key)?, config_map(cluster, name, key)?);
        ensure!(edited != own && edited.contains("keylime-attestor"), "{name} is {edited}");
    }
    Ok(())
}

/// The configurations of the other modes are there, and nothing else was changed.
fn config_only(cluster: &Cluster, before: &Snapshot) -> Result<()> {
    apply(cluster, "ConfigOnly")?;
    before.expect_but_nodes(cluster)?;
    for (name, key) in CONFIGURATIONS {
        let derived = derived(cluster, name, key)?;
        ensure!(derived.contains("keylime-attestor"), "{name} is {derived}");
    }
    expect_psat(cluster)
}
