//! A Keylime agent that quotes by what it is given.

use std::sync::Arc;

use anyhow::Result;
use serde_json::{Value, json};

use super::pki::{Ca, Clients, Leaf};
use super::server::{FakeServer, Request, Response};
use super::{parameter, recorded};

/// Makes Keylime's quote text for a nonce.
pub type Quoter = Box<dyn Fn(&str) -> String + Send + Sync>;

/// A Keylime agent that runs until it is dropped.
pub struct FakeAgent {
    /// Its server.
    pub server: FakeServer,
    /// The certificates of an agent with mTLS.
    pub pki: Option<AgentPki>,
}

/// The certificates of an agent with mTLS.
pub struct AgentPki {
    /// The agent's own certificate, self-signed with a signature that does not verify, as that of
    /// the Rust agent.
    pub certificate: Leaf,
    /// The CA of the client certificates that it trusts.
    pub client_ca: Ca,
}

/// Configuration of a fake agent.
pub struct FakeAgentConfig {
    /// Its id.
    pub id: String,
    /// The PCR bank that it says it quotes.
    pub hash_alg: String,
    /// True if it has `/agent/info`; the Python agent has not.
    pub tells_info: bool,
    /// The API versions it has.
    pub versions: Vec<String>,
    /// How it quotes.
    pub quoter: Quoter,
    /// The names in its certificate; [`None`] for plain http.
    pub tls_names: Option<Vec<String>>,
}

impl FakeAgentConfig {
    /// A Rust agent over plain http that gives the recorded quote, whatever the nonce.
    pub fn recorded(id: &str) -> FakeAgentConfig {
        FakeAgentConfig {
            id: id.to_owned(),
            hash_alg: "sha256".to_owned(),
            tells_info: true,
            versions: ["2.1", "2.2", "2.3", "2.4", "2.5", "2.6"].map(str::to_owned).into(),
            quoter: Box::new(|_| text(&recorded::quote(), "/results/quote")),
            tls_names: None,
        }
    }

    /// The same agent with mTLS, for these names.
    pub fn with_tls(self, names: &[&str]) -> FakeAgentConfig {
        FakeAgentConfig { tls_names: Some(names.iter().map(|name| (*name).to_owned()).collect()), ..self }
    }

    /// The same agent with another way to quote.
    pub fn quoting(self, quoter: impl Fn(&str) -> String + Send + Sync + 'static) -> FakeAgentConfig {
        FakeAgentConfig { quoter: Box::new(quoter), ..self }
    }
}

impl FakeAgent {
    /// Starts the agent on a loopback port that the system chooses.
    pub async fn start(config: FakeAgentConfig) -> Result<FakeAgent> {
        let pki = config.tls_names.as_ref().map(|names| AgentPki::new(names)).transpose()?;
        let tls = pki.as_ref().map(AgentPki::server_config).transpose()?;
        let server = FakeServer::start(tls, Arc::new(move |request| config.answer(request))).await?;
        Ok(FakeAgent { server, pki })
    }
}

impl AgentPki {
    fn new(names: &[String]) -> Result<AgentPki> {
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        Ok(AgentPki { certificate: Leaf::with_broken_signature(&names)?, client_ca: Ca::new()? })
    }

    /// The TLS side of the agent: a client certificate is required.
    pub fn server_config(&self) -> Result<rustls::ServerConfig> {
        self.certificate.server_config(Clients::Required(&self.client_ca))
    }
}

impl FakeAgentConfig {
    fn answer(&self, request: &Request) -> Response {
        let path = request.target.split('?').next().unwrap_or_default();
        if path == "/version" {
            return self.version();
        }
        let Some((version, path)) = path.strip_prefix("/v").and_then(|rest| rest.split_once('/')) else {
            return Response::json(400, recorded::AGENT_WRONG_PATH);
        };
        if !self.versions.iter().any(|known| known == version) {
            return Response::json(400, recorded::AGENT_WRONG_VERSION);
        }
        match path {
            "agent/info" if self.tells_info && version != "2.1" => self.info(),
            "quotes/identity" => self.quote(parameter(&request.target, "nonce").unwrap_or_default()),
            _ => Response::json(400, recorded::AGENT_WRONG_PATH),
        }
    }

    fn version(&self) -> Response {
        let results = json!({"supported_version": self.versions.last(), "supported_versions": self.versions});
        Response::json(200, json!({"code": 200, "status": "Success", "results": results}).to_string())
    }

    fn info(&self) -> Response {
        let mut answer = recorded::info();
        if let Some(results) = answer.get_mut("results").and_then(Value::as_object_mut) {
            results.insert("agent_uuid".to_owned(), json!(self.id));
            results.insert("tpm_hash_alg".to_owned(), json!(self.hash_alg));
        }
        Response::json(200, answer.to_string())
    }

    fn quote(&self, nonce: &str) -> Response {
        let mut answer = recorded::quote();
        if let Some(results) = answer.get_mut("results").and_then(Value::as_object_mut) {
            results.insert("quote".to_owned(), json!((self.quoter)(nonce)));
            results.insert("hash_alg".to_owned(), json!(self.hash_alg));
        }
        Response::json(200, answer.to_string())
    }
}

fn text(value: &Value, pointer: &str) -> String {
    value.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned()
}
