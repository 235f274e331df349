//! The certificates that the operator's `credentials` makes, with the real Keylime: its CA's key is
//! opened, and a node attests with them, which neither server of Keylime takes the other way round.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use anyhow::{Context as _, Result, ensure};
use lab::fake_keylime::pki::Files;
use lab::keylime::{NodeOptions, curl};
use lab::spire::{ServerOptions, SpireAgent, SpireServer};
use lab::{plugins, programs};
use serde_json::json;
use tempfile::TempDir;

use crate::KEYLIME;

fn run(folder: &Path, flags: &[&str]) -> Result<Output> {
    let mut command = Command::new(programs::built("keylime-attestor-operator")?);
    command.arg("credentials").arg("--folder").arg(folder).args(flags);
    command.output().context("failed to start the command")
}

/// The folder of the verifier's CA.
fn cv_ca() -> Result<PathBuf> {
    Ok(KEYLIME.get()?.server_client().ca.parent().context("a file is in a folder")?.to_owned())
}

#[test]
fn a_node_attests_with_what_was_made() -> Result<()> {
    let keylime = KEYLIME.get()?;
    let folder = TempDir::new()?;
    let at = |name: &str| folder.path().join(name);
    let cv_ca = cv_ca()?;
    let cv_ca = cv_ca.to_str().context("a path that is not UTF-8")?;
    let output = run(folder.path(), &["--keylime-ca", cv_ca])?;
    let said = String::from_utf8(output.stdout)?;
    ensure!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
    ensure!(said.contains("trusted_client_ca = \"['/var/lib/keylime/cv_ca/cacert.crt', '/etc/keylime/keylime-attestor-node-ca.crt']\"\n") && !said.contains("PRIVATE KEY"), "{said}");

    let admin = Files {
        ca: keylime.server_client().ca.clone(),
        cert: at("admin-client.crt"),
        key: at("admin-client.key"),
    };
    let node_client = Files { cert: at("node-client.crt"), key: at("node-client.key"), ..admin.clone() };
    let options = NodeOptions { node_ca: Some(at("node-ca.crt")), ..NodeOptions::default() };
    let node = keylime.add_node(options)?;
    for port in [keylime.verifier_port(), keylime.registrar_port()] {
        let url = format!("https://127.0.0.1:{port}/v2.2/agents/{}", node.agent().id());
        curl(&admin, &["--fail", &url], None)?;
        ensure!(curl(&node_client, &["--fail", &url], None).is_err(), "port {port} serves a node's client");
    }

    let mut attestor = plugins::server(keylime)?;
    attestor.data.insert("keylime_tls_cert_file".to_owned(), json!(admin.cert));
    attestor.data.insert("keylime_tls_key_file".to_owned(), json!(admin.key));
    let server = SpireServer::start(&ServerOptions { attestor, agent_ttl: "1h" })?;
    let mut attestor = plugins::agent(keylime, node.agent())?;
    attestor.data.insert("keylime_tls_cert_file".to_owned(), json!(node_client.cert));
    attestor.data.insert("keylime_tls_key_file".to_owned(), json!(node_client.key));
    SpireAgent::start(&server, &attestor)?.wait_until_attested()
}

#[test]
fn they_are_kept_until_they_end_soon() -> Result<()> {
    let folder = TempDir::new()?;
    let cv_ca = cv_ca()?;
    let cv_ca = cv_ca.to_str().context("a path that is not UTF-8")?;
    let run = |flags: &[&str]| run(folder.path(), &[&["--keylime-ca", cv_ca], flags].concat());
    let read = |name: &str| fs::read(folder.path().join(name)).context(name.to_owned());
    let names = ["node-ca.crt", "node-client.crt", "admin-client.crt", "node-client.key"];
    let all = || names.iter().map(|name| read(name)).collect::<Result<Vec<_>>>();

    ensure!(run(&["--days", "40", "--renew-before", "10"])?.status.success());
    let made = all()?;
    ensure!(run(&["--days", "40", "--renew-before", "10"])?.status.success());
    ensure!(all()? == made, "what counts long enough was made anew");
    let output = run(&["--days", "90", "--renew-before", "50"])?;
    let said = String::from_utf8(output.stdout)?;
    ensure!(output.status.success() && said.contains("renewed: keylime-attestor-node"), "{said}");
    let renewed = all()?;
    ensure!(renewed[0] == made[0], "the nodes' CA was replaced, which every agent would have to be told");
    ensure!(renewed.iter().zip(&made).skip(1).all(|(now, before)| now != before), "not all were renewed");

    for entry in fs::read_dir(folder.path())? {
        let entry = entry?;
        let mode = entry.metadata()?.permissions().mode() & 0o777;
        let public = entry.path().extension().is_some_and(|ending| ending == "crt");
        ensure!(mode == if public { 0o644 } else { 0o600 }, "{:?} has mode {mode:o}", entry.file_name());
    }
    Ok(())
}

#[test]
fn what_cannot_be_used_is_told_without_a_key() -> Result<()> {
    let folder = TempDir::new()?;
    let (kept, password) = (folder.path().join("kept"), folder.path().join("password"));
    fs::write(&password, "another\n")?;
    let cv_ca = cv_ca()?;
    let (cv_ca, password) = (cv_ca.to_str().context("UTF-8")?, password.to_str().context("UTF-8")?);
    let server = KEYLIME.get()?.server_client();
    let [ca, cert] = [&server.ca, &server.cert].map(|path| path.to_str().unwrap_or_default());
    let other_key = folder.path().join("other.key");
    fs::write(&other_key, rcgen::KeyPair::generate()?.serialize_pem())?;
    let other_key = other_key.to_str().context("UTF-8")?;
    for (flags, told) in [
        (vec!["--keylime-ca", cv_ca, "--keylime-ca-password-file", password], "the password is another"),
        (vec!["--keylime-ca", "/nowhere"], "failed to read /nowhere/cacert.crt"),
        (vec![], "expected --keylime-ca with the verifier's folder cv_ca"),
        (
            vec!["--admin-certificate", cert, "--admin-key", other_key, "--keylime-ca-certificate", ca],
            "is not the key of",
        ),
        (vec!["--keylime-ca", cv_ca, "--days", "30"], "expected --days above --renew-before"),
    ] {
        let output = run(&kept, &flags)?;
        let error = String::from_utf8(output.stderr)?;
        ensure!(!output.status.success() && error.contains(told), "{flags:?}: {error}");
        ensure!(!error.contains("PRIVATE KEY") && output.stdout.is_empty(), "{flags:?}");
    }
    Ok(())
}
