//! Attestation on SPIRE's agent.

use std::sync::Arc;

use keylime_attestor_proto::agent::node_attestor::{
    Challenge, PayloadOrChallengeResponse, node_attestor_server::NodeAttestor,
    payload_or_challenge_response::Data,
};
use tonic::{Request, Response, Status, Streaming, codegen::BoxStream};

use super::{Outbox, receive, run, send, unexpected};
use crate::configured::Configured;
use crate::panic::catch;
use crate::{AgentNodeAttestor, Host};

/// An attestation on the agent: a payload goes out, then every challenge is answered.
#[derive(Debug)]
pub struct AgentAttestation {
    challenges: Streaming<Challenge>,
    outbox: Outbox<PayloadOrChallengeResponse>,
    host: Host,
}

impl AgentAttestation {
    /// Sends the payload: once, before anything else. SPIRE takes an empty one for an error.
    ///
    /// # Errors
    /// `Cancelled` when SPIRE gave up.
    pub async fn send_payload(&mut self, payload: Vec<u8>) -> Result<(), Status> {
        self.send(Data::Payload(payload)).await
    }

    /// Waits for the server's next challenge, which is not empty and has at most 1 MiB. `None` when
    /// no more will come; SPIRE's agent does not say so, it drops the attestation once the server
    /// has decided.
    ///
    /// # Errors
    /// `InvalidArgument` when a challenge is empty or too large.
    pub async fn next_challenge(&mut self) -> Result<Option<Vec<u8>>, Status> {
        match receive(&mut self.challenges).await? {
            Some(Challenge { challenge }) if challenge.is_empty() => {
                Err(unexpected("challenge", "an empty one"))
            }
            Some(Challenge { challenge }) => Ok(Some(challenge)),
            None => Ok(None),
        }
    }

    /// Answers the challenge that came last. SPIRE takes an empty response for an error.
    ///
    /// # Errors
    /// `Cancelled` when SPIRE gave up.
    pub async fn respond(&mut self, response: Vec<u8>) -> Result<(), Status> {
        self.send(Data::ChallengeResponse(response)).await
    }

    /// The services that SPIRE offers to its plugins.
    #[must_use]
    pub fn host(&self) -> &Host {
        &self.host
    }

    async fn send(&self, data: Data) -> Result<(), Status> {
        send(&self.outbox, PayloadOrChallengeResponse { data: Some(data) }).await
    }
}

/// The gRPC service.
pub(crate) struct Service<P: AgentNodeAttestor> {
    pub(crate) plugin: Arc<Configured<P>>,
    pub(crate) host: Host,
}

#[tonic::async_trait]
impl<P: AgentNodeAttestor> NodeAttestor for Service<P> {
    type AidAttestationStream = BoxStream<PayloadOrChallengeResponse>;

    async fn aid_attestation(
        &self,
        request: Request<Streaming<Challenge>>,
    ) -> Result<Response<BoxStream<PayloadOrChallengeResponse>>, Status> {
        let config = self.plugin.snapshot()?;
        let plugin = Arc::clone(&self.plugin);
        let host = self.host.clone();
        let challenges = request.into_inner();
        Ok(Response::new(run(|outbox| async move {
            let mut attestation = AgentAttestation { challenges, outbox: outbox.clone(), host };
            if let Err(status) = catch(plugin.get().aid_attestation(config, &mut attestation)).await {
                // Nobody reads it when SPIRE gave up in the meantime.
                let _ = outbox.send(Err(status)).await;
            }
        })))
    }
}
