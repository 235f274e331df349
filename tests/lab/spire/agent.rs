//! SPIRE's agent.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use serde_json::json;
use tempfile::TempDir;

use super::config::{self, Attestor};
use super::{Release, SpireServer, TRUST_DOMAIN};
use crate::janitor;
use crate::process::{self, Process};

/// How long an attestation may take, or a refused agent to end.
const TIMEOUT: Duration = Duration::from_secs(120);

/// A running SPIRE agent.
#[derive(Debug)]
pub struct SpireAgent {
    process: Process,
    release: Release,
    dir: TempDir,
}

impl SpireAgent {
    /// Starts an agent with our agent plugin, which knows the server by its trust bundle. It keeps
    /// its keys in memory: each start is an attestation.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn start(server: &SpireServer, attestor: &Attestor) -> Result<Self> {
        Self::start_of(Release::USUAL, server, attestor)
    }

    /// The same of a release.
    ///
    /// # Errors
    /// Like [`start`](Self::start).
    pub fn start_of(release: Release, server: &SpireServer, attestor: &Attestor) -> Result<Self> {
        let dir = janitor::folder("spire-agent")?;
        let settings = json!({
            "server_address": "127.0.0.1",
            "server_port": server.port().to_string(),
            "trust_domain": TRUST_DOMAIN,
            "trust_bundle_path": server.bundle(),
            "data_dir": dir.path().join("data"),
            "socket_path": dir.path().join("api.sock"),
            "log_level": "DEBUG",
            // How soon it learns of a new entry or of its eviction.
            "experimental": { "sync_interval": "1s" },
        });
        let plugins = [
            ("KeyManager", "memory", json!({ "plugin_data": {} })),
            ("WorkloadAttestor", "unix", json!({ "plugin_data": {} })),
        ];
        let config = config::write(dir.path(), "agent", &settings, &plugins, attestor)?;
        release.validate("spire-agent", &config, &[])?;
        let mut command = Command::new(release.program("spire-agent")?);
        command.arg("run").arg("-config").arg(config).env("PLUGIN_UNIX_SOCKET_DIR", dir.path());
        Ok(Self { process: Process::start("spire-agent", dir.path(), &mut command)?, release, dir })
    }

    /// Waits until the agent is attested and serves workloads.
    ///
    /// # Errors
    /// When it is not; the error shows its log.
    pub fn wait_until_attested(&mut self) -> Result<()> {
        let (release, socket) = (self.release, self.socket());
        self.process
            .wait_until("the agent attested", TIMEOUT, || ask(release, &socket, &["healthcheck"]).map(drop))
    }

    /// Waits until the agent has ended because it was refused, and gives its log.
    ///
    /// # Errors
    /// When it goes on, or ends well; the error shows its log.
    pub fn wait_until_refused(&mut self) -> Result<String> {
        let status = self.process.wait_for_end(TIMEOUT)?;
        let log = self.process.log()?;
        ensure!(!status.success(), "the agent ended without an error:\n{log}");
        Ok(log)
    }

    /// Fetches an X509-SVID as a workload does, and waits until there is one; as `spire-agent api
    /// fetch x509` prints it.
    ///
    /// # Errors
    /// When there is none, in time; the error shows the agent's log.
    pub fn fetch_x509_svid(&mut self) -> Result<String> {
        let (release, socket) = (self.release, self.socket());
        self.process.wait_until("an X509-SVID", TIMEOUT, || ask(release, &socket, &["api", "fetch", "x509"]))
    }

    /// Its process.
    pub fn process_mut(&mut self) -> &mut Process {
        &mut self.process
    }

    fn socket(&self) -> PathBuf {
        self.dir.path().join("api.sock")
    }
}

/// Runs one of `spire-agent`'s own commands against the agent at `socket`.
fn ask(release: Release, socket: &Path, arguments: &[&str]) -> Result<String> {
    let mut command = Command::new(release.program("spire-agent")?);
    process::output(command.args(arguments).arg("-socketPath").arg(socket))
}

/// The selector that SPIRE's unix attestor gives to processes of the user who runs the lab.
pub(super) fn own_selector() -> Result<String> {
    let uid = fs::metadata("/proc/self").context("failed to get the user's id")?.uid();
    Ok(format!("unix:uid:{uid}"))
}
