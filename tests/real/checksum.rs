//! SPIRE starts a plugin whose SHA-256 is the one in its configuration, and no other.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::Result;
use lab::fake_keylime::pki::Ca;
use lab::process::{Process, output};
use lab::spire::{Attestor, ServerOptions, SpireAgent, SpireServer};
use lab::{janitor, programs};
use ring::digest::{SHA256, digest};
use serde_json::{Value, json};

#[test]
fn spire_starts_the_plugins_by_their_checksums_only() -> Result<()> {
    let dir = janitor::folder("checksum")?;
    let client = Ca::new()?.write_client(dir.path())?;
    let data = json!({
        "keylime_tls_ca_cert_file": client.ca,
        "keylime_tls_cert_file": client.cert,
        "keylime_tls_key_file": client.key,
    });
    let attestor = with_checksum("keylime-attestor-server", data)?;
    let wrong = ServerOptions { attestor: with_wrong_checksum(&attestor), agent_ttl: "1h" };
    let error = SpireServer::start(&wrong).expect_err("SPIRE's server starts a plugin with another checksum");
    assert_is_refusal(&format!("{error:#}"));
    let server = SpireServer::start(&ServerOptions { attestor, agent_ttl: "1h" })?;

    let attestor = with_checksum("keylime-attestor-agent", json!({}))?;
    let log = SpireAgent::start(&server, &with_wrong_checksum(&attestor))?.wait_until_refused()?;
    assert_is_refusal(&log);
    let mut agent = SpireAgent::start(&server, &attestor)?;
    agent.process_mut().wait_for_log("Starting node attestation", Duration::from_secs(60))
}

/// As in a pod on a node of one of two architectures: the init container links to the configuration
/// with its own plugin's checksum, by which SPIRE starts it, and by the other's it does not.
#[test]
fn spire_starts_the_plugin_by_the_configuration_for_its_architecture() -> Result<()> {
    let dir = janitor::folder("architectures")?;
    let (configurations, to) = (dir.path().join("configurations"), dir.path().join("to"));
    fs::create_dir(&to)?;
    let own = with_checksum("keylime-attestor-agent", json!({}))?;
    let other = with_wrong_checksum(&own);
    let [own_name, other_name] = match std::env::consts::ARCH {
        "aarch64" => ["arm64", "amd64"],
        _ => ["amd64", "arm64"],
    };
    for (architecture, attestor) in [(own_name, &own), (other_name, &other)] {
        let folder = configurations.join(architecture);
        fs::create_dir_all(&folder)?;
        fs::write(folder.join("agent.conf"), agent_configuration(dir.path(), &to, attestor))?;
    }
    output(
        Command::new(&own.program)
            .args(["install", "--to"])
            .arg(&to)
            .arg("--configurations")
            .arg(&configurations),
    )?;
    for (folder, log) in [
        (to.join("configuration"), "plugin started"),
        (configurations.join(other_name), "checksums did not match"),
    ] {
        let mut agent = Command::new(programs::installed("spire-1.15.3/spire-agent")?);
        agent.args(["run", "-config"]).arg(folder.join("agent.conf"));
        let mut agent = Process::start("spire-agent", dir.path(), &mut agent)?;
        agent.wait_for_log(log, Duration::from_secs(60))?;
    }
    Ok(())
}

fn agent_configuration(dir: &Path, installed: &Path, attestor: &Attestor) -> String {
    let (dir, installed) = (dir.display(), installed.display());
    let checksum = attestor.checksum.as_deref().unwrap_or_default();
    format!(
        r#"agent {{
  data_dir = "{dir}"
  socket_path = "{dir}/api.sock"
  server_address = "127.0.0.1"
  server_port = "1"
  trust_domain = "example.org"
  insecure_bootstrap = true
  log_level = "DEBUG"
}}
plugins {{
  KeyManager "memory" {{ plugin_data {{}} }}
  WorkloadAttestor "unix" {{ plugin_data {{}} }}
  NodeAttestor "keylime" {{
    plugin_cmd = "{installed}/keylime-attestor-agent"
    plugin_checksum = "{checksum}"
    plugin_data {{}}
  }}
}}
"#
    )
}

fn with_checksum(program: &str, data: Value) -> Result<Attestor> {
    let program = programs::built(program)?;
    let digest = digest(&SHA256, &fs::read(&program)?);
    let checksum = digest.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
    Ok(Attestor { checksum: Some(checksum), ..Attestor::new(program, data) })
}

fn with_wrong_checksum(attestor: &Attestor) -> Attestor {
    let checksum = attestor.checksum.as_ref().map(|right| {
        let (first, rest) = right.split_at(1);
        format!("{}{rest}", if first == "0" { "1" } else { "0" })
    });
    Attestor { checksum, ..attestor.clone() }
}

fn assert_is_refusal(log: &str) {
    assert!(log.contains("checksums did not match"), "{log}");
}
