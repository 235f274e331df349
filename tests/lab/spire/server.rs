//! SPIRE's server.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result};
use serde_json::{Value, json};
use tempfile::TempDir;

use super::config::{self, Attestor};
use super::{Release, TRUST_DOMAIN, agent};
use crate::janitor;
use crate::ports::Port;
use crate::process::{self, Process};

/// It takes less than a second on an idle machine.
const START_TIMEOUT: Duration = Duration::from_secs(120);

/// How a server is set up.
#[derive(Debug, Clone)]
pub struct ServerOptions {
    /// Our server plugin.
    pub attestor: Attestor,
    /// How long an agent's SVID is valid, such as `1h`. An agent renews it when half of that has
    /// passed.
    pub agent_ttl: &'static str,
}

/// A running SPIRE server.
#[derive(Debug)]
pub struct SpireServer {
    process: Process,
    release: Release,
    port: Port,
    dir: TempDir,
}

impl SpireServer {
    /// Starts a server with a certificate authority and a database of its own, and waits until it
    /// answers.
    ///
    /// # Errors
    /// When it does not; the error shows its log.
    pub fn start(options: &ServerOptions) -> Result<Self> {
        Self::start_of(Release::USUAL, options)
    }

    /// The same of a release.
    ///
    /// # Errors
    /// Like [`start`](Self::start).
    pub fn start_of(release: Release, options: &ServerOptions) -> Result<Self> {
        let dir = janitor::folder("spire-server")?;
        let port = Port::free()?;
        let config = configure(dir.path(), &port, options)?;
        release.validate("spire-server", &config, &[])?;
        let mut command = Command::new(release.program("spire-server")?);
        command.arg("run").arg("-config").arg(config).env("PLUGIN_UNIX_SOCKET_DIR", dir.path());
        let process = Process::start("spire-server", dir.path(), &mut command)?;
        let mut server = Self { process, release, port, dir };
        let bundle = server.process.wait_until("an answer", START_TIMEOUT, {
            let dir = server.dir.path().to_owned();
            move || ask(release, &dir, &["bundle", "show"])
        })?;
        fs::write(server.bundle(), bundle).context("failed to write the trust bundle")?;
        Ok(server)
    }

    /// The trust bundle, a PEM file.
    pub fn bundle(&self) -> PathBuf {
        self.dir.path().join("bundle.pem")
    }

    /// Runs one of `spire-server`'s own commands against this server, such as `agent show -spiffeID
    /// ID`.
    ///
    /// # Errors
    /// When it fails; the error shows what it wrote.
    pub fn command(&self, arguments: &[&str]) -> Result<String> {
        ask(self.release, self.dir.path(), arguments)
    }

    /// The agent with this SPIFFE ID, as `spire-server agent show -output json` gives it.
    ///
    /// # Errors
    /// When there is none.
    pub fn agent(&self, id: &str) -> Result<Value> {
        let text = self.command(&["agent", "show", "-output", "json", "-spiffeID", id])?;
        serde_json::from_str(&text).with_context(|| format!("spire-server wrote {text:?}"))
    }

    /// The selectors of the agent with this SPIFFE ID, each as `type:value`, sorted.
    ///
    /// # Errors
    /// When there is no such agent.
    pub fn selectors(&self, id: &str) -> Result<Vec<String>> {
        let agent = self.agent(id)?;
        let selectors =
            agent.get("selectors").and_then(Value::as_array).context("the agent has no selectors")?;
        let text = |one: &Value, key| one.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
        let mut selectors: Vec<String> =
            selectors.iter().map(|one| format!("{}:{}", text(one, "type"), text(one, "value"))).collect();
        selectors.sort();
        Ok(selectors)
    }

    /// Evicts an agent: it has to attest again.
    ///
    /// # Errors
    /// When there is no such agent.
    pub fn evict(&self, id: &str) -> Result<()> {
        self.command(&["agent", "evict", "-spiffeID", id]).map(drop)
    }

    /// Gives processes of this user the SPIFFE ID `id`, on the agent `parent`.
    ///
    /// # Errors
    /// When the server refuses the entry.
    pub fn create_entry(&self, parent: &str, id: &str) -> Result<()> {
        let selector = agent::own_selector()?;
        self.command(&["entry", "create", "-parentID", parent, "-spiffeID", id, "-selector", &selector])?;
        Ok(())
    }

    /// Its log, in which the plugin's lines are as well.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn log(&self) -> Result<String> {
        self.process.log()
    }

    /// Its process.
    pub fn process_mut(&mut self) -> &mut Process {
        &mut self.process
    }

    pub(super) fn port(&self) -> u16 {
        self.port.number()
    }
}

fn configure(dir: &Path, port: &Port, options: &ServerOptions) -> Result<PathBuf> {
    let settings = json!({
        "bind_address": "127.0.0.1",
        "bind_port": port.to_string(),
        "trust_domain": TRUST_DOMAIN,
        "data_dir": dir.join("data"),
        "socket_path": socket(dir),
        "log_level": "DEBUG",
        "agent_ttl": options.agent_ttl,
        // How soon it tells its agents of a new entry, or of an eviction.
        "experimental": { "cache_reload_interval": "1s" },
    });
    let database =
        json!({ "database_type": "sqlite3", "connection_string": dir.join("data/datastore.sqlite3") });
    let plugins = [
        ("DataStore", "sql", json!({ "plugin_data": database })),
        ("KeyManager", "memory", json!({ "plugin_data": {} })),
    ];
    let mut attestor = options.attestor.clone();
    // Where its own socket is, nobody knows before it is set up.
    if let Some(Value::Object(block)) = attestor.data.get_mut("enforcement") {
        block.entry("spire_socket_path").or_insert_with(|| json!(socket(dir)));
    }
    config::write(dir, "server", &settings, &plugins, &attestor)
}

fn ask(release: Release, dir: &Path, arguments: &[&str]) -> Result<String> {
    let mut command = Command::new(release.program("spire-server")?);
    // Go's flags end at the first word that is none: the socket goes behind the names of the
    // command.
    process::output(command.args(arguments).arg("-socketPath").arg(socket(dir)))
}

fn socket(dir: &Path) -> PathBuf {
    dir.join("api.sock")
}
