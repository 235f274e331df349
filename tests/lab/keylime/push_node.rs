//! A node in push mode: a software TPM, and an agent that pushes quotes to the verifier.

use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use serde_json::{Value, json};
use tempfile::TempDir;

use super::record::{Record, forget, measure, unix_time};
use super::server::python;
use super::{Admin, Keylime};
use crate::agent_data::KeyKind;
use crate::janitor;
use crate::process::Process;
use crate::programs;
use crate::swtpm::Swtpm;

/// Limit for its start, which takes about a second on an idle machine.
const START_TIMEOUT: Duration = Duration::from_secs(120);

/// A node that a verifier in push mode attests.
#[derive(Debug)]
pub struct PushNode {
    id: String,
    record: Record,
    agent: Option<Process>,
    settings: Settings,
    tpm: Swtpm,
    // Last: its processes end before their folder goes.
    dir: TempDir,
}

/// What the agent is started with.
#[derive(Debug)]
struct Settings {
    key: &'static str,
    registrar: String,
    verifier: String,
    ca: PathBuf,
}

impl PushNode {
    pub(super) fn start(
        keylime: &Keylime,
        key: KeyKind,
        registration_port: u16,
        admin: Arc<Admin>,
    ) -> Result<Self> {
        let key = match key {
            KeyKind::Rsa => "rsa",
            KeyKind::P256 => "ecc",
            KeyKind::P384 => bail!("the lab's push agent makes no P-384 keys"),
        };
        let dir = janitor::folder("push-node")?;
        let tpm = Swtpm::start(dir.path())?;
        let settings = Settings {
            key,
            registrar: format!("127.0.0.1:{registration_port}"),
            verifier: format!("127.0.0.1:{}", keylime.verifier_port()),
            ca: keylime.server_client().ca.clone(),
        };
        let record = Record::new("", admin);
        let mut node = Self { id: String::new(), record, agent: None, settings, tpm, dir };
        let agent = node.agent.insert(Process::start("push-agent", node.dir.path(), &mut node.command()?)?);
        agent.wait_for_log("registered as ", START_TIMEOUT)?;
        node.id = hash_of_ek(&fs::read(node.agent_data())?)?;
        node.record = Record::new(&node.id, Arc::clone(&keylime.admin));
        node.record.enrol(0, &json!({}))?;
        node.record.wait_for("PASS", 1)?;
        Ok(node)
    }

    /// The node's id in Keylime: the hash of its EK.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The agent's `agent_data.json`, by which the quoter quotes.
    pub fn agent_data(&self) -> PathBuf {
        self.dir.path().join("agent_data.json")
    }

    /// The node's TPM.
    pub fn tpm(&self) -> &Swtpm {
        &self.tpm
    }

    /// The process of the agent.
    ///
    /// # Errors
    /// When it does not run.
    pub fn agent(&self) -> Result<&Process> {
        self.agent.as_ref().context("the push agent does not run")
    }

    /// Measures something that its policy does not allow, and waits until Keylime has failed it.
    ///
    /// # Errors
    /// When Keylime does not.
    pub fn fail(&self) -> Result<()> {
        measure(&self.tpm)?;
        self.record.wait_for("FAIL", 0)
    }

    /// Undoes [`fail`](Self::fail) as a clean boot does. The verifier takes the next quote, and keeps
    /// its FAIL, also after `reactivate`: the node is enrolled anew, as `keylime_tenant -c update`
    /// does it, and waited for until it has passed.
    ///
    /// # Errors
    /// When it does not pass, or passes without that.
    pub fn repair(&self) -> Result<()> {
        forget(&self.tpm)?;
        self.record.wait_for("FAIL", unix_time()?)?;
        self.record.admin().reactivate(&self.id)?;
        let now = unix_time()?;
        self.record.wait_for("FAIL", now)?;
        self.record.remove()?;
        self.record.enrol(0, &json!({}))?;
        self.record.wait_for("PASS", now)
    }

    /// Ends the agent, and waits until the verifier misses it.
    ///
    /// # Errors
    /// When it does not.
    pub fn silence(&mut self) -> Result<()> {
        self.agent.take().context("the push agent does not run")?.stop()?;
        self.record.wait_for("TIMEOUT", 0)
    }

    /// Starts the agent again, and waits until the node has passed.
    ///
    /// # Errors
    /// When it does not pass.
    pub fn speak_again(&mut self) -> Result<()> {
        let now = unix_time()?;
        self.agent = Some(Process::start("push-agent", self.dir.path(), &mut self.command()?)?);
        self.record.wait_for("PASS", now)
    }

    fn command(&self) -> Result<Command> {
        let Settings { key, registrar, verifier, ca } = &self.settings;
        let mut command = python("keylime", self.dir.path())?;
        command
            .arg(programs::source("keylime/push_agent.py"))
            // Nothing beside the sources.
            .env("PYTHONDONTWRITEBYTECODE", "1")
            .args(["--tpm", &self.tpm.port().to_string(), "--key", key])
            .args(["--registrar", registrar, "--verifier", verifier])
            .arg("--ca")
            .arg(ca)
            .arg("--data")
            .arg(self.agent_data());
        Ok(command)
    }
}

/// The id that an agent's `agent_data.json` tells, as a list of ASCII.
fn hash_of_ek(json: &[u8]) -> Result<String> {
    let data: Value = serde_json::from_slice(json)?;
    let bytes: Vec<u8> = serde_json::from_value(data.get("ek_hash").context("no ek_hash")?.clone())?;
    Ok(String::from_utf8(bytes)?)
}
