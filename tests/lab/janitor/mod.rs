//! Clears up when the test process is gone, also when it was killed or its statics were never
//! dropped.
//!
//! A shell that reads from a pipe which only this process holds: at its end the shell kills what
//! was started and removes the folders. (`prctl(PR_SET_PDEATHSIG)` would not do: it reaches a
//! child, not the child's own children.)

use std::io::Write as _;
use std::os::unix::process::CommandExt as _;
use std::process::{ChildStdin, Command, Stdio};
use std::sync::{Mutex, PoisonError};

use anyhow::{Context as _, Result};
use tempfile::TempDir;

/// Makes a folder, which is removed when the value is dropped or this process ends.
///
/// Its path is short, because the path of a unix socket below it may have 107 bytes only.
///
/// # Errors
/// When it cannot be made.
pub fn folder(prefix: &str) -> Result<TempDir> {
    let folder = tempfile::Builder::new()
        .prefix(&format!("{prefix}-"))
        .tempdir()
        .context("failed to make a folder")?;
    tell(&format!("folder {}", folder.path().display()))?;
    Ok(folder)
}

/// Has a process group killed at the end of this process.
pub(crate) fn watch(group: u32) -> Result<()> {
    tell(&format!("start {group}"))
}

/// Undoes [`watch`]: the group has ended.
pub(crate) fn forget(group: u32) -> Result<()> {
    tell(&format!("end {group}"))
}

fn tell(line: &str) -> Result<()> {
    static JANITOR: Mutex<Option<ChildStdin>> = Mutex::new(None);
    let mut janitor = JANITOR.lock().unwrap_or_else(PoisonError::into_inner);
    if janitor.is_none() {
        *janitor = Some(start()?);
    }
    let pipe = janitor.as_mut().context("failed to reach the janitor")?;
    writeln!(pipe, "{line}").context("failed to tell the janitor")
}

/// Starts the shell in a process group of its own, so that an interrupt ends the tests alone.
fn start() -> Result<ChildStdin> {
    Command::new("bash")
        .args(["-c", include_str!("janitor.sh")])
        .current_dir("/")
        .process_group(0)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .context("failed to start the janitor")?
        .stdin
        .context("failed to reach the janitor")
}

#[cfg(test)]
mod tests;
