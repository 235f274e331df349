//! A registry without TLS, by crane.

use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result};
use serde_json::Value;
use tempfile::TempDir;

use crate::ports::Port;
use crate::process::{Process, output};
use crate::programs::installed;

const TIMEOUT: Duration = Duration::from_secs(30);

/// A running registry; what was pushed goes with it.
#[derive(Debug)]
pub struct Registry {
    _process: Process,
    port: Port,
    _folder: TempDir,
}

impl Registry {
    /// Starts an empty one.
    ///
    /// # Errors
    /// When crane is not installed or does not serve.
    pub fn start() -> Result<Self> {
        let (folder, port) = (TempDir::new()?, Port::free()?);
        let mut command = Command::new(crane()?);
        command.args(["registry", "serve", "--address", &format!("127.0.0.1:{port}"), "--disk"]);
        let mut process = Process::start("registry", folder.path(), command.arg(folder.path()))?;
        process.wait_until("the registry", TIMEOUT, || port.is_open())?;
        Ok(Self { _process: process, port, _folder: folder })
    }

    /// Its port on this machine.
    pub fn port(&self) -> u16 {
        self.port.number()
    }

    /// Host and port, as names of images begin.
    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// Has crane do something with what has a name there; its standard output.
    ///
    /// # Errors
    /// When it cannot.
    pub fn crane(&self, command: &str, name: &str, args: &[&str]) -> Result<String> {
        output(Command::new(crane()?).arg(command).arg(format!("{}/{name}", self.address())).args(args))
    }

    /// The manifest that has a name.
    ///
    /// # Errors
    /// When there is none.
    pub fn manifest(&self, name: &str) -> Result<Value> {
        serde_json::from_str(&self.crane("manifest", name, &[])?).context("failed to read a manifest")
    }
}

fn crane() -> Result<PathBuf> {
    installed("crane/crane")
}
