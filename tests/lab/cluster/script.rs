//! The process that holds a cluster up: `cluster.sh`. It ends the cluster when its standard input
//! closes, which the kernel sees to when this process ends, however it does.

use std::fs;
use std::io::{self, BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};

use anyhow::{Context as _, Result, bail};

use super::Options;
use crate::ports::Port;
use crate::programs;

/// How much of each log is shown after a failure.
const SHOWN_LINES: usize = 40;

#[derive(Debug)]
pub(super) struct Script {
    child: Child,
    /// The apiserver's.
    _port: Port,
    /// Open as long as the cluster shall live.
    alive: Option<ChildStdin>,
}

impl Script {
    /// Starts the script and waits until it names the cluster's folders.
    pub(super) fn start(options: &Options) -> Result<(Self, [PathBuf; 3])> {
        let path = programs::source("cluster/cluster.sh");
        let port = Port::free()?;
        let mut child = Command::new(&path)
            .env("API_PORT", port.to_string())
            .env("NODE_RESTRICTION", yes(options.node_restriction))
            .env("KEYLIME", if options.push { "push" } else { "yes" })
            .env("SPIRE_VERSION", options.world.release.version())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .with_context(|| format!("failed to run {}", path.display()))?;
        let alive = child.stdin.take();
        let stdout = child.stdout.take().context("a script without standard output")?;
        let mut script = Self { child, _port: port, alive };
        let lines = BufReader::new(stdout).lines().take(3).collect::<io::Result<Vec<_>>>()?;
        match <[String; 3]>::try_from(lines) {
            Ok(folders) => Ok((script, folders.map(PathBuf::from))),
            Err(_) => bail!("the cluster did not start ({}); standard error says why", script.child.wait()?),
        }
    }

    /// True until the cluster is stopped.
    pub(super) const fn is_running(&self) -> bool {
        self.alive.is_some()
    }

    /// Ends the cluster and waits until nothing is left of it.
    pub(super) fn stop(&mut self) -> Result<()> {
        drop(self.alive.take());
        let status = self.child.wait().context("failed to wait for the cluster's end")?;
        if !status.success() {
            bail!("the cluster ended with {status}");
        }
        Ok(())
    }
}

impl Drop for Script {
    fn drop(&mut self) {
        // It fails only when the cluster has ended already.
        let _ = self.stop();
    }
}

const fn yes(is: bool) -> &'static str {
    if is { "yes" } else { "no" }
}

/// Writes the ends of all logs below a folder to standard error.
pub(super) fn show_logs(folder: &Path) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() {
            show_logs(&path);
        } else if path.extension().is_some_and(|extension| extension == "log") {
            let text = fs::read(&path).unwrap_or_default();
            let text = String::from_utf8_lossy(&text);
            let lines: Vec<_> = text.lines().collect();
            let end = lines.get(lines.len().saturating_sub(SHOWN_LINES)..).unwrap_or_default().join("\n");
            // Where standard error is closed, nobody reads it.
            let _ = writeln!(io::stderr(), "==> {} <==\n{end}\n", path.display());
        }
    }
}
