//! The services that SPIRE offers to its plugins.

mod metrics;

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use keylime_attestor_proto::agent_store::{
    GetAgentInfoRequest, agent_store_client::AgentStoreClient, agent_store_server,
};
use tokio::sync::{mpsc, watch};
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Status};

use metrics::Measurement;

/// The longest time of a question to SPIRE, with finding its host services, before it counts as not
/// answered.
const TIME_LIMIT: Duration = Duration::from_secs(5);

/// SPIRE's host services. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Host {
    found: Arc<Found>,
    measurements: mpsc::Sender<Measurement>,
}

/// The host services that SPIRE has named.
#[derive(Debug, Default)]
struct Found {
    /// Full names of the services.
    offered: ArcSwap<Vec<String>>,
    /// Connects on first use, and again when the connection breaks.
    channel: watch::Sender<Option<Channel>>,
}

impl Host {
    /// Tells if SPIRE's server has an attested agent of this SPIFFE ID. Only during an attestation,
    /// and only on the server.
    ///
    /// # Errors
    /// `Internal` when SPIRE does not offer its AgentStore, `Unavailable` when it does not answer.
    /// Neither says that the agent is unknown.
    pub async fn agent_is_known(&self, spiffe_id: &str) -> Result<bool, Status> {
        let question = self.found.agent_is_known(spiffe_id);
        let too_late = |_| {
            Status::unavailable(format!(
                "SPIRE's AgentStore was not found or did not answer within {TIME_LIMIT:?}"
            ))
        };
        tokio::time::timeout(TIME_LIMIT, question).await.map_err(too_late)?
    }

    /// Adds 1 to a counter of SPIRE's telemetry. Neither waits nor fails: a measurement that cannot
    /// be delivered is lost.
    pub fn incr_counter(&self, key: &[&str], labels: &[(&str, &str)]) {
        self.measure(Measurement::counter(key, labels));
    }

    /// Adds a value to a distribution of SPIRE's telemetry, where durations are in milliseconds.
    /// Neither waits nor fails, like [`incr_counter`](Self::incr_counter).
    pub fn add_sample(&self, key: &[&str], value: f32, labels: &[(&str, &str)]) {
        self.measure(Measurement::sample(key, value, labels));
    }

    /// Sets a value of SPIRE's telemetry, which stays until it is set again. Neither waits nor
    /// fails, like [`incr_counter`](Self::incr_counter).
    pub fn set_gauge(&self, key: &[&str], value: f32) {
        self.measure(Measurement::gauge(key, value));
    }

    /// Starts the delivery of measurements, so it has to be called inside the runtime.
    pub(crate) fn new() -> Self {
        let found = Arc::new(Found::default());
        let (measurements, queue) = mpsc::channel(metrics::QUEUE_LENGTH);
        tokio::spawn(metrics::deliver(Arc::clone(&found), queue));
        Self { found, measurements }
    }

    /// SPIRE named the services that it offers.
    pub(crate) fn offers(&self, names: Vec<String>) {
        self.found.offered.store(Arc::new(names));
    }

    /// SPIRE told where its services are.
    pub(crate) fn found_at(&self, network: &str, address: &str) {
        // A path of a Unix socket is the only address that SPIRE gives on Linux.
        match Endpoint::from_shared(format!("unix://{address}")) {
            Ok(endpoint) if network == "unix" && address.starts_with('/') => {
                self.found.channel.send_replace(Some(endpoint.connect_lazy()));
            }
            _ => tracing::warn!(
                network,
                address,
                "SPIRE's host services are not at the path of a Unix socket: not used"
            ),
        }
    }

    fn measure(&self, measurement: Measurement) {
        // A full queue means that SPIRE does not take them: no reason to hold an attestation up.
        let _ = self.measurements.try_send(measurement);
    }
}

impl Found {
    async fn agent_is_known(&self, spiffe_id: &str) -> Result<bool, Status> {
        if !self.is_offered(agent_store_server::SERVICE_NAME) {
            return Err(Status::internal("SPIRE does not offer its AgentStore to this plugin"));
        }
        let mut agents = AgentStoreClient::new(self.channel().await?);
        let question = GetAgentInfoRequest { agent_id: spiffe_id.to_owned() };
        match agents.get_agent_info(question).await {
            Ok(_) => Ok(true),
            Err(status) if status.code() == Code::NotFound => Ok(false),
            // The code is SPIRE's about its own call. As the attestation's code it would say
            // something else.
            Err(status) => {
                let (code, message) = (status.code(), status.message());
                Err(Status::unavailable(format!("SPIRE's AgentStore did not answer: {code:?}: {message}")))
            }
        }
    }

    fn is_offered(&self, service: &str) -> bool {
        self.offered.load().iter().any(|offered| offered == service)
    }

    /// Waits until SPIRE has told where its services are.
    async fn channel(&self) -> Result<Channel, Status> {
        let untold = || Status::unavailable("SPIRE did not tell where its host services are");
        let mut channel = self.channel.subscribe();
        channel.wait_for(Option::is_some).await.map_err(|_| untold())?.clone().ok_or_else(untold)
    }
}
