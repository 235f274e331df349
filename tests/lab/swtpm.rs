//! A software TPM: one swtpm process on loopback, with a folder and two ports of its own.

use std::fs;
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};

/// How long a TPM may take to answer on its ports. It takes some 20 ms.
const START_TIMEOUT: Duration = Duration::from_secs(10);
/// How long to wait between two looks at a port.
const POLL: Duration = Duration::from_millis(5);
/// How often a start is tried with other ports, when somebody took the chosen ones meanwhile.
const TRIES: usize = 10;

/// A running software TPM. It is killed when this is dropped; its state stays in its folder, so that a later start goes on with it.
///
/// A killed TPM has lost power without notice: its clock is then not "safe", and Keylime's verifier refuses its quotes. Call
/// [`shut_down`](Self::shut_down) before the state is used again.
#[derive(Debug)]
pub struct Swtpm {
    process: Child,
    port: u16,
    dir: PathBuf,
}

impl Swtpm {
    /// Starts a TPM whose state lies below `dir`, made anew where there is none. Returns once it answers.
    ///
    /// # Errors
    /// When swtpm cannot be started, or does not answer in time; the error holds its log.
    pub fn start(dir: &Path) -> anyhow::Result<Self> {
        let state = dir.join("state");
        fs::create_dir_all(&state).with_context(|| format!("failed to make {}", state.display()))?;
        for _ in 0..TRIES {
            let port = two_free_ports()?;
            let process = spawn(dir, &state, port)?;
            let mut swtpm = Self { process, port, dir: dir.to_owned() };
            if swtpm.answers()? {
                return Ok(swtpm);
            }
        }
        bail!("failed to start swtpm on {TRIES} pairs of ports, its log says:\n{}", log(dir))
    }

    /// As [`start`](Self::start), but a new TPM gets an EK with a certificate, of a CA of its own in `dir`, as Keylime wants it.
    ///
    /// # Errors
    /// Also when swtpm_setup fails; the error holds what it says.
    pub fn start_with_ek_certificate(dir: &Path) -> anyhow::Result<Self> {
        let state = dir.join("state");
        if !state.join("tpm2-00.permall").exists() {
            fs::create_dir_all(&state).with_context(|| format!("failed to make {}", state.display()))?;
            manufacture(dir, &state)?;
        }
        Self::start(dir)
    }

    /// The certificates of the CA that made the EK certificate, for Keylime's `tpm_cert_store`: the issuer's and the root's.
    pub fn ek_ca_certificates(&self) -> [PathBuf; 2] {
        ["issuercert.pem", "swtpm-localca-rootca-cert.pem"].map(|name| self.dir.join("ca").join(name))
    }

    /// How tpm2-tss reaches the TPM: what `TPM2TOOLS_TCTI` and `TCTI` take.
    pub fn tcti(&self) -> String {
        format!("swtpm:host=127.0.0.1,port={}", self.port)
    }

    /// One of tpm2-tools, which will talk to this TPM.
    pub fn tool(&self, name: &str) -> Command {
        let mut tool = Command::new(name);
        tool.env("TPM2TOOLS_TCTI", self.tcti());
        tool
    }

    /// Tells the TPM that it loses power now, and ends it.
    ///
    /// # Errors
    /// When the TPM does not take the command.
    pub fn shut_down(self) -> anyhow::Result<()> {
        run(self.tool("tpm2_shutdown").arg("--clear"))
    }

    /// Waits for both ports to take connections. `false` when the process ended instead.
    fn answers(&mut self) -> anyhow::Result<bool> {
        let deadline = Instant::now() + START_TIMEOUT;
        while !is_open(self.port + 1) || !is_open(self.port) {
            if self.process.try_wait()?.is_some() {
                return Ok(false);
            }
            if Instant::now() > deadline {
                bail!("swtpm does not answer after {START_TIMEOUT:?}, its log says:\n{}", log(&self.dir));
            }
            thread::sleep(POLL);
        }
        Ok(true)
    }
}

impl Drop for Swtpm {
    fn drop(&mut self) {
        // Both fail only when it has ended already.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Runs a command to its end.
///
/// # Errors
/// When it cannot be run or fails; the error holds the command and what it wrote.
pub fn run(command: &mut Command) -> anyhow::Result<()> {
    let output = command.output().with_context(|| format!("failed to run {command:?}"))?;
    if !output.status.success() {
        let said = [output.stdout, output.stderr].concat();
        bail!("{command:?} ended with {}:\n{}", output.status, String::from_utf8_lossy(&said));
    }
    Ok(())
}

/// The TPM comes up started (`startup-clear`), and takes one connection after the other.
fn spawn(dir: &Path, state: &Path, port: u16) -> anyhow::Result<Child> {
    Command::new("swtpm")
        .args(["socket", "--tpm2", "--flags", "not-need-init,startup-clear"])
        .arg("--tpmstate")
        .arg(format!("dir={}", state.display()))
        .arg("--server")
        .arg(format!("type=tcp,bindaddr=127.0.0.1,port={port}"))
        .arg("--ctrl")
        .arg(format!("type=tcp,bindaddr=127.0.0.1,port={}", port + 1))
        .arg("--log")
        .arg(format!("file={},level=1,truncate", dir.join("swtpm.log").display()))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .context("failed to start swtpm; Debian has it in the package swtpm")
}

/// Gives a new TPM an EK, and the EK a certificate. The CA's configuration is written for it, so that nothing of the machine's is used.
fn manufacture(dir: &Path, state: &Path) -> anyhow::Result<()> {
    let ca = dir.join("ca");
    fs::create_dir_all(&ca).with_context(|| format!("failed to make {}", ca.display()))?;
    let (ca, dir) = (ca.display(), dir.display());
    let localca = format!(
        "statedir = {ca}\nsigningkey = {ca}/signkey.pem\nissuercert = {ca}/issuercert.pem\ncertserial = {ca}/certserial\n"
    );
    let options = "--platform-manufacturer Lab\n--platform-version 1\n--platform-model Lab\n";
    let setup = format!(
        "create_certs_tool = swtpm_localca\ncreate_certs_tool_config = {ca}/localca.conf\n\
         create_certs_tool_options = {ca}/localca.options\nactive_pcr_banks = sha256\n"
    );
    for (name, text) in
        [("localca.conf", localca.as_str()), ("localca.options", options), ("setup.conf", setup.as_str())]
    {
        fs::write(format!("{ca}/{name}"), text).with_context(|| format!("failed to write {ca}/{name}"))?;
    }
    run(Command::new("swtpm_setup")
        .args(["--tpm2", "--create-ek-cert", "--create-platform-cert", "--vmid", "lab", "--tpmstate"])
        .arg(state)
        .arg("--config")
        .arg(format!("{ca}/setup.conf"))
        .arg("--logfile")
        .arg(format!("{dir}/swtpm_setup.log")))
}

/// Two neighbouring ports: tpm2-tss expects the control port right above the TPM's.
fn two_free_ports() -> anyhow::Result<u16> {
    for _ in 0..100 {
        let first = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("failed to find a free port")?;
        let port = first.local_addr()?.port();
        let next = port.checked_add(1).map(|next| TcpListener::bind((Ipv4Addr::LOCALHOST, next)));
        if matches!(next, Some(Ok(_))) {
            return Ok(port);
        }
    }
    bail!("failed to find two neighbouring free ports")
}

fn is_open(port: u16) -> bool {
    TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_ok()
}

fn log(dir: &Path) -> String {
    fs::read_to_string(dir.join("swtpm.log")).unwrap_or_default()
}
