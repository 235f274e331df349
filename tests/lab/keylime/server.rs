//! The verifier or the registrar, as a process that can be stopped and started again.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context as _, Result};

use super::{Mode, Options};
use crate::ports::Port;
use crate::process::Process;
use crate::programs;

/// Limit for its start, which takes about a second on an idle machine.
const START_TIMEOUT: Duration = Duration::from_secs(120);

#[derive(Debug)]
pub(super) struct Server {
    name: &'static str,
    dir: PathBuf,
    /// Where clients with a certificate are served.
    port: Port,
    settings: Vec<(&'static str, String)>,
    process: Mutex<Option<Process>>,
}

impl Server {
    pub(super) fn verifier(dir: &Path, port: Port, registrar: &Port, options: &Options) -> Self {
        let mode = match options.mode {
            Mode::Pull => "pull",
            Mode::Push => "push",
        };
        let settings = vec![
            ("KEYLIME_VERIFIER_MODE", mode.to_owned()),
            ("LAB_PUSH_ECC", u8::from(options.push_takes_ecc).to_string()),
            ("KEYLIME_VERIFIER_PORT", port.to_string()),
            ("KEYLIME_VERIFIER_REGISTRAR_PORT", registrar.to_string()),
            ("KEYLIME_VERIFIER_ENABLE_AGENT_MTLS", options.mutual_tls.to_string()),
            ("KEYLIME_VERIFIER_QUOTE_INTERVAL", options.quote_interval.to_string()),
            ("KEYLIME_VERIFIER_CERT_SUBJECT_ALTERNATIVE_NAMES", options.server_name.clone()),
        ];
        Self { name: "verifier", dir: dir.to_owned(), port, settings, process: Mutex::new(None) }
    }

    pub(super) fn registrar(dir: &Path, registration: &Port, port: Port) -> Self {
        let settings = vec![
            ("KEYLIME_REGISTRAR_PORT", registration.to_string()),
            ("KEYLIME_REGISTRAR_TLS_PORT", port.to_string()),
        ];
        Self { name: "registrar", dir: dir.to_owned(), port, settings, process: Mutex::new(None) }
    }

    pub(super) fn port(&self) -> u16 {
        self.port.number()
    }

    pub(super) fn start(&self) -> Result<()> {
        let mut command = python("keylime", &self.dir)?;
        command.arg(programs::source("keylime/server.py")).arg(format!("keylime.cmd.{}", self.name));
        command.envs(self.settings.iter().map(|(name, value)| (name, value)));
        let mut process = Process::start(self.name, &self.dir, &mut command)?;
        process.wait_until("an open port", START_TIMEOUT, || self.port.is_open())?;
        *self.process.lock().unwrap_or_else(PoisonError::into_inner) = Some(process);
        Ok(())
    }

    pub(super) fn stop(&self) -> Result<()> {
        let process = self.process.lock().unwrap_or_else(PoisonError::into_inner).take();
        process.with_context(|| format!("the {} does not run", self.name))?.stop()
    }
}

/// The Python of an installed Keylime, with the lab's configuration files and nothing else of the
/// environment.
pub(super) fn python(environment: &str, dir: &Path) -> Result<Command> {
    let mut command = Command::new(programs::installed(&format!("{environment}/bin/python"))?);
    command.env_clear().env("PATH", "/usr/bin:/bin:/usr/sbin:/sbin").env("KEYLIME_DIR", dir);
    for part in ["agent", "ca", "logging", "registrar", "tenant", "verifier"] {
        let file = programs::source(&format!("keylime/{part}.conf"));
        command.env(format!("KEYLIME_{}_CONFIG", part.to_uppercase()), file);
    }
    Ok(command)
}
