//! A registry without TLS, by crane.

use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result};
use lab::ports::Port;
use lab::process::{Process, output};
use lab::programs::installed;
use serde_json::Value;
use tempfile::TempDir;

const TIMEOUT: Duration = Duration::from_secs(30);

pub(super) struct Registry {
    _process: Process,
    port: Port,
    _folder: TempDir,
}

impl Registry {
    pub(super) fn start() -> Result<Self> {
        let (folder, port) = (TempDir::new()?, Port::free()?);
        let mut command = Command::new(crane()?);
        command.args(["registry", "serve", "--address", &format!("127.0.0.1:{port}"), "--disk"]);
        let mut process = Process::start("registry", folder.path(), command.arg(folder.path()))?;
        process.wait_until("the registry", TIMEOUT, || port.is_open())?;
        Ok(Self { _process: process, port, _folder: folder })
    }

    pub(super) fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    pub(super) fn crane(&self, command: &str, name: &str, args: &[&str]) -> Result<String> {
        output(Command::new(crane()?).arg(command).arg(format!("{}/{name}", self.address())).args(args))
    }

    pub(super) fn manifest(&self, name: &str) -> Result<Value> {
        serde_json::from_str(&self.crane("manifest", name, &[])?).context("failed to read a manifest")
    }
}

fn crane() -> Result<PathBuf> {
    installed("crane/crane")
}
