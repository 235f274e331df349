//! A software TPM: one swtpm process on loopback, with a folder and two ports of its own.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::Context as _;

use crate::ports::Port;
use crate::process::{Process, output};

/// How long a TPM may take to answer on its ports. It takes some 20 ms.
const START_TIMEOUT: Duration = Duration::from_secs(30);

/// A running software TPM. It is killed when this is dropped; its state stays in its folder, so
/// that a later start goes on with it.
///
/// A killed TPM has lost power without notice: its clock is then not "safe", and Keylime's verifier
/// refuses its quotes. Call [`shut_down`](Self::shut_down) before the state is used again.
#[derive(Debug)]
pub struct Swtpm {
    process: Process,
    port: Port,
    /// tpm2-tss expects the control port right above the TPM's.
    _control: Port,
    dir: PathBuf,
}

impl Swtpm {
    /// Starts a TPM whose state lies below `dir`, made anew where there is none. Returns once it
    /// answers.
    ///
    /// # Errors
    /// When swtpm cannot be started, or does not answer in time; the error holds its log.
    pub fn start(dir: &Path) -> anyhow::Result<Self> {
        let state = dir.join("state");
        fs::create_dir_all(&state).with_context(|| format!("failed to make {}", state.display()))?;
        let (port, control) = Port::neighbours()?;
        let mut process = Process::start("swtpm", dir, &mut command(&state, &port, &control))?;
        process
            .wait_until("open ports", START_TIMEOUT, || control.is_open().and_then(|()| port.is_open()))?;
        Ok(Self { process, port, _control: control, dir: dir.to_owned() })
    }

    /// As [`start`](Self::start), but a new TPM gets an EK with a certificate, of a CA of its own
    /// in `dir`, as Keylime wants it.
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

    /// The certificates of the CA that made the EK certificate, for Keylime's `tpm_cert_store`: the
    /// issuer's and the root's.
    pub fn ek_ca_certificates(&self) -> [PathBuf; 2] {
        ["issuercert.pem", "swtpm-localca-rootca-cert.pem"].map(|name| self.dir.join("ca").join(name))
    }

    /// How tpm2-tss reaches the TPM: what `TPM2TOOLS_TCTI` and `TCTI` take.
    pub fn tcti(&self) -> String {
        format!("swtpm:host=127.0.0.1,port={}", self.port)
    }

    /// Its port, on 127.0.0.1. Its control port is the next.
    pub fn port(&self) -> u16 {
        self.port.number()
    }

    /// The ports that it listens on.
    ///
    /// # Errors
    /// When it has ended.
    pub fn open_ports(&self) -> anyhow::Result<Vec<u16>> {
        self.process.open_ports()
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
        output(self.tool("tpm2_shutdown").arg("--clear"))?;
        self.process.kill()
    }
}

/// The TPM comes up started (`startup-clear`), and takes one connection after the other.
fn command(state: &Path, port: &Port, control: &Port) -> Command {
    let mut command = Command::new("swtpm");
    command
        .args(["socket", "--tpm2", "--flags", "not-need-init,startup-clear"])
        .arg("--tpmstate")
        .arg(format!("dir={}", state.display()))
        .arg("--server")
        .arg(format!("type=tcp,bindaddr=127.0.0.1,port={port}"))
        .arg("--ctrl")
        .arg(format!("type=tcp,bindaddr=127.0.0.1,port={control}"));
    command
}

/// Gives a new TPM an EK, and the EK a certificate. The CA's configuration is written for it, so
/// that nothing of the machine's is used.
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
    output(
        Command::new("swtpm_setup")
            .args(["--tpm2", "--create-ek-cert", "--create-platform-cert", "--vmid", "lab", "--tpmstate"])
            .arg(state)
            .arg("--config")
            .arg(format!("{ca}/setup.conf"))
            .arg("--logfile")
            .arg(format!("{dir}/swtpm_setup.log")),
    )
    .map(drop)
}
