//! The Secrets that `credentials` makes, with the operator: it takes both as they are.

use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use lab::programs;
use serde_json::{Value, json};

use super::site::Site;
use super::spire;

fn credentials(site: &Site, flags: &[&str]) -> Result<String> {
    let given = site.keylime.ca.write_client(site.dir.path())?;
    let mut command = Command::new(programs::built("keylime-attestor-operator")?);
    command.arg("credentials").arg("--folder").arg(site.dir.path().join("credentials"));
    command.arg("--admin-certificate").arg(given.cert).arg("--admin-key").arg(given.key);
    command.arg("--keylime-ca-certificate").arg(given.ca);
    command.args(["--server-namespace", &site.namespace, "--agent-namespace", &site.namespace]).args(flags);
    let output = command.output()?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Ok(String::from_utf8(output.stdout)?)
}

#[tokio::test(flavor = "multi_thread")]
async fn the_operator_takes_both_secrets() -> Result<()> {
    let mut site = Site::start("credentials").await?;
    site.apply(&spire::json(&site.namespace))?;
    let said = credentials(&site, &[])?;
    ensure!(!said.contains("PRIVATE KEY"), "a key was told");
    let manifest = site.dir.path().join("credentials/secrets.yaml");
    let manifest = manifest.to_str().context("a path that is not UTF-8")?;
    site.kubectl(&["apply", "--server-side", "--filename", manifest])?;
    site.attest(json!({"keylime": {"tls": {"secretName": "keylime-admin-client"},
        "agent": {"tls": {"secretName": "keylime-node-client"}}}}))?;
    let operator = site.operator()?;
    site.make_ready()?;
    let mounted = site.get("daemonset/spire-agent")?.to_string();
    ensure!(mounted.contains("keylime-node-client"), "{mounted}");
    operator.stop()
}

/// What is printed is as good as the file, and only where it is asked for with keys.
#[tokio::test(flavor = "multi_thread")]
async fn they_are_printed_where_that_is_asked_for() -> Result<()> {
    let site = Site::start("credentials-out").await?;
    let printed = credentials(&site, &["--output", "-"])?;
    let secrets: Vec<Value> = printed
        .split("---\n")
        .filter(|document| !document.is_empty())
        .map(|document| Ok(serde_yaml::from_str(document)?))
        .collect::<Result<_>>()?;
    ensure!(secrets.len() == 2, "{} documents", secrets.len());
    for secret in &secrets {
        site.apply_with(secret, &["--server-side", "--dry-run=server"])?;
    }
    let resources = credentials(&site, &["--cert-manager"])?;
    let mut kinds = Vec::new();
    for document in resources.split("---\n") {
        let resource: Value = serde_yaml::from_str(document)?;
        kinds.push(resource["kind"].as_str().unwrap_or_default().to_owned());
    }
    ensure!(
        kinds == ["Issuer", "Certificate", "Issuer", "Certificate", "Issuer", "Certificate"],
        "{kinds:?}"
    );
    ensure!(!resources.contains("PRIVATE KEY"));
    Ok(())
}
