//! A Keylime in this process: verifier, registrar and agents that speak recorded answers over TLS,
//! and lie or fail when told to.
//!
//! ```no_run
//! # async fn example() -> anyhow::Result<()> {
//! use lab::fake_keylime::{Fault, FakeKeylime, Node, State};
//!
//! let keylime = FakeKeylime::start().await?;
//! let files = keylime.ca.write_client(std::path::Path::new("/tmp/tls"))?;
//! keylime.add(Node::recorded().with_states([State::pass(), State::fail()]));
//! keylime.registrar.fault("/agents/", Fault::Hang);
//! # Ok(())
//! # }
//! ```

mod agent;
mod node;
pub mod pki;
pub mod recorded;
mod server;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use anyhow::Result;

pub use agent::{AgentPki, FakeAgent, FakeAgentConfig, Quoter};
pub use node::{LastSuccess, Node, State, Valid};
pub use server::{Answers, FakeServer, Fault, Request, Response};

use pki::{Ca, Clients, Validity};
use server::lock;

/// The names in a server certificate of Keylime.
pub const SERVER_NAMES: [&str; 3] = ["localhost", "127.0.0.1", "::1"];

/// A verifier and a registrar that know the same nodes. Both stop when dropped.
pub struct FakeKeylime {
    /// The verifier.
    pub verifier: FakeServer,
    /// The registrar.
    pub registrar: FakeServer,
    /// The CA of their certificates and of the client certificates that they trust.
    pub ca: Arc<Ca>,
    nodes: Arc<Nodes>,
    versions: Arc<Mutex<Versions>>,
}

/// Which API versions the servers have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Versions {
    /// Those of the recorded servers: 2.0 to 2.6 and others.
    Recorded,
    /// The answer of a verifier in push mode (410, no versions); 2.0 to 2.6 work.
    Untold,
    /// Only these, such as `2.3`.
    Only(Vec<String>),
}

#[derive(Default)]
struct Nodes(Mutex<BTreeMap<String, Node>>);

impl FakeKeylime {
    /// Starts both on loopback ports that the system chooses, with certificates of a new CA for
    /// [`SERVER_NAMES`].
    pub async fn start() -> Result<FakeKeylime> {
        FakeKeylime::start_with(Arc::new(Ca::new()?)).await
    }

    /// Starts another verifier and registrar with nodes of their own, and certificates of the same
    /// CA.
    pub async fn start_another(&self) -> Result<FakeKeylime> {
        FakeKeylime::start_with(Arc::clone(&self.ca)).await
    }

    async fn start_with(ca: Arc<Ca>) -> Result<FakeKeylime> {
        let nodes = Arc::new(Nodes::default());
        let versions = Arc::new(Mutex::new(Versions::Recorded));
        let certificate = ca.server(&SERVER_NAMES, Validity::Now)?;
        let tls = || certificate.server_config(Clients::Optional(&ca));
        let (known, spoken) = (nodes.clone(), versions.clone());
        let verifier = FakeServer::start(
            Some(tls()?),
            Arc::new(move |request| route(request, &lock(&spoken), |path| verifier(&known, request, path))),
        );
        let (known, spoken) = (nodes.clone(), versions.clone());
        let registrar = FakeServer::start(
            Some(tls()?),
            Arc::new(move |request| route(request, &lock(&spoken), |path| registrar(&known, request, path))),
        );
        Ok(FakeKeylime { verifier: verifier.await?, registrar: registrar.await?, ca, nodes, versions })
    }

    /// Adds a node, or puts it in the place of the one with its id.
    pub fn add(&self, node: Node) {
        lock(&self.nodes.0).insert(node.id.clone(), node);
    }

    /// Changes a node; nothing happens when there is none.
    pub fn change(&self, id: &str, change: impl FnOnce(&mut Node)) {
        if let Some(node) = lock(&self.nodes.0).get_mut(id) {
            change(node);
        }
    }

    /// Takes a node away.
    pub fn remove(&self, id: &str) {
        lock(&self.nodes.0).remove(id);
    }

    /// Changes the API versions of both servers.
    pub fn set_versions(&self, versions: Versions) {
        *lock(&self.versions) = versions;
    }
}

impl Versions {
    fn has(&self, version: &str) -> bool {
        match self {
            Versions::Recorded | Versions::Untold => {
                matches!(version, "2.0" | "2.1" | "2.2" | "2.3" | "2.4" | "2.5" | "2.6")
            }
            Versions::Only(versions) => versions.iter().any(|only| only == version),
        }
    }

    fn answer(&self) -> Response {
        match self {
            Versions::Recorded => Response::json(200, recorded::VERSION),
            Versions::Untold => Response::json(410, recorded::PUSH_VERSION),
            Versions::Only(versions) => {
                let results =
                    serde_json::json!({"current_version": versions.last(), "supported_versions": versions});
                Response::json(
                    200,
                    serde_json::json!({"code": 200, "status": "Success", "results": results}).to_string(),
                )
            }
        }
    }
}

impl Nodes {
    fn with<T>(
        &self,
        id: &str,
        known: impl Fn(&Node) -> bool,
        answer: impl FnOnce(&mut Node) -> T,
    ) -> Option<T> {
        let mut nodes = lock(&self.0);
        nodes.get_mut(id).filter(|node| known(node)).map(answer)
    }

    /// The ids of all enrolled nodes.
    fn ids(&self) -> String {
        let nodes = lock(&self.0);
        let ids: Vec<[&str; 1]> =
            nodes.values().filter(|node| node.enrolled).map(|node| [node.id.as_str()]).collect();
        serde_json::json!({"code": 200, "status": "Success", "results": {"uuids": ids}}).to_string()
    }

    /// All enrolled nodes, each with its next state.
    fn bulk(&self) -> String {
        let mut results = serde_json::Map::new();
        for node in lock(&self.0).values_mut().filter(|node| node.enrolled) {
            let answer: serde_json::Value = serde_json::from_str(&node.next_state()).unwrap_or_default();
            results.insert(node.id.clone(), answer.get("results").cloned().unwrap_or_default());
        }
        serde_json::json!({"code": 200, "status": "Success", "results": results}).to_string()
    }
}

/// `/version`, else the path below a known version, else what Keylime says to paths that it does
/// not have.
fn route(request: &Request, versions: &Versions, answer: impl FnOnce(&str) -> Option<Response>) -> Response {
    let path = request.target.split('?').next().unwrap_or_default();
    if path == "/version" {
        return versions.answer();
    }
    let versioned = path.strip_prefix("/v").and_then(|rest| rest.split_once('/'));
    let known = versioned.filter(|(version, _)| versions.has(version));
    known.and_then(|(_, path)| answer(path)).unwrap_or_else(|| Response::html(404, ""))
}

fn verifier(nodes: &Nodes, request: &Request, path: &str) -> Option<Response> {
    let unknown = || Response::json(404, recorded::UNKNOWN_AGENT);
    if path == "verify/identity" {
        let id = parameter(&request.target, "agent_uuid").unwrap_or_default();
        let quote = unescaped(parameter(&request.target, "quote").unwrap_or_default());
        let nonce = parameter(&request.target, "nonce").unwrap_or_default();
        let valid = nodes.with(id, |node| node.enrolled, |node| node.valid.says(&quote, nonce));
        return Some(valid.map_or_else(unknown, |valid| {
            Response::json(200, if valid { recorded::VALID } else { recorded::INVALID })
        }));
    }
    let id = path.strip_prefix("agents/")?;
    if !request.with_certificate {
        return Some(Response::json(403, recorded::VERIFIER_FORBIDDEN));
    }
    if id.is_empty() {
        let bulk = parameter(&request.target, "bulk").is_some();
        return Some(Response::json(200, if bulk { nodes.bulk() } else { nodes.ids() }));
    }
    let state = nodes.with(id, |node| node.enrolled, Node::next_state);
    Some(state.map_or_else(unknown, |state| Response::json(200, state)))
}

fn registrar(nodes: &Nodes, request: &Request, path: &str) -> Option<Response> {
    let id = path.strip_prefix("agents/")?;
    if !request.with_certificate {
        return Some(Response::json(403, recorded::REGISTRAR_FORBIDDEN));
    }
    let unknown = || {
        let status = format!("Agent with ID '{id}' not found");
        Response::json(404, serde_json::json!({"code": 404, "status": status, "results": {}}).to_string())
    };
    let registration = nodes.with(id, |node| node.registered, |node| node.registration());
    Some(registration.map_or_else(unknown, |registration| Response::json(200, registration)))
}

/// A quote as it was before it became part of a query.
fn unescaped(text: &str) -> String {
    [("%2B", "+"), ("%2F", "/"), ("%3A", ":"), ("%3D", "=")]
        .iter()
        .fold(text.to_owned(), |text, (escaped, plain)| text.replace(escaped, plain))
}

/// A query parameter that needs no unescaping, as ids and nonces do not.
fn parameter<'a>(target: &'a str, name: &str) -> Option<&'a str> {
    let (_, query) = target.split_once('?')?;
    query
        .split('&')
        .filter_map(|pair| pair.split_once('='))
        .find(|(key, _)| *key == name)
        .map(|(_, value)| value)
}
