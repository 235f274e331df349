//! Plays SPIRE for one plugin process: starts it as SPIRE does, takes its handshake, offers host
//! services, configures it, asks for attestations, and shuts it down.

mod log;
mod plugin;
mod services;

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Output, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use keylime_attestor_proto::agent_store::agent_store_server;
use keylime_attestor_proto::go_plugin::grpc_broker_client::GrpcBrokerClient;
use keylime_attestor_proto::go_plugin::{ConnInfo, Empty, grpc_controller_client::GrpcControllerClient};
use keylime_attestor_proto::init::{DeinitRequest, InitRequest, init_client::InitClient};
use keylime_attestor_proto::metrics::metrics_server;
use rustix::process::{Pid, kill_process};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader};
use tokio::process::{Child, ChildStdout, Command};
use tokio::time::timeout;
use tonic::Streaming;
use tonic::transport::{Channel, Endpoint};

use crate::process::memory_kib;

pub use log::Log;
pub use plugin::{AgentSession, Answer, Plugin, ServerSession};
pub use rustix::process::Signal;
pub use services::{AgentStoreMode, HostServices, Measurement};

/// How long anything may take before the test that waits for it fails.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// A plugin to start.
#[derive(Debug)]
pub struct Start {
    program: PathBuf,
    args: Vec<OsString>,
    /// `None` removes a variable.
    env: BTreeMap<String, Option<OsString>>,
    offered: Vec<String>,
    broker: bool,
}

/// SPIRE, as one plugin process sees it. The process is killed on drop.
#[derive(Debug)]
pub struct Host {
    process: Child,
    stdout: BufReader<ChildStdout>,
    handshake: String,
    channel: Channel,
    plugin: Plugin,
    plugin_services: Vec<String>,
    services: HostServices,
    log: Log,
    /// The plugin's TMPDIR: leftovers of a killed plugin go with it.
    _scratch: TempDir,
    /// Open for as long as the plugin is to have its host services.
    _broker: Option<Streaming<ConnInfo>>,
}

/// A plugin process that has ended.
#[derive(Debug)]
pub struct Ended {
    /// How it ended.
    pub status: ExitStatus,
    /// Its stdout after the handshake.
    pub stdout: Vec<u8>,
    /// Its stderr.
    pub log: Log,
}

impl Start {
    /// Sets a variable in the plugin's environment.
    #[must_use]
    pub fn env(mut self, name: &str, value: impl Into<OsString>) -> Self {
        self.env.insert(name.to_owned(), Some(value.into()));
        self
    }

    /// Removes a variable from the plugin's environment.
    #[must_use]
    pub fn env_remove(mut self, name: &str) -> Self {
        self.env.insert(name.to_owned(), None);
        self
    }

    /// Adds an argument (`plugin_args`).
    #[must_use]
    pub fn arg(mut self, arg: impl Into<OsString>) -> Self {
        self.args.push(arg.into());
        self
    }

    /// Offers only these host services, by their full names.
    #[must_use]
    pub fn offer(mut self, services: &[&str]) -> Self {
        self.offered = services.iter().map(|&name| name.to_owned()).collect();
        self
    }

    /// Never tells where the host services are.
    #[must_use]
    pub fn without_broker(mut self) -> Self {
        self.broker = false;
        self
    }

    /// Starts the plugin, takes its handshake, connects, and calls Init.
    ///
    /// # Errors
    /// When any of it fails or takes too long. The error shows what the plugin wrote to stderr.
    pub async fn start(mut self) -> Result<Host> {
        let scratch = tempfile::tempdir()?;
        self.env.entry("TMPDIR".to_owned()).or_insert_with(|| Some(scratch.path().into()));
        let mut process = self.command().kill_on_drop(true).spawn().context("failed to start the plugin")?;
        let log = Log::read(process.stderr.take().context("the plugin has no stderr")?);
        let stdout = process.stdout.take().context("the plugin has no stdout")?;
        match timeout(PATIENCE, self.connect(process, stdout, log.clone(), scratch)).await {
            Ok(Ok(host)) => Ok(host),
            Ok(Err(error)) => Err(error.context(format!("its stderr: {:#?}", log.lines()))),
            Err(_) => bail!("the plugin did not start within {PATIENCE:?}; its stderr: {:#?}", log.lines()),
        }
    }

    /// Runs the program to its end: for programs that are not to start.
    ///
    /// # Errors
    /// When it cannot be started or does not end in time.
    pub async fn output(self) -> Result<Output> {
        let output = self.command().kill_on_drop(true).output();
        Ok(timeout(PATIENCE, output).await.context("the program did not end")??)
    }

    fn command(&self) -> Command {
        let mut command = Command::new(&self.program);
        command.args(&self.args).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        for (name, value) in &self.env {
            match value {
                Some(value) => command.env(name, value),
                None => command.env_remove(name),
            };
        }
        command
    }

    async fn connect(self, process: Child, stdout: ChildStdout, log: Log, scratch: TempDir) -> Result<Host> {
        let mut stdout = BufReader::new(stdout);
        let mut handshake = String::new();
        stdout.read_line(&mut handshake).await.context("failed to read the handshake")?;
        let socket = socket_of(&handshake)?;
        // The plugin's last frame of a call may come after this side has dropped it. A peer that
        // does so too often is cut off by default; SPIRE's Go client cuts nobody off.
        let endpoint = Endpoint::from_shared(format!("unix://{}", socket.display()))?
            .http2_max_local_error_reset_streams(None);
        let channel = endpoint.connect().await.context("failed to connect to the plugin")?;

        let services = HostServices::serve()?;
        let broker = if self.broker { Some(tell(&channel, services.socket()).await?) } else { None };
        let init = InitRequest { host_service_names: self.offered };
        let plugin_services =
            InitClient::new(channel.clone()).init(init).await?.into_inner().plugin_service_names;
        let plugin = Plugin::new(channel.clone());
        Ok(Host {
            process,
            stdout,
            handshake,
            channel,
            plugin,
            plugin_services,
            services,
            log,
            _scratch: scratch,
            _broker: broker,
        })
    }
}

impl Host {
    /// A plugin to start, with the environment that SPIRE 1.13 gives it, a `TMPDIR` of its own, and
    /// all host services.
    pub fn start(program: impl AsRef<Path>) -> Start {
        let env = [
            ("NodeAttestor", "NodeAttestor"),
            ("PLUGIN_MIN_PORT", "10000"),
            ("PLUGIN_MAX_PORT", "25000"),
            ("PLUGIN_PROTOCOL_VERSIONS", "1"),
        ];
        Start {
            program: program.as_ref().to_owned(),
            args: Vec::new(),
            env: env.map(|(name, value)| (name.to_owned(), Some(value.into()))).into(),
            offered: vec![
                agent_store_server::SERVICE_NAME.to_owned(),
                metrics_server::SERVICE_NAME.to_owned(),
            ],
            broker: true,
        }
    }

    /// The plugin's own services: attest, configure, validate. Cheap to clone.
    #[must_use]
    pub fn plugin(&self) -> &Plugin {
        &self.plugin
    }

    /// The connection to the plugin, for any other of its services.
    #[must_use]
    pub fn channel(&self) -> Channel {
        self.channel.clone()
    }

    /// The names that the plugin gave in its answer to Init.
    #[must_use]
    pub fn plugin_services(&self) -> &[String] {
        &self.plugin_services
    }

    /// The host services that the plugin calls.
    #[must_use]
    pub fn services(&self) -> &HostServices {
        &self.services
    }

    /// The plugin's log.
    #[must_use]
    pub fn log(&self) -> &Log {
        &self.log
    }

    /// The handshake, with its line end.
    #[must_use]
    pub fn handshake(&self) -> &str {
        &self.handshake
    }

    /// The plugin's socket.
    ///
    /// # Errors
    /// None after a successful start.
    pub fn socket(&self) -> Result<PathBuf> {
        socket_of(&self.handshake)
    }

    /// The plugin's process.
    ///
    /// # Errors
    /// When it has ended.
    pub fn pid(&self) -> Result<u32> {
        self.process.id().context("the plugin has ended")
    }

    /// The plugin's resident memory in KiB.
    ///
    /// # Errors
    /// When it has ended.
    pub fn resident_kib(&self) -> Result<u64> {
        memory_kib(self.pid()?, "VmRSS")
    }

    /// The most memory that it ever had, in KiB.
    ///
    /// # Errors
    /// When it has ended.
    pub fn peak_kib(&self) -> Result<u64> {
        memory_kib(self.pid()?, "VmHWM")
    }

    /// Sends a signal.
    ///
    /// # Errors
    /// When the plugin has ended.
    pub fn signal(&self, signal: Signal) -> Result<()> {
        let pid = Pid::from_raw(self.pid()?.try_into()?).context("the plugin has no process id")?;
        kill_process(pid, signal).with_context(|| format!("failed to send {signal:?}"))
    }

    /// Ends the plugin as SPIRE does: Deinit, Shutdown, and the connection is closed.
    ///
    /// # Errors
    /// When it does not answer or does not end.
    pub async fn shut_down(self) -> Result<Ended> {
        InitClient::new(self.channel.clone()).deinit(DeinitRequest {}).await?;
        GrpcControllerClient::new(self.channel.clone()).shutdown(Empty {}).await?;
        self.ended().await
    }

    /// Closes the connection and waits until the process has ended.
    ///
    /// # Errors
    /// When it does not end.
    pub async fn ended(self) -> Result<Ended> {
        let Self { mut process, mut stdout, log, channel, plugin, _broker: broker, .. } = self;
        drop((channel, plugin, broker));
        let mut rest = Vec::new();
        let ended = async {
            stdout.read_to_end(&mut rest).await?;
            let status = process.wait().await?;
            log.complete().await?;
            anyhow::Ok(status)
        };
        let status = timeout(PATIENCE, ended).await.context("the plugin did not end")??;
        Ok(Ended { status, stdout: rest, log })
    }
}

/// The socket's path in a handshake.
fn socket_of(handshake: &str) -> Result<PathBuf> {
    let fields: Vec<&str> = handshake.trim_end().split('|').collect();
    match fields.as_slice() {
        ["1", "1", "unix", path, "grpc", ..] => Ok(PathBuf::from(path)),
        _ => bail!("not a handshake of a plugin: {handshake:?}"),
    }
}

/// Tells the plugin where the host services are, as go-plugin's broker does.
async fn tell(channel: &Channel, socket: &Path) -> Result<Streaming<ConnInfo>> {
    let address = socket.to_str().context("the socket's path is not UTF-8")?.to_owned();
    let info = ConnInfo { service_id: 1, network: "unix".to_owned(), address, knock: None };
    let infos = tokio_stream::StreamExt::chain(tokio_stream::once(info), tokio_stream::pending());
    Ok(GrpcBrokerClient::new(channel.clone()).start_stream(infos).await?.into_inner())
}
