//! A character device before a software TPM, for programs that know no other way to one, as those
//! of the image.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result};

use crate::process::Process;
use crate::programs;
use crate::swtpm::Swtpm;

/// A running device. It ends when this is dropped.
#[derive(Debug)]
pub struct TpmDevice {
    _process: Process,
    path: PathBuf,
}

impl TpmDevice {
    /// Starts one before this TPM; its log is in `dir`.
    ///
    /// # Errors
    /// When it does not come up.
    pub fn start(tpm: &Swtpm, dir: &Path) -> Result<Self> {
        let file = dir.join("tpm-device");
        let mut command = Command::new("/usr/bin/python3");
        command
            .arg(programs::source("tpm_device.py"))
            .args(["127.0.0.1", &tpm.port().to_string()])
            .arg(&file);
        let mut process = Process::start("tpm-device", dir, &mut command)?;
        let path = process.wait_until("its path", Duration::from_secs(30), || {
            fs::read_to_string(&file).context("it has not written it")
        })?;
        Ok(Self { _process: process, path: path.into() })
    }

    /// Its path.
    pub fn path(&self) -> &Path {
        &self.path
    }
}
