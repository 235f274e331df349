//! The files of a release say what they are made of, and a registry gives back what was pushed.

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use lab::process::output;
use lab::released::{Checkout, Dist, NEXT, Registry};
use serde_json::Value;

use super::Published;
use crate::chart::helm::at;

#[test]
fn the_registry_has_what_was_made() -> Result<()> {
    let Published { registry, old, .. } = &Published::start()?;
    let image = format!("keylime-attestor:{}", old.version);
    assert_eq!(registry.crane("digest", &image, &[])?.trim(), old.digest()?);
    for architecture in ["amd64", "arm64"] {
        let platform = format!("--platform=linux/{architecture}");
        let config = registry.crane("config", &image, &[&platform])?;
        let config: Value = serde_json::from_str(&config)?;
        assert_eq!(config["architecture"], architecture);
        assert_eq!(config["config"]["Labels"]["org.opencontainers.image.version"], old.version);
        // The operator of each knows the plugins of both.
        let files = tempfile::NamedTempFile::new()?;
        let archive = files.path().to_str().context("a path that is not UTF-8")?;
        registry.crane("export", &image, &[&platform, archive])?;
        let known = output(Command::new("tar").args(["-xOf", archive, "checksums.json"]))?;
        let known: Value = serde_json::from_str(&known)?;
        let sums = |of: &str| {
            (
                at(&known, &format!("/{of}/keylime-attestor-agent")),
                at(&known, &format!("/{of}/keylime-attestor-server")),
            )
        };
        ensure!(sums("amd64") != sums("arm64") && sums("amd64").0.len() == 64, "{known}");
    }

    for chart in ["keylime-attestor", "keylime-attestor-crds"] {
        let manifest = registry.manifest(&format!("charts/{chart}:{}", old.version))?;
        let made = old.folder.join(format!("{chart}-{}.tgz", old.version));
        assert_eq!(manifest["layers"][0]["digest"], format!("sha256:{}", sha256(&made)?), "{chart}");
    }
    Ok(())
}

#[test]
fn the_files_vouch_for_each_other() -> Result<()> {
    let registry = Registry::start()?;
    let checkout = Checkout::of(env!("CARGO_PKG_VERSION"))?;
    let programs = [checkout.programs("amd64")?, checkout.programs("arm64")?];
    let dist = checkout.release(&registry, &programs)?;
    let sums = fs::read_to_string(dist.folder.join("SHA256SUMS"))?;
    output(Command::new("sha256sum").args(["--check", "SHA256SUMS"]).current_dir(&dist.folder))?;

    let provenance = dist.json(".provenance.json")?;
    let commit = output(Command::new("git").args(["rev-parse", "HEAD"]).current_dir(checkout.path()))?;
    let source = provenance.pointer("/predicate/buildDefinition/resolvedDependencies/0/digest/gitCommit");
    assert_eq!(source, Some(&Value::from(commit.trim())));
    let told: BTreeSet<String> = subjects(&provenance)?.into_iter().skip(1).collect();
    let files: BTreeSet<String> =
        sums.lines().filter(|line| !line.contains("provenance")).map(str::to_owned).collect();
    assert_eq!(told, files, "of each file but the provenance itself, and SHA256SUMS, which has that too");

    materials(&dist)?;

    // Anybody can make it again.
    checkout.release(&registry, &programs)?;
    assert_eq!(fs::read_to_string(dist.folder.join("SHA256SUMS"))?, sums);
    Ok(())
}

/// Each crate of the programs as Cargo.lock has it, and what is in them beside crates.
fn materials(dist: &Dist) -> Result<()> {
    let sbom = dist.json(".cdx.json")?;
    let components = items(&sbom, "components")?;
    let names: BTreeSet<&str> = components.iter().filter_map(|part| part["name"].as_str()).collect();
    let expected = [
        "keylime-attestor-agent",
        "keylime-attestor-operator",
        "keylime-attestor-quoter",
        "keylime-attestor-server",
        "glibc",
        "mbedtls",
        "ring",
        "rustls",
        "tokio",
        "tpm2-tss",
        "tss-esapi",
    ];
    for name in expected {
        ensure!(names.contains(name), "no {name} among {names:?}");
    }
    ensure!(!names.contains("criterion"), "a crate of the benches is in no program");
    let lock = fs::read_to_string(lab::documents::repository().join("Cargo.lock"))?;
    for part in components.iter().filter(|part| {
        part["purl"].as_str().is_some_and(|purl| purl.starts_with("pkg:cargo/") && !purl.contains("file:"))
    }) {
        let entry = format!("name = {}\nversion = {}\n", part["name"], part["version"]);
        ensure!(lock.contains(&entry), "Cargo.lock has no {entry}");
    }

    let known: BTreeSet<&str> = components.iter().filter_map(|part| part["bom-ref"].as_str()).collect();
    for dependency in items(&sbom, "dependencies")? {
        for needed in items(dependency, "dependsOn")? {
            ensure!(needed.as_str().is_some_and(|needed| known.contains(needed)), "nobody is {needed}");
        }
    }
    Ok(())
}

#[test]
fn what_cannot_be_released_is_refused() -> Result<()> {
    let registry = Registry::start()?;
    let checkout = Checkout::of(env!("CARGO_PKG_VERSION"))?;
    let amd64 = checkout.programs("amd64")?;
    let refused = |version: &str, programs: &[PathBuf]| -> Result<String> {
        let made = checkout.release_as(version, &registry, programs);
        Ok(format!("{:#}", made.err().context("it was made")?))
    };

    let answer = refused(NEXT, std::slice::from_ref(&amd64))?;
    ensure!(answer.contains(&format!("expected VERSION={}", env!("CARGO_PKG_VERSION"))), "{answer}");
    let answer = refused(&checkout.version, &[amd64.clone(), amd64.clone()])?;
    ensure!(
        answer.contains("expected the programs of an architecture once, found those of amd64 again"),
        "{answer}"
    );
    fs::write(checkout.path().join("LICENSE"), "Mine.\n")?;
    let answer = refused(&checkout.version, &[amd64])?;
    ensure!(answer.contains("expected a checkout as it was committed"), "{answer}");
    Ok(())
}

/// Digest and name of all that the provenance is of, as sha256sum writes them.
fn subjects(provenance: &Value) -> Result<Vec<String>> {
    let line = |subject: &Value| format!("{}  {}", at(subject, "/digest/sha256"), at(subject, "/name"));
    Ok(items(provenance, "subject")?.iter().map(line).collect())
}

fn items<'a>(value: &'a Value, name: &str) -> Result<&'a Vec<Value>> {
    value.get(name).and_then(Value::as_array).with_context(|| format!("no {name}"))
}

fn sha256(file: &std::path::Path) -> Result<String> {
    let sum = output(Command::new("sha256sum").arg(file))?;
    Ok(sum.split(' ').next().unwrap_or_default().to_owned())
}
