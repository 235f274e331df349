//! The node's side of an attestation.

use std::sync::Arc;

use evidence::message::{Challenge, MessageError, Payload, Response};
use evidence::{AgentId, HashAlg, NonceOfAnother, Purpose};
use kubernetes::TokenFileError;
use spire_plugin::{AgentAttestation, AgentNodeAttestor, Configure, Status, TrustDomain};

use crate::config::{self, Config, Node};

/// The node attestor. Without state: all that an attestation needs is in its [`Config`].
pub(crate) struct KeylimeNode;

/// The reason why this node cannot answer. The text goes to the SPIRE agent's log.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error(transparent)]
    Keylime(#[from] keylime::Error),
    #[error(transparent)]
    Token(#[from] TokenFileError),
    #[error(
        "failed to understand the SPIRE server's plugin: {0}; check that NodeAttestor \"keylime\" is the same there"
    )]
    Challenge(#[from] MessageError),
    #[error(transparent)]
    Nonce(#[from] NonceOfAnother),
    #[error("{}", .0.message())]
    Stream(#[from] Status),
}

impl Configure for KeylimeNode {
    type Config = Config;

    async fn configure(&self, trust_domain: &TrustDomain, text: &str) -> Result<Config, Vec<String>> {
        config::read(trust_domain, text)
    }
}

impl AgentNodeAttestor for KeylimeNode {
    async fn aid_attestation(
        &self,
        config: Arc<Config>,
        attestation: &mut AgentAttestation,
    ) -> Result<(), Status> {
        answer(&config, attestation).await.map_err(|failure| {
            tracing::warn!(error = %failure, "this node could not be attested");
            failure.into()
        })
    }
}

/// Sends the payload, then answers each challenge with a quote, until SPIRE ends the attestation.
async fn answer(config: &Config, attestation: &mut AgentAttestation) -> Result<(), Failure> {
    let payload = payload(config).await?;
    let sent = payload.to_json();
    attestation.send_payload(sent.clone()).await?;
    while let Some(challenge) = attestation.next_challenge().await? {
        let nonce = Challenge::from_json(&challenge)?.nonce;
        // Before anything is quoted: another server may only pass it on.
        nonce.check(Purpose { trust_domain: config.trust_domain.as_str(), payload: &sent })?;
        let quote = config.agent.identity_quote(&nonce).await?.quote;
        attestation.respond(Response { quote }.to_json()).await?;
        // Logged here and not after the loop: SPIRE drops an accepted attestation while the next
        // challenge is awaited.
        tracing::info!(agent_id = payload.agent_id.as_str(), "the server's challenge was answered");
    }
    Ok(())
}

/// The payload. Where a token is configured there is none without it: an agent that sent none would
/// be one of before in the server's eyes.
async fn payload(config: &Config) -> Result<Payload, Failure> {
    let service_account_token = match &config.service_account_token {
        Some(file) => Some(file.token().await?),
        None => None,
    };
    let (agent_id, hash_alg) = node(config).await?;
    Ok(Payload { agent_id, hash_alg: Some(hash_alg), service_account_token })
}

/// The node's id and PCR bank. A configured id is used as it is. An agent that tells neither quotes
/// SHA-256 by default, and the bank has to be named: the Go plugin's server accepts no payload
/// without it.
async fn node(config: &Config) -> Result<(AgentId, HashAlg), keylime::Error> {
    let info = config.agent.info().await;
    match &config.node {
        Node::Asked => info.map(|info| (info.agent_id, info.hash_alg)),
        Node::Configured(agent_id) => {
            let hash_alg = match info {
                Ok(info) => info.hash_alg,
                Err(keylime::Error::NoAgentInfo { .. }) => HashAlg::Sha256,
                Err(error) => return Err(error),
            };
            Ok((agent_id.clone(), hash_alg))
        }
    }
}

impl From<Failure> for Status {
    fn from(failure: Failure) -> Self {
        let text = failure.to_string();
        match failure {
            Failure::Keylime(_) | Failure::Token(_) => Status::unavailable(text),
            Failure::Challenge(_) | Failure::Nonce(_) => Status::invalid_argument(text),
            Failure::Stream(status) => status,
        }
    }
}
