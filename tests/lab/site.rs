//! A server plugin, started and configured as SPIRE does it, with a Keylime in this process that
//! knows one node.

use std::fmt::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::{Context as _, Result};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use evidence::message::{Challenge, Payload, Response};
use evidence::{AgentId, HashAlg, ServiceAccountToken};
use keylime_attestor_proto::server::node_attestor::AgentAttributes;
use serde_json::Value;
use tempfile::TempDir;
use tonic::Status;

use crate::fake_keylime::pki::Files;
use crate::fake_keylime::{FakeKeylime, Node};
use crate::host::{Host, Plugin};
use crate::programs;
use crate::soft_ak::SoftAk;

/// The trust domain of every site.
pub const TRUST_DOMAIN: &str = "example.org";

/// The program under test.
pub const SERVER_PLUGIN: &str = "keylime-attestor-server";

/// The plugin, its SPIRE and its Keylime. All end when it is dropped.
pub struct Site {
    /// Keylime's servers, which know [`node`](Self::node).
    pub keylime: FakeKeylime,
    /// SPIRE, which runs the plugin.
    pub host: Host,
    /// The node that attests.
    pub node: SoftNode,
    /// The TLS files of the configuration.
    pub files: Files,
    started: AtomicUsize,
    _folder: TempDir,
}

/// A node whose AK is a key in this process. Cheap to clone.
#[derive(Clone)]
pub struct SoftNode {
    id: AgentId,
    ak: Arc<SoftAk>,
}

impl Site {
    /// Starts everything; the plugin is configured with what it needs and otherwise its defaults.
    ///
    /// # Errors
    /// When anything does not start, or the configuration is refused.
    pub async fn start() -> Result<Self> {
        Self::start_with_env(&[], "").await
    }

    /// The same, with variables of the plugin's environment set to a value.
    ///
    /// # Errors
    /// Like [`start`](Self::start).
    pub async fn start_with_env(variables: &[&str], value: &str) -> Result<Self> {
        let keylime = FakeKeylime::start().await?;
        let node = SoftNode::new("d432fbb3-d2f1-4a97-9ef7-75bd81c00042", SoftAk::p256()?)?;
        keylime.add(node.known());
        let folder = tempfile::tempdir()?;
        let files = keylime.ca.write_client(folder.path())?;
        let plugin = Host::start(programs::built(SERVER_PLUGIN)?);
        let plugin = variables.iter().fold(plugin, |plugin, variable| plugin.env(variable, value));
        let host = plugin.start().await?;
        let site = Self { keylime, host, node, files, started: AtomicUsize::new(0), _folder: folder };
        site.configure("").await.context("failed to configure the plugin")?;
        Ok(site)
    }

    /// The keys that point the plugin to its Keylime, and `more` keys.
    pub fn configuration(&self, more: &str) -> String {
        let keylime = &self.keylime;
        let mut text = format!(
            "keylime_verifier_port = {}\nkeylime_registrar_port = {}\n",
            keylime.verifier.port(),
            keylime.registrar.port()
        );
        let files = [("ca_cert", &self.files.ca), ("cert", &self.files.cert), ("key", &self.files.key)];
        for (key, file) in files {
            let _ = writeln!(text, "keylime_tls_{key}_file = {:?}", file.display().to_string());
        }
        text + more
    }

    /// Configures the plugin with [`configuration`](Self::configuration).
    ///
    /// # Errors
    /// The plugin's status.
    pub async fn configure(&self, more: &str) -> Result<(), Status> {
        self.host.plugin().configure(TRUST_DOMAIN, &self.configuration(more)).await
    }

    /// Attests the node, which answers as it should.
    ///
    /// # Errors
    /// The plugin's status.
    pub async fn attest(&self) -> Result<AgentAttributes, Status> {
        self.attest_with(|challenge| self.node.respond(challenge)).await
    }

    /// Attests the node, which answers the challenge with whatever `respond` makes of it.
    ///
    /// # Errors
    /// The plugin's status.
    pub async fn attest_with(
        &self,
        respond: impl FnOnce(&[u8]) -> Result<Vec<u8>>,
    ) -> Result<AgentAttributes, Status> {
        self.attest_as(self.node.payload(), respond).await
    }

    /// Attests with any payload.
    ///
    /// # Errors
    /// The plugin's status.
    pub async fn attest_as(
        &self,
        payload: Vec<u8>,
        respond: impl FnOnce(&[u8]) -> Result<Vec<u8>>,
    ) -> Result<AgentAttributes, Status> {
        self.started.fetch_add(1, Ordering::Relaxed);
        attest(self.host.plugin(), payload, respond).await
    }

    /// The `reason` in the log for the attestation that was started last here.
    ///
    /// # Errors
    /// When the log does not tell it in time.
    pub async fn reason(&self) -> Result<String> {
        let started = self.started.load(Ordering::Relaxed);
        let last = self.host.log().wait_for_nth(started, is_end).await?;
        Ok(last.get("reason").and_then(Value::as_str).context("the log has no reason")?.to_owned())
    }
}

impl SoftNode {
    /// A node with this id and AK.
    ///
    /// # Errors
    /// When the id is none.
    pub fn new(id: &str, ak: SoftAk) -> Result<Self> {
        Ok(Self { id: AgentId::new(id)?, ak: Arc::new(ak) })
    }

    /// Its id in Keylime.
    pub fn id(&self) -> &AgentId {
        &self.id
    }

    /// The node as Keylime's servers know it: registered, enrolled, passing.
    pub fn known(&self) -> Node {
        let ek_tpm = STANDARD.encode(&self.ak.ek);
        Node { ek_tpm, ..Node::passing(self.id.as_str(), &self.ak.tpm2b_public()) }
    }

    /// The payload of its agent plugin.
    pub fn payload(&self) -> Vec<u8> {
        self.payload_with(None)
    }

    /// The same with the token of its SPIRE agent's pod.
    pub fn payload_with(&self, token: Option<ServiceAccountToken>) -> Vec<u8> {
        let (agent_id, hash_alg) = (self.id.clone(), Some(HashAlg::Sha256));
        Payload { agent_id, hash_alg, service_account_token: token }.to_json()
    }

    /// Its agent plugin's answer to a challenge.
    ///
    /// # Errors
    /// When the challenge is none, or the key cannot sign.
    pub fn respond(&self, challenge: &[u8]) -> Result<Vec<u8>> {
        let nonce = Challenge::from_json(challenge)?.nonce;
        let quote = self.ak.quote(nonce.as_str().as_bytes())?;
        Ok(Response { quote: quote.to_string() }.to_json())
    }

    /// Attests through a plugin.
    ///
    /// # Errors
    /// The plugin's status.
    pub async fn attest(&self, plugin: &Plugin) -> Result<AgentAttributes, Status> {
        attest(plugin, self.payload(), |challenge| self.respond(challenge)).await
    }
}

async fn attest(
    plugin: &Plugin,
    payload: Vec<u8>,
    respond: impl FnOnce(&[u8]) -> Result<Vec<u8>>,
) -> Result<AgentAttributes, Status> {
    let mut session = plugin.attest(payload).await?;
    let challenge = session.challenge().await?;
    session.respond(respond(&challenge).map_err(|error| Status::unknown(error.to_string()))?);
    session.attributes().await
}

fn is_end(entry: &Value) -> bool {
    entry.get("@message").and_then(Value::as_str) == Some("node attestation ended")
}
