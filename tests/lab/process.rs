//! A program as a process of the lab: in a process group and with a log file of its own, ended with
//! all of its children when it is dropped or the test process ends.

use std::fs::{self, File};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow, bail, ensure};
use rustix::process::{Pid, Signal, kill_process_group};

use crate::{janitor, wait};

/// How long a process may take to end by itself once it is asked to.
const GRACE: Duration = Duration::from_secs(5);
/// How much of a log an error shows.
const TAIL_LINES: usize = 40;

/// A running program.
#[derive(Debug)]
pub struct Process {
    name: String,
    child: Child,
    log: PathBuf,
}

impl Process {
    /// Starts a program, its output goes to the file `NAME.log` in `dir`, after what is there.
    ///
    /// # Errors
    /// When the log cannot be written or the program not be started.
    pub fn start(name: &str, dir: &Path, command: &mut Command) -> Result<Self> {
        let path = dir.join(format!("{name}.log"));
        let log = File::options().create(true).append(true).open(&path);
        let log = log.with_context(|| format!("failed to open {}", path.display()))?;
        let child =
            command.process_group(0).stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log).spawn();
        let child = child.with_context(|| format!("failed to start {name}: {command:?}"))?;
        let process = Self { name: name.to_owned(), child, log: path };
        janitor::watch(process.child.id())?;
        Ok(process)
    }

    /// Waits as [`wait::until`] does, but no longer than the process runs.
    ///
    /// # Errors
    /// At the deadline, or when the process ended; the error shows the end of its log.
    pub fn wait_until<T>(
        &mut self,
        what: &str,
        timeout: Duration,
        mut ask: impl FnMut() -> Result<T>,
    ) -> Result<T> {
        let child = &mut self.child;
        let answer = wait::until(what, timeout, || match (ask(), child.try_wait()?) {
            (Err(error), Some(status)) => Ok(Err(error.context(format!("the process ended with {status}")))),
            (answer, _) => answer.map(Ok),
        });
        answer.flatten().with_context(|| self.last_words())
    }

    /// Waits until a line of the log holds `text`.
    ///
    /// # Errors
    /// As [`wait_until`](Self::wait_until).
    pub fn wait_for_log(&mut self, text: &str, timeout: Duration) -> Result<()> {
        let path = self.log.clone();
        self.wait_until(&format!("{text:?} in the log"), timeout, || {
            ensure!(read_log(&path)?.contains(text), "it is not there");
            Ok(())
        })
    }

    /// Waits until the process ends by itself.
    ///
    /// # Errors
    /// When it does not, in time; the error shows the end of its log.
    pub fn wait_for_end(&mut self, timeout: Duration) -> Result<ExitStatus> {
        let child = &mut self.child;
        let status = wait::until("its end", timeout, || child.try_wait()?.ok_or_else(|| anyhow!("it runs")));
        status.with_context(|| self.last_words())
    }

    /// Tells if it runs.
    ///
    /// # Errors
    /// When the system does not tell.
    pub fn is_running(&mut self) -> Result<bool> {
        Ok(self.child.try_wait()?.is_none())
    }

    /// Its process id, which is the id of its process group as well.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// The most memory that it ever had, in KiB.
    ///
    /// # Errors
    /// When it has ended.
    pub fn peak_kib(&self) -> Result<u64> {
        memory_kib(self.id(), "VmHWM")
    }

    /// The TCP ports that it listens on; not those of other processes that it started.
    ///
    /// # Errors
    /// When it has ended.
    pub fn open_ports(&self) -> Result<Vec<u16>> {
        open_ports(self.id())
    }

    /// All that it has written so far.
    ///
    /// # Errors
    /// When the log cannot be read.
    pub fn log(&self) -> Result<String> {
        read_log(&self.log)
    }

    /// Ends the process: it is asked to, and killed when it does not follow.
    ///
    /// # Errors
    /// When that cannot be done.
    pub fn stop(mut self) -> Result<()> {
        self.end(GRACE)
    }

    /// Ends the process without asking, as a crash would.
    ///
    /// # Errors
    /// When that cannot be done.
    pub fn kill(mut self) -> Result<()> {
        self.end(Duration::ZERO)
    }

    fn end(&mut self, grace: Duration) -> Result<()> {
        if !grace.is_zero() && self.is_running()? {
            self.signal(Signal::TERM);
            // Whether it followed or not: the group is killed next.
            let _ = self.wait_for_end(grace);
        }
        self.signal(Signal::KILL);
        self.child.wait().with_context(|| format!("failed to end {}", self.name))?;
        janitor::forget(self.child.id())
    }

    /// To the whole group. It fails only when nothing of it is left.
    fn signal(&self, signal: Signal) {
        if let Some(group) = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw) {
            let _ = kill_process_group(group, signal);
        }
    }

    fn last_words(&self) -> String {
        let log = self.log().unwrap_or_else(|error| format!("{error:#}"));
        let lines: Vec<&str> = log.lines().collect();
        let tail = lines.get(lines.len().saturating_sub(TAIL_LINES)..).unwrap_or_default();
        format!("{}: the log {} ends with\n{}\n", self.name, self.log.display(), tail.join("\n"))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Nobody is left to hear of an error, and the janitor tries again.
        let _ = self.end(GRACE);
    }
}

/// Runs a program to its end and gives its standard output.
///
/// # Errors
/// When it cannot be run or fails; the error shows all that it wrote.
pub fn output(command: &mut Command) -> Result<String> {
    let output = command.stdin(Stdio::null()).output();
    let output = output.with_context(|| format!("failed to run {command:?}"))?;
    let stdout = String::from_utf8_lossy(&output.stdout);
    if !output.status.success() {
        let stderr = String::from_utf8_lossy(&output.stderr);
        bail!("{command:?} ended with {}:\n{stdout}{stderr}", output.status);
    }
    Ok(stdout.into_owned())
}

/// A process's memory in KiB, by the name of a line in `/proc/PID/status`.
///
/// # Errors
/// When it has ended.
pub fn memory_kib(id: u32, line: &str) -> Result<u64> {
    let status = fs::read_to_string(format!("/proc/{id}/status"))?;
    let value = status.lines().find_map(|found| found.strip_prefix(line)?.split_whitespace().nth(1));
    Ok(value.with_context(|| format!("no {line}"))?.parse()?)
}

/// The TCP ports that a process listens on: its own sockets among those of the network that listen.
fn open_ports(id: u32) -> Result<Vec<u16>> {
    const LISTEN: &str = "0A";
    let mut sockets = Vec::new();
    for descriptor in fs::read_dir(format!("/proc/{id}/fd"))? {
        // One that is closed meanwhile is none.
        let Ok(target) = fs::read_link(descriptor?.path()) else { continue };
        let target = target.to_string_lossy();
        let socket = target.strip_prefix("socket:[").and_then(|rest| rest.strip_suffix(']'));
        sockets.extend(socket.map(str::to_owned));
    }
    let mut ports = Vec::new();
    for table in ["tcp", "tcp6"] {
        let table = fs::read_to_string(format!("/proc/{id}/net/{table}"))?;
        for line in table.lines().skip(1) {
            let columns: Vec<&str> = line.split_whitespace().collect();
            let [_, local, _, state, _, _, _, _, _, inode, ..] = columns.as_slice() else { continue };
            if *state == LISTEN && sockets.iter().any(|socket| socket == inode) {
                let (_, port) = local.rsplit_once(':').context("an address without a port")?;
                ports.push(u16::from_str_radix(port, 16)?);
            }
        }
    }
    Ok(ports)
}

fn read_log(path: &Path) -> Result<String> {
    let bytes = fs::read(path).with_context(|| format!("failed to read {}", path.display()))?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    #[test]
    fn a_process_has_the_ports_that_it_listens_on() {
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let id = std::process::id();
        assert!(open_ports(id).unwrap().contains(&port));
        drop(listener);
        assert!(!open_ports(id).unwrap().contains(&port));
    }
}
