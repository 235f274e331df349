//! One attestation, as the plugin sees it.

use std::net::IpAddr;

use tonic::Status;

use crate::Host;

/// An attestation on the server: a payload comes, any number of challenges is answered.
#[derive(Debug)]
pub struct ServerAttestation {
    host: Host,
    client_ip: Option<IpAddr>,
}

impl ServerAttestation {
    /// The agent's payload: to be read once, before any challenge.
    ///
    /// # Errors
    /// `InvalidArgument` when the first message is no payload, is empty or too large, or never comes.
    pub async fn payload(&mut self) -> Result<Vec<u8>, Status> {
        Err(Status::unimplemented("payload"))
    }

    /// Sends a challenge and waits for the response. Has no time limit of its own.
    ///
    /// # Errors
    /// `InvalidArgument` when what comes back is no response, is empty or too large, or never comes.
    pub async fn challenge(&mut self, challenge: Vec<u8>) -> Result<Vec<u8>, Status> {
        Err(Status::unimplemented(format!("challenge of {} bytes", challenge.len())))
    }

    /// The services that SPIRE offers to its plugins.
    #[must_use]
    pub fn host(&self) -> &Host {
        &self.host
    }

    /// The agent's address, checked by SPIRE, which tells it from version 1.15 on.
    #[must_use]
    pub fn client_ip(&self) -> Option<IpAddr> {
        self.client_ip
    }
}

/// An attestation on the agent: a payload goes out, then every challenge is answered.
#[derive(Debug)]
pub struct AgentAttestation {
    host: Host,
}

impl AgentAttestation {
    /// Sends the payload: once, before anything else.
    ///
    /// # Errors
    /// `Internal` when it is empty, `Cancelled` when SPIRE is gone.
    pub async fn send_payload(&mut self, payload: Vec<u8>) -> Result<(), Status> {
        Err(Status::unimplemented(format!("payload of {} bytes", payload.len())))
    }

    /// The server's next challenge; `None` when the attestation has ended.
    ///
    /// # Errors
    /// `InvalidArgument` when a challenge is empty or too large.
    pub async fn next_challenge(&mut self) -> Result<Option<Vec<u8>>, Status> {
        Err(Status::unimplemented("challenge"))
    }

    /// Answers the challenge that came last.
    ///
    /// # Errors
    /// `Internal` when the response is empty, `Cancelled` when SPIRE is gone.
    pub async fn respond(&mut self, response: Vec<u8>) -> Result<(), Status> {
        Err(Status::unimplemented(format!("response of {} bytes", response.len())))
    }

    /// The services that SPIRE offers to its plugins.
    #[must_use]
    pub fn host(&self) -> &Host {
        &self.host
    }
}
