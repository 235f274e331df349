//! Our plugins, configured for a Keylime and a node of the lab.

use std::path::Path;

use anyhow::Result;
use serde_json::json;

use crate::keylime::{Agent, Keylime};
use crate::programs;
use crate::spire::{Attestor, TRUST_DOMAIN};

/// The server plugin for a Keylime.
///
/// # Errors
/// When it has not been built.
pub fn server(keylime: &Keylime) -> Result<Attestor> {
    let client = keylime.server_client();
    let data = json!({
        "keylime_verifier_host": "127.0.0.1",
        // Ports are strings in some configurations, numbers in others.
        "keylime_verifier_port": keylime.verifier_port().to_string(),
        "keylime_registrar_port": keylime.registrar_port(),
        "keylime_tls_ca_cert_file": client.ca,
        "keylime_tls_cert_file": client.cert,
        "keylime_tls_key_file": client.key,
    });
    Ok(Attestor::new(programs::built("keylime-attestor-server")?, data))
}

/// The agent plugin for a node whose Keylime agent speaks mutual TLS: with a certificate of the
/// nodes' own CA, and the agent's pinned.
///
/// # Errors
/// When it has not been built.
pub fn agent(keylime: &Keylime, node: &Agent) -> Result<Attestor> {
    let client = keylime.node_client();
    let data = json!({
        "keylime_agent_host": "127.0.0.1",
        "keylime_agent_port": node.port(),
        "keylime_tls_cert_file": client.cert,
        "keylime_tls_key_file": client.key,
        "keylime_tls_server_cert_file": node.certificate(),
    });
    Ok(Attestor::new(programs::built("keylime-attestor-agent")?, data))
}

/// The agent plugin for a node whose Keylime agent speaks plain http.
///
/// # Errors
/// When it has not been built.
pub fn agent_without_tls(node: &Agent) -> Result<Attestor> {
    let data = json!({ "keylime_agent_port": node.port() });
    Ok(Attestor::new(programs::built("keylime-attestor-agent")?, data))
}

/// The agent plugin for a node whose Keylime agent opens no port, by the quoter beside it.
///
/// # Errors
/// When it has not been built.
pub fn agent_by_quoter(socket: &Path) -> Result<Attestor> {
    let data = json!({ "keylime_agent_socket": socket });
    Ok(Attestor::new(programs::built("keylime-attestor-agent")?, data))
}

/// The SPIFFE ID that a node gets.
pub fn spiffe_id(node: &Agent) -> String {
    spiffe_id_of(node.id())
}

/// The SPIFFE ID of the node with this id in Keylime.
pub fn spiffe_id_of(id: &str) -> String {
    format!("spiffe://{TRUST_DOMAIN}/spire/agent/keylime/{id}")
}
