//! Attestation on SPIRE's server.

use std::net::IpAddr;
use std::sync::Arc;

use keylime_attestor_proto::server::node_attestor::{
    self as wire, AttestRequest, AttestResponse, attest_request::Request as Incoming,
    attest_response::Response as Outgoing, node_attestor_server::NodeAttestor,
};
use tonic::{Request, Response, Status, Streaming, codegen::BoxStream};

use super::{Outbox, receive, run, send, unexpected};
use crate::configured::Configured;
use crate::panic::catch;
use crate::{AgentAttributes, Host, ServerNodeAttestor};

/// The metadata in which SPIRE 1.15 and later tell the address of the agent.
const CLIENT_IP: &str = "x-forwarded-client-ip";

/// An attestation on the server: a payload comes, then any number of challenges is answered.
#[derive(Debug)]
pub struct ServerAttestation {
    requests: Streaming<AttestRequest>,
    outbox: Outbox<AttestResponse>,
    host: Host,
    client_ip: Option<IpAddr>,
}

impl ServerAttestation {
    /// Waits for the agent's payload: to be asked for once, before any challenge. It is not empty
    /// and has at most 1 MiB.
    ///
    /// # Errors
    /// `InvalidArgument` when the first message is no payload, or is empty or too large, or the
    /// stream ends before it.
    pub async fn payload(&mut self) -> Result<Vec<u8>, Status> {
        match self.receive("payload").await? {
            Incoming::Payload(payload) if payload.is_empty() => Err(unexpected("payload", "an empty one")),
            Incoming::Payload(payload) => Ok(payload),
            Incoming::ChallengeResponse(_) => Err(unexpected("payload", "a challenge response")),
        }
    }

    /// Sends a challenge and waits for the response, which is not empty and has at most 1 MiB.
    /// There is no time limit in it: an agent that never responds is to be given up by the caller.
    ///
    /// # Errors
    /// `InvalidArgument` when what comes is no response, or is empty or too large, or the stream
    /// ends before it; `Cancelled` when SPIRE gave up.
    pub async fn challenge(&mut self, challenge: Vec<u8>) -> Result<Vec<u8>, Status> {
        send(&self.outbox, AttestResponse { response: Some(Outgoing::Challenge(challenge)) }).await?;
        match self.receive("challenge response").await? {
            Incoming::ChallengeResponse(response) if response.is_empty() => {
                Err(unexpected("challenge response", "an empty one"))
            }
            Incoming::ChallengeResponse(response) => Ok(response),
            Incoming::Payload(_) => Err(unexpected("challenge response", "a second payload")),
        }
    }

    /// The services that SPIRE offers to its plugins.
    #[must_use]
    pub fn host(&self) -> &Host {
        &self.host
    }

    /// The agent's address as SPIRE saw it. SPIRE tells it from version 1.15 on.
    #[must_use]
    pub fn client_ip(&self) -> Option<IpAddr> {
        self.client_ip
    }

    async fn receive(&mut self, expected: &str) -> Result<Incoming, Status> {
        let request = receive(&mut self.requests).await?;
        let request = request.ok_or_else(|| unexpected(expected, "the end of the stream"))?;
        request.request.ok_or_else(|| unexpected(expected, "a message without content"))
    }
}

/// The gRPC service.
pub(crate) struct Service<P: ServerNodeAttestor> {
    pub(crate) plugin: Arc<Configured<P>>,
    pub(crate) host: Host,
}

#[tonic::async_trait]
impl<P: ServerNodeAttestor> NodeAttestor for Service<P> {
    type AttestStream = BoxStream<AttestResponse>;

    async fn attest(
        &self,
        request: Request<Streaming<AttestRequest>>,
    ) -> Result<Response<BoxStream<AttestResponse>>, Status> {
        let config = self.plugin.snapshot()?;
        let plugin = Arc::clone(&self.plugin);
        let host = self.host.clone();
        let client_ip = client_ip(&request);
        let requests = request.into_inner();
        Ok(Response::new(run(|outbox| async move {
            let mut attestation = ServerAttestation { requests, outbox: outbox.clone(), host, client_ip };
            let outcome = catch(plugin.get().attest(config, &mut attestation)).await;
            // Nobody reads it when SPIRE gave up in the meantime.
            let _ = outbox.send(outcome.map(attested)).await;
        })))
    }
}

fn client_ip<T>(request: &Request<T>) -> Option<IpAddr> {
    request.metadata().get(CLIENT_IP)?.to_str().ok()?.parse().ok()
}

fn attested(attributes: AgentAttributes) -> AttestResponse {
    let AgentAttributes { spiffe_id, selector_values, can_reattest } = attributes;
    let attributes = wire::AgentAttributes { spiffe_id, selector_values, can_reattest };
    AttestResponse { response: Some(Outgoing::AgentAttributes(attributes)) }
}
