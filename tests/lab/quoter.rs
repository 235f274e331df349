//! `keylime-attestor-quoter` as a process, with a folder for its socket and for Keylime's file.

use std::ffi::OsString;
use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;
use tempfile::TempDir;

use crate::janitor;
use crate::process::Process;
use crate::programs;

/// Limit for its start and for an answer.
const TIMEOUT: Duration = Duration::from_secs(60);

/// A running quoter.
#[derive(Debug)]
pub struct Quoter {
    process: Option<Process>,
    dir: TempDir,
    agent_data: PathBuf,
    tcti: String,
    more: Vec<String>,
    /// What systemd gives in NOTIFY_SOCKET.
    notify: Option<OsString>,
    /// True for one to which root is a user as all others.
    powerless: bool,
}

/// An answer.
#[derive(Debug, Clone)]
pub struct Answer {
    /// The HTTP status.
    pub status: u16,
    /// The JSON.
    pub body: Value,
}

impl Quoter {
    /// Starts one on the TPM at this address, with more arguments than those of its paths. The
    /// file of Keylime's agent is not there yet.
    ///
    /// # Errors
    /// When it does not open its socket.
    pub fn start(tcti: &str, more: &[&str]) -> Result<Self> {
        let mut quoter = Self::stopped(tcti)?;
        quoter.more = more.iter().map(|&argument| argument.to_owned()).collect();
        quoter.start_again()?;
        Ok(quoter)
    }

    /// Starts one beside a Keylime agent, whose file this is.
    ///
    /// # Errors
    /// When it does not open its socket.
    pub fn start_beside(agent_data: &Path, tcti: &str) -> Result<Self> {
        let mut quoter = Self::stopped(tcti)?;
        quoter.agent_data = agent_data.to_owned();
        quoter.start_again()?;
        Ok(quoter)
    }

    /// Starts one that tells this socket how far it is, as under systemd.
    ///
    /// # Errors
    /// When it does not open its own socket.
    pub fn start_notifying(tcti: &str, notify: impl Into<OsString>) -> Result<Self> {
        let mut quoter = Self::stopped(tcti)?;
        quoter.notify = Some(notify.into());
        quoter.start_again()?;
        Ok(quoter)
    }

    /// Starts one that file permissions and exclusive devices hold for, though it is root's.
    ///
    /// # Errors
    /// When it does not open its socket.
    pub fn start_powerless(tcti: &str) -> Result<Self> {
        let mut quoter = Self::stopped(tcti)?;
        quoter.powerless = true;
        quoter.start_again()?;
        Ok(quoter)
    }

    fn stopped(tcti: &str) -> Result<Self> {
        let dir = janitor::folder("quoter")?;
        let agent_data = dir.path().join("agent_data.json");
        Ok(Self {
            process: None,
            dir,
            agent_data,
            tcti: tcti.to_owned(),
            more: Vec::new(),
            notify: None,
            powerless: false,
        })
    }

    /// Starts it once more, after [`stop`](Self::stop) or [`kill`](Self::kill).
    ///
    /// # Errors
    /// When it does not open its socket.
    pub fn start_again(&mut self) -> Result<()> {
        let program = programs::built("keylime-attestor-quoter")?;
        let mut command = Command::new(if self.powerless { Path::new("setpriv") } else { &program });
        if self.powerless {
            command.arg("--bounding-set=-dac_override,-dac_read_search,-sys_admin").arg(&program);
        }
        command
            .arg("--socket")
            .arg(self.socket())
            .args(["--tpm", &self.tcti])
            .arg("--agent-data")
            .arg(self.agent_data())
            .arg("--agent-conf")
            .arg(self.dir.path().join("agent.conf"))
            .args(&self.more)
            .envs(self.notify.iter().map(|socket| ("NOTIFY_SOCKET", socket)));
        let mut process = Process::start("quoter", self.dir.path(), &mut command)?;
        let socket = self.socket();
        process
            .wait_until("its socket", TIMEOUT, || UnixStream::connect(&socket).context("it is not there"))?;
        self.process = Some(process);
        Ok(())
    }

    /// Its socket.
    pub fn socket(&self) -> PathBuf {
        self.dir.path().join("quoter.sock")
    }

    /// Where it looks for the file of Keylime's agent.
    pub fn agent_data(&self) -> PathBuf {
        self.agent_data.clone()
    }

    /// Its process.
    ///
    /// # Errors
    /// When it does not run.
    pub fn process(&mut self) -> Result<&mut Process> {
        self.process.as_mut().context("the quoter does not run")
    }

    /// Asks it to end, and waits until it has.
    ///
    /// # Errors
    /// When that cannot be done.
    pub fn stop(&mut self) -> Result<()> {
        self.process.take().context("the quoter does not run")?.stop()
    }

    /// Ends it as a crash would.
    ///
    /// # Errors
    /// When that cannot be done.
    pub fn kill(&mut self) -> Result<()> {
        self.process.take().context("the quoter does not run")?.kill()
    }

    /// Asks for a path.
    ///
    /// # Errors
    /// When no answer comes.
    pub fn get(&self, path: &str) -> Result<Answer> {
        get(&self.socket(), path)
    }

    /// Has a nonce quoted.
    ///
    /// # Errors
    /// When no quote comes; the error holds the quoter's own text.
    pub fn quote(&self, nonce: &str) -> Result<String> {
        self.get(&format!("/v2.6/quotes/identity?nonce={nonce}"))?.quote()
    }

    /// The text by which it refuses to quote.
    ///
    /// # Errors
    /// When it quotes.
    pub fn refusal(&self) -> Result<String> {
        let answer = self.get("/v2.6/quotes/identity?nonce=NONCE")?;
        ensure!(answer.status == 503, "expected no quote, got {answer:?}");
        answer.text()
    }
}

impl Answer {
    /// The quote in it.
    ///
    /// # Errors
    /// When it holds none.
    pub fn quote(&self) -> Result<String> {
        let quote = self.body.pointer("/results/quote").and_then(Value::as_str);
        quote.map(str::to_owned).with_context(|| format!("expected a quote, got {self:?}"))
    }

    /// The text for people.
    ///
    /// # Errors
    /// When it has none.
    pub fn text(&self) -> Result<String> {
        let text = self.body.get("status").and_then(Value::as_str);
        text.map(str::to_owned).with_context(|| format!("expected a text, got {self:?}"))
    }
}

/// Asks whoever serves this socket for a path.
///
/// # Errors
/// When no answer comes.
pub fn get(socket: &Path, path: &str) -> Result<Answer> {
    let mut stream = UnixStream::connect(socket)?;
    stream.set_read_timeout(Some(TIMEOUT))?;
    stream
        .write_all(format!("GET {path} HTTP/1.1\r\nhost: quoter\r\nconnection: close\r\n\r\n").as_bytes())?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    let (head, body) = answer.split_once("\r\n\r\n").with_context(|| format!("no answer: {answer:?}"))?;
    let status = head.split(' ').nth(1).context("no status")?.parse()?;
    Ok(Answer { status, body: serde_json::from_str(body)? })
}
