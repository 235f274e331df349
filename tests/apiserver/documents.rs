//! The commands and the resources of the documents, as they stand there, on a real apiserver.

use std::fs;
use std::os::unix::fs::symlink;
use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use lab::apiserver::ApiServer;
use lab::documents::{blocks, repository};
use lab::process::output;
use lab::programs::installed;
use serde_json::Value;
use tempfile::TempDir;

use crate::chart::hook;

const CHART: &str = "charts/keylime-attestor/README.md";

#[test]
fn helm_installs_and_uninstalls_by_the_readmes() -> Result<()> {
    let site = Site::start()?;
    let (quick_start, chart) = (blocks("README.md", "sh")?, blocks(CHART, "sh")?);
    let install = quick_start.iter().find(|block| block.contains("helm install")).context("no install")?;
    let [with_helm, _, uninstall] = chart.as_slice() else {
        anyhow::bail!("{CHART} has other blocks: {chart:?}")
    };
    assert_eq!(with_helm, install, "two documents, one command");

    site.run(install)?;
    let resource = blocks("README.md", "yaml")?.concat();
    site.create(&serde_yaml::from_str(&resource)?, &[])?;
    hook::play(&site.server, || Ok(()), || site.run(uninstall))?.0?;
    let crds = site.server.kubectl(&["get", "crd", "--output", "name"])?;
    ensure!(!crds.contains("spire.keylime.dev"), "{crds}");
    Ok(())
}

#[test]
fn without_helm_the_commands_are_enough() -> Result<()> {
    let site = Site::start()?;
    let chart = blocks(CHART, "sh")?;
    let commands = chart.iter().find(|block| block.contains("kubectl apply")).context("no commands")?;
    site.run(commands)?;

    let deployment = ["get", "deployment", "keylime-attestor", "-n", "keylime-attestor", "-o", "json"];
    let deployment: Value = serde_json::from_str(&site.server.kubectl(&deployment)?)?;
    let image = deployment.pointer("/spec/template/spec/containers/0/image");
    let expected = concat!("registry.example.org/keylime-attestor:", env!("CARGO_PKG_VERSION"));
    ensure!(image == Some(&Value::from(expected)), "{image:?}");
    site.create(&quick_start()?, &[])?;
    for (namespace, secret, expected) in [
        ("spire-server", "keylime-admin-client", "yes"),
        ("spire-system", "keylime-node-client", "yes"),
        ("spire-server", "another", "no"),
    ] {
        let secret = format!("secret/{secret}");
        let as_operator = "--as=system:serviceaccount:keylime-attestor:keylime-attestor";
        // `auth can-i` answers "no" with an exit code that is not 0.
        let answer = site.server.kubectl(&["auth", "can-i", "get", &secret, "-n", namespace, as_operator]);
        ensure!(answer.is_ok() == (expected == "yes"), "{namespace} {secret}: {answer:?}");
    }
    Ok(())
}

/// A part of a resource is put into the one of the quick start.
#[test]
fn the_resources_are_valid() -> Result<()> {
    let site = Site::start()?;
    let crds = repository().join("crds").display().to_string();
    site.server.kubectl(&["apply", "--server-side", "--filename", &crds])?;
    site.server.kubectl(&["wait", "--for=condition=Established", "crd", "--all"])?;
    for document in ["README.md", "operator/README.md"] {
        for block in blocks(document, "yaml")? {
            let mut resource = quick_start()?;
            merge(&mut resource, serde_yaml::from_str(&block)?);
            let created = site.create(&resource, &["--dry-run=server"]);
            created.with_context(|| format!("{document}:\n{block}"))?;
        }
    }
    Ok(())
}

/// An apiserver, and a folder with the programs that the documents name.
struct Site {
    server: ApiServer,
    folder: TempDir,
}

impl Site {
    fn start() -> Result<Self> {
        let (server, folder) = (ApiServer::start()?, TempDir::new()?);
        for namespace in ["spire-server", "spire-system"] {
            server.kubectl(&["create", "namespace", namespace])?;
        }
        for (name, program) in [("kubectl", "cluster-tools/kubectl"), ("helm", "cluster-tools/helm4")] {
            symlink(installed(program)?, folder.path().join(name))?;
        }
        Ok(Self { server, folder })
    }

    /// Runs commands in the repository's root, where the documents have them run.
    fn run(&self, commands: &str) -> Result<String> {
        let path = std::env::var("PATH").unwrap_or_default();
        output(
            Command::new("bash")
                .args(["-euo", "pipefail", "-c", commands])
                .current_dir(repository())
                .env("PATH", format!("{}:{path}", self.folder.path().display()))
                .env("HOME", self.folder.path())
                .env("KUBECONFIG", self.server.kubeconfig()),
        )
    }

    fn create(&self, resource: &Value, args: &[&str]) -> Result<String> {
        let file = self.folder.path().join("resource.json");
        fs::write(&file, resource.to_string())?;
        let file = file.display().to_string();
        let create = ["create", "--validate=strict", "--filename", &file];
        self.server.kubectl(&[&create, args].concat())
    }
}

fn quick_start() -> Result<Value> {
    let file = repository().join("charts/keylime-attestor/files/quickstart.yaml");
    Ok(serde_yaml::from_str(&fs::read_to_string(file)?)?)
}

fn merge(whole: &mut Value, part: Value) {
    match (whole, part) {
        (Value::Object(whole), Value::Object(part)) => {
            for (name, value) in part {
                merge(whole.entry(name).or_insert(Value::Null), value);
            }
        }
        (whole, part) => *whole = part,
    }
}
