//! A software TPM with a Keylime agent on it, registered at a registrar.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result};
use tempfile::TempDir;

use super::server::python;
use super::{Keylime, NodeOptions};
use crate::janitor;
use crate::ports::Port;
use crate::process::Process;
use crate::programs;
use crate::swtpm::Swtpm;

/// Limit for its start, which takes about three seconds on an idle machine.
const START_TIMEOUT: Duration = Duration::from_secs(120);

/// A running Keylime agent.
#[derive(Debug)]
pub struct Agent {
    id: String,
    port: Port,
    process: Option<Process>,
    tpm: Swtpm,
    dir: TempDir,
}

impl Agent {
    pub(super) fn start(keylime: &Keylime, options: &NodeOptions, registrar: u16) -> Result<Self> {
        let dir = janitor::folder("node")?;
        let tpm = Swtpm::start_with_ek_certificate(&dir.path().join("tpm"))?;
        let id = options.id.clone().map_or_else(random_uuid, Ok)?;
        let port = Port::free()?;

        let [verifier, nodes] = keylime.trusted_by_agents();
        let nodes = options.node_ca.as_ref().unwrap_or(nodes);
        let (verifier, nodes) = (verifier.display(), nodes.display());
        let mut command = python("keylime-agent", &dir.path().join("agent"))?;
        command
            .arg(programs::source("keylime/agent.py"))
            .env("TPM2TOOLS_TCTI", tpm.tcti())
            .env("LAB_AGENT_INFO", if options.info { "1" } else { "0" })
            .env("KEYLIME_AGENT_UUID", &id)
            .env("KEYLIME_AGENT_PORT", port.to_string())
            .env("KEYLIME_AGENT_CONTACT_PORT", port.to_string())
            .env("KEYLIME_AGENT_REGISTRAR_PORT", registrar.to_string())
            .env("KEYLIME_AGENT_ENABLE_AGENT_MTLS", keylime.options.mutual_tls.to_string())
            .env("KEYLIME_AGENT_TRUSTED_CLIENT_CA", format!("['{verifier}', '{nodes}']"));
        let mut process = Process::start("keylime-agent", dir.path(), &mut command)?;
        process.wait_for_log("Starting Cloud Agent", START_TIMEOUT)?;
        Ok(Self { id, port, process: Some(process), tpm, dir })
    }

    /// The node's id in Keylime.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Where the agent listens, on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.port.number()
    }

    /// The agent's own TLS certificate, PEM: what the agent plugin can be told to expect.
    pub fn certificate(&self) -> PathBuf {
        self.dir.path().join("agent/tmpfs-dev/server-cert.crt")
    }

    /// The node's TPM.
    pub fn tpm(&self) -> &Swtpm {
        &self.tpm
    }

    /// Ends the agent; the TPM goes on.
    ///
    /// # Errors
    /// When that cannot be done.
    pub fn stop(&mut self) -> Result<()> {
        self.process.take().context("the agent does not run")?.stop()
    }

    pub(super) fn dir(&self) -> &Path {
        self.dir.path()
    }
}

fn random_uuid() -> Result<String> {
    let id = std::fs::read_to_string("/proc/sys/kernel/random/uuid").context("failed to get a random id")?;
    Ok(id.trim().to_owned())
}
