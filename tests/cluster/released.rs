//! What a registry has of a release is all that a cluster needs, and the next one comes over it while
//! workloads keep their identities.

use std::fs;
use std::path::Path;
use std::time::Instant;

use anyhow::{Context as _, Result, ensure};
use lab::cluster::{Cluster, Helm, OPERATOR, Options, World};
use lab::documents::repository;
use lab::image::Image;
use lab::released::{Checkout, NEXT, Registry};
use lab::wait;

use crate::operator::identities::meanwhile;
use crate::operator::quick_start::{self, WORKLOADS};
use crate::operator::resource::{self, TIMEOUT, expect_keylime, expect_psat, say};

const HELM: Helm = Helm::V4;

#[test]
#[ignore = "takes minutes, and is about the release alone: make release-test"]
fn a_cluster_gets_a_release_from_a_registry_and_then_the_next() -> Result<()> {
    let clock = Instant::now();
    let registry = Registry::start()?;
    let old = publish(&Checkout::of(env!("CARGO_PKG_VERSION"))?, &registry, b"")?;
    let new = publish(&Checkout::of(NEXT)?, &registry, b"the next one")?;
    say(clock, "two releases are in the registry");

    let cluster = Cluster::start(&Options::of(World::SPIFFE))?;
    let reach = cluster.reach(registry.port())?;
    cluster.install_spire(HELM, &[])?;
    expect_psat(&cluster)?;
    cluster.keylime().create_secrets()?;
    install(&cluster, "install", &registry, &old)?;
    quick_start::start_workloads(&cluster)?;
    quick_start::apply(&cluster, clock)?;
    expect_plugins(&cluster, &old)?;
    say(clock, "the resource is Ready by the first release");

    let resource = identity(&cluster)?;
    meanwhile((&cluster, clock), &WORKLOADS, "the upgrade", || {
        install(&cluster, "upgrade", &registry, &new)?;
        expect_plugins(&cluster, &new)?;
        cluster.wait_for_spire()?;
        resource::wait_until_ready(&cluster)?;
        expect_keylime(&cluster)
    })?;
    assert_eq!(identity(&cluster)?, resource);
    resource::expect_helm_test(&cluster, HELM)?;
    say(clock, "and by the next one");
    drop(reach);
    cluster.stop()
}

/// What a release names, and whose image that is.
struct Published {
    version: String,
    image: String,
}

/// The programs with something behind them, which makes others of them that do the same.
fn publish(checkout: &Checkout, registry: &Registry, more: &[u8]) -> Result<Published> {
    let programs = checkout.path().join("target/programs");
    fs::create_dir_all(&programs)?;
    for program in Image::made()?.programs()? {
        let copy = programs.join(program.file_name().context("a program without a name")?);
        fs::copy(&program, &copy)?;
        append(&copy, more)?;
    }
    let dist = checkout.release(registry, &[programs])?;
    checkout.publish(registry, &[("SIGN", "no")])?;
    let image = format!("{}/keylime-attestor@{}", registry.address(), dist.digest()?);
    Ok(Published { version: dist.version, image })
}

fn append(file: &Path, more: &[u8]) -> Result<()> {
    let mut content = fs::read(file)?;
    content.extend(more);
    fs::write(file, content).with_context(|| format!("failed to write {}", file.display()))
}

/// With nothing but the registry's chart and the values of the quick start.
fn install(cluster: &Cluster, verb: &str, registry: &Registry, release: &Published) -> Result<()> {
    let chart = format!("oci://{}/charts/{OPERATOR}", registry.address());
    let values = repository().join("charts/keylime-attestor/files/quickstart-values.yaml");
    let values = values.to_str().context("a path that is no text")?;
    let from = [verb, OPERATOR, &chart, "--plain-http", "--version", &release.version, "--values", values];
    let to = ["--namespace", OPERATOR, "--create-namespace", "--wait", "--timeout", "120s"];
    let to = if verb == "install" { &to[..] } else { &["--namespace", OPERATOR, "--wait"] };
    cluster.helm(HELM, &[&from[..], to].concat())?;
    Ok(())
}

/// SPIRE's pods all have the plugins of this release.
fn expect_plugins(cluster: &Cluster, release: &Published) -> Result<()> {
    let image = "jsonpath={range .items[*]}{.spec.initContainers[?(@.name==\"keylime-attestor-install\")].image}{\"\\n\"}{end}";
    wait::until("the plugins of the release", TIMEOUT, || {
        for (namespace, label) in
            [(cluster.world.server, "app=spire-server"), (cluster.world.agents, "app=spire-agent")]
        {
            let pods = ["get", "pods", "--namespace", namespace, "--selector", label, "--output", image];
            let images = cluster.kubectl(&pods)?;
            let all = !images.trim().is_empty() && images.lines().all(|image| image == release.image);
            ensure!(all, "expected {}, got {images}", release.image);
        }
        Ok(())
    })
}

/// What of the resource would tell that it was made anew, or changed.
fn identity(cluster: &Cluster) -> Result<String> {
    cluster.at_server(&["get", "kla/spire", "--output", "jsonpath={.metadata.uid} {.metadata.generation}"])
}
