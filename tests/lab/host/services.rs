//! The services that SPIRE offers to plugins, on a socket of their own.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result};
use keylime_attestor_proto::agent_store::agent_store_server::{AgentStore, AgentStoreServer};
use keylime_attestor_proto::agent_store::{AgentInfo, GetAgentInfoRequest, GetAgentInfoResponse};
use keylime_attestor_proto::metrics::metrics_server::{Metrics, MetricsServer};
use keylime_attestor_proto::metrics::{
    AddSampleRequest, EmitKeyRequest, IncrCounterRequest, Label, MeasureSinceRequest, SetGaugeRequest,
};
use tempfile::TempDir;
use tokio::net::UnixListener;
use tokio::sync::watch;
use tokio::time::timeout;
use tokio_stream::wrappers::UnixListenerStream;
use tonic::transport::Server;
use tonic::{Request, Response, Status};

use super::PATIENCE;

/// The host services of one plugin, with what they are to answer and what they were told.
#[derive(Debug)]
pub struct HostServices {
    state: Arc<State>,
    socket: PathBuf,
    /// Set to end the server, which is the receiver.
    stop: watch::Sender<bool>,
    _directory: TempDir,
}

/// How the AgentStore answers.
#[derive(Clone, Debug, Default)]
pub enum AgentStoreMode {
    /// By the agents that it knows.
    #[default]
    Answer,
    /// With this status.
    Fail(Status),
    /// Not at all.
    Hang,
}

/// A measurement that a plugin sent.
#[derive(Clone, Debug, PartialEq)]
pub struct Measurement {
    /// The method by which it came, such as `IncrCounter`.
    pub method: &'static str,
    /// Its name, in parts.
    pub key: Vec<String>,
    /// Its value; 0 for MeasureSince.
    pub value: f32,
    /// Its labels, in their order.
    pub labels: Vec<(String, String)>,
}

#[derive(Debug, Default)]
struct State {
    agents: watch::Sender<HashSet<String>>,
    agent_store: watch::Sender<AgentStoreMode>,
    measurements: watch::Sender<Vec<Measurement>>,
}

impl HostServices {
    /// Makes the AgentStore know an agent by its SPIFFE ID.
    pub fn know_agent(&self, spiffe_id: &str) {
        self.state.agents.send_modify(|agents| {
            agents.insert(spiffe_id.to_owned());
        });
    }

    /// Changes how the AgentStore answers.
    pub fn set_agent_store(&self, mode: AgentStoreMode) {
        self.state.agent_store.send_replace(mode);
    }

    /// All measurements so far.
    #[must_use]
    pub fn measurements(&self) -> Vec<Measurement> {
        self.state.measurements.borrow().clone()
    }

    /// Waits for a measurement, which may be there already.
    ///
    /// # Errors
    /// When it does not come in time.
    pub async fn wait_for_measurement(&self, wanted: impl Fn(&Measurement) -> bool) -> Result<Measurement> {
        let mut measurements = self.state.measurements.subscribe();
        let found = timeout(PATIENCE, measurements.wait_for(|all| all.iter().any(&wanted)));
        let found = found.await.context("the measurement did not come")??;
        found.iter().find(|one| wanted(one)).cloned().context("the measurement is gone")
    }

    /// Serves them no longer, and closes the plugin's connection.
    pub async fn stop(&self) {
        self.stop.send_replace(true);
        self.stop.closed().await;
    }

    /// Where they are served.
    #[must_use]
    pub fn socket(&self) -> &Path {
        &self.socket
    }

    pub(super) fn serve() -> Result<Self> {
        let directory = tempfile::tempdir()?;
        let socket = directory.path().join("host");
        let listener = UnixListener::bind(&socket).context("failed to listen for calls of host services")?;
        let state = Arc::<State>::default();
        let server = Server::builder()
            .add_service(AgentStoreServer::from_arc(Arc::clone(&state)))
            .add_service(MetricsServer::from_arc(Arc::clone(&state)));
        let (stop, mut stopped) = watch::channel(false);
        tokio::spawn(async move {
            // Ends also when the sender is dropped.
            let stopped = async { drop(stopped.wait_for(|stopped| *stopped).await) };
            server.serve_with_incoming_shutdown(UnixListenerStream::new(listener), stopped).await
        });
        Ok(Self { state, socket, stop, _directory: directory })
    }
}

#[tonic::async_trait]
impl AgentStore for State {
    async fn get_agent_info(
        &self,
        request: Request<GetAgentInfoRequest>,
    ) -> Result<Response<GetAgentInfoResponse>, Status> {
        let agent_id = request.into_inner().agent_id;
        let mode = self.agent_store.borrow().clone();
        match mode {
            AgentStoreMode::Fail(status) => Err(status),
            AgentStoreMode::Hang => std::future::pending().await,
            AgentStoreMode::Answer if self.agents.borrow().contains(&agent_id) => {
                Ok(Response::new(GetAgentInfoResponse { info: Some(AgentInfo { agent_id }) }))
            }
            AgentStoreMode::Answer => Err(Status::not_found("no such node")),
        }
    }
}

impl State {
    fn record(&self, method: &'static str, key: Vec<String>, value: f32, labels: Vec<Label>) -> Response<()> {
        let labels = labels.into_iter().map(|label| (label.name, label.value)).collect();
        self.measurements.send_modify(|all| all.push(Measurement { method, key, value, labels }));
        Response::new(())
    }
}

#[tonic::async_trait]
impl Metrics for State {
    async fn set_gauge(&self, request: Request<SetGaugeRequest>) -> Result<Response<()>, Status> {
        let SetGaugeRequest { key, val, labels } = request.into_inner();
        Ok(self.record("SetGauge", key, val, labels))
    }

    async fn emit_key(&self, request: Request<EmitKeyRequest>) -> Result<Response<()>, Status> {
        let EmitKeyRequest { key, val } = request.into_inner();
        Ok(self.record("EmitKey", key, val, Vec::new()))
    }

    async fn incr_counter(&self, request: Request<IncrCounterRequest>) -> Result<Response<()>, Status> {
        let IncrCounterRequest { key, val, labels } = request.into_inner();
        Ok(self.record("IncrCounter", key, val, labels))
    }

    async fn add_sample(&self, request: Request<AddSampleRequest>) -> Result<Response<()>, Status> {
        let AddSampleRequest { key, val, labels } = request.into_inner();
        Ok(self.record("AddSample", key, val, labels))
    }

    async fn measure_since(&self, request: Request<MeasureSinceRequest>) -> Result<Response<()>, Status> {
        let MeasureSinceRequest { key, time: _, labels } = request.into_inner();
        Ok(self.record("MeasureSince", key, 0.0, labels))
    }
}
