//! The plugin's services, as SPIRE calls them.

use keylime_attestor_proto::agent::node_attestor as agent;
use keylime_attestor_proto::agent::node_attestor::payload_or_challenge_response::Data;
use keylime_attestor_proto::config::{
    ConfigureRequest, CoreConfiguration, ValidateRequest, ValidateResponse, config_client::ConfigClient,
};
use keylime_attestor_proto::server::node_attestor::{
    AgentAttributes, AttestRequest, AttestResponse, attest_request, attest_response,
    node_attestor_client::NodeAttestorClient,
};
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};
use tokio::time::timeout;
use tokio_stream::wrappers::UnboundedReceiverStream;
use tonic::transport::Channel;
use tonic::{Request, Status, Streaming};

use super::PATIENCE;

/// Largest message that is read from the plugin.
const MAX_MESSAGE_BYTES: usize = 16 * 1024 * 1024;

/// A plugin. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Plugin(Channel);

/// An attestation by a plugin of SPIRE's server. Given up when dropped.
#[derive(Debug)]
pub struct ServerSession {
    requests: Option<UnboundedSender<AttestRequest>>,
    answers: Streaming<AttestResponse>,
}

/// An answer of a server's plugin.
#[derive(Clone, Debug, PartialEq)]
pub enum Answer {
    /// A challenge for the agent.
    Challenge(Vec<u8>),
    /// The node is attested.
    Attested(AgentAttributes),
}

/// An attestation by a plugin of SPIRE's agent. Given up when dropped.
#[derive(Debug)]
pub struct AgentSession {
    challenges: Option<UnboundedSender<agent::Challenge>>,
    answers: Streaming<agent::PayloadOrChallengeResponse>,
}

impl Plugin {
    pub(super) fn new(channel: Channel) -> Self {
        Self(channel)
    }

    /// Puts a configuration in force.
    ///
    /// # Errors
    /// The plugin's status.
    pub async fn configure(&self, trust_domain: &str, hcl: &str) -> Result<(), Status> {
        let core = CoreConfiguration { trust_domain: trust_domain.to_owned() };
        let request = ConfigureRequest { core_configuration: Some(core), hcl_configuration: hcl.to_owned() };
        ConfigClient::new(self.0.clone()).configure(request).await.map(drop)
    }

    /// Has a configuration checked.
    ///
    /// # Errors
    /// The plugin's status.
    pub async fn validate(&self, trust_domain: &str, hcl: &str) -> Result<ValidateResponse, Status> {
        let core = CoreConfiguration { trust_domain: trust_domain.to_owned() };
        let request = ValidateRequest { core_configuration: Some(core), hcl_configuration: hcl.to_owned() };
        Ok(ConfigClient::new(self.0.clone()).validate(request).await?.into_inner())
    }

    /// Starts an attestation by a plugin of SPIRE's server, with the agent's payload.
    ///
    /// # Errors
    /// The plugin's status.
    pub async fn attest(&self, payload: impl Into<Vec<u8>>) -> Result<ServerSession, Status> {
        let session = self.open_attest(&[]).await?;
        session.send(Some(attest_request::Request::Payload(payload.into())));
        Ok(session)
    }

    /// Opens the stream of an attestation by a plugin of SPIRE's server, with gRPC metadata, and
    /// sends nothing.
    ///
    /// # Errors
    /// The plugin's status.
    pub async fn open_attest(
        &self,
        metadata: &[(&'static str, &'static str)],
    ) -> Result<ServerSession, Status> {
        let (requests, stream) = unbounded_channel();
        let mut request = Request::new(UnboundedReceiverStream::new(stream));
        for (name, value) in metadata {
            request.metadata_mut().insert(*name, tonic::metadata::MetadataValue::from_static(value));
        }
        let mut client = NodeAttestorClient::new(self.0.clone()).max_decoding_message_size(MAX_MESSAGE_BYTES);
        let answers = in_time(client.attest(request)).await?.into_inner();
        Ok(ServerSession { requests: Some(requests), answers })
    }

    /// Starts an attestation by a plugin of SPIRE's agent.
    ///
    /// # Errors
    /// The plugin's status.
    pub async fn aid_attestation(&self) -> Result<AgentSession, Status> {
        let (challenges, stream) = unbounded_channel();
        let mut client = agent::node_attestor_client::NodeAttestorClient::new(self.0.clone())
            .max_decoding_message_size(MAX_MESSAGE_BYTES);
        let answers =
            in_time(client.aid_attestation(UnboundedReceiverStream::new(stream))).await?.into_inner();
        Ok(AgentSession { challenges: Some(challenges), answers })
    }
}

impl ServerSession {
    /// Waits for the plugin's answer.
    ///
    /// # Errors
    /// The plugin's status; `Unknown` when it closes the stream without an answer.
    pub async fn answer(&mut self) -> Result<Answer, Status> {
        match in_time(self.answers.message()).await?.and_then(|answer| answer.response) {
            Some(attest_response::Response::Challenge(challenge)) => Ok(Answer::Challenge(challenge)),
            Some(attest_response::Response::AgentAttributes(attributes)) => Ok(Answer::Attested(attributes)),
            None => Err(Status::unknown("the plugin gave no answer")),
        }
    }

    /// Waits for a challenge.
    ///
    /// # Errors
    /// Like [`answer`](Self::answer), and `Unknown` when the answer is no challenge.
    pub async fn challenge(&mut self) -> Result<Vec<u8>, Status> {
        match self.answer().await? {
            Answer::Challenge(challenge) => Ok(challenge),
            Answer::Attested(_) => Err(Status::unknown("the plugin sent no challenge")),
        }
    }

    /// Waits for the end of a successful attestation.
    ///
    /// # Errors
    /// Like [`answer`](Self::answer), and `Unknown` when the answer is a challenge.
    pub async fn attributes(&mut self) -> Result<AgentAttributes, Status> {
        match self.answer().await? {
            Answer::Attested(attributes) => Ok(attributes),
            Answer::Challenge(_) => Err(Status::unknown("the plugin sent a challenge")),
        }
    }

    /// Responds to a challenge.
    pub fn respond(&self, response: impl Into<Vec<u8>>) {
        self.send(Some(attest_request::Request::ChallengeResponse(response.into())));
    }

    /// Sends any message, also one that SPIRE would not send.
    pub fn send(&self, request: Option<attest_request::Request>) {
        // When the plugin has ended the attestation, its answer tells.
        let _ = self.requests.as_ref().map(|requests| requests.send(AttestRequest { request }));
    }

    /// Sends no more.
    pub fn close(&mut self) {
        self.requests = None;
    }
}

impl AgentSession {
    /// Waits for the payload.
    ///
    /// # Errors
    /// The plugin's status; `Unknown` when it sends something else.
    pub async fn payload(&mut self) -> Result<Vec<u8>, Status> {
        match self.answer().await? {
            Some(Data::Payload(payload)) => Ok(payload),
            _ => Err(Status::unknown("the plugin sent no payload")),
        }
    }

    /// Sends a challenge and waits for the response.
    ///
    /// # Errors
    /// The plugin's status; `Unknown` when it sends something else.
    pub async fn challenge(&mut self, challenge: impl Into<Vec<u8>>) -> Result<Vec<u8>, Status> {
        let challenge = agent::Challenge { challenge: challenge.into() };
        // When the plugin has ended the attestation, its answer tells.
        let _ = self.challenges.as_ref().map(|challenges| challenges.send(challenge));
        match self.answer().await? {
            Some(Data::ChallengeResponse(response)) => Ok(response),
            _ => Err(Status::unknown("the plugin sent no challenge response")),
        }
    }

    /// Sends no more, and waits until the plugin is done.
    ///
    /// # Errors
    /// The plugin's status; `Unknown` when it sends something more.
    pub async fn finish(mut self) -> Result<(), Status> {
        self.challenges = None;
        match in_time(self.answers.message()).await? {
            None => Ok(()),
            Some(_) => Err(Status::unknown("the plugin sent more than was asked for")),
        }
    }

    async fn answer(&mut self) -> Result<Option<Data>, Status> {
        Ok(in_time(self.answers.message()).await?.and_then(|answer| answer.data))
    }
}

async fn in_time<T>(call: impl Future<Output = Result<T, Status>>) -> Result<T, Status> {
    let too_late = |_| Status::deadline_exceeded(format!("the plugin did not answer within {PATIENCE:?}"));
    timeout(PATIENCE, call).await.map_err(too_late)?
}
