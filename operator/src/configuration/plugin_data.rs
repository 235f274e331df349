//! The plugins' own configuration, `plugin_data`, from the resource.

use hcl::edit::Variables;
use keylime::KeyHash;
use keylime_attestor_api::names::{TOKEN_AUDIENCE, path, secret_key};
use keylime_attestor_api::{
    Action, AgentAddress, Duration, Enforcement, KeylimeAgent, KeylimeAttestorSpec, Verifier,
};
use serde_json::{Map, Value, json};

use super::socket;
use crate::model::binding::Tokens;
use crate::model::target::Asked;

/// The settings that are not of the resource.
pub(crate) struct FoundOut<'a> {
    /// The flags of SPIRE's container.
    pub(crate) flags: &'a [String],
    /// The key of the client that the server's report answers.
    pub(crate) report_client: Option<KeyHash>,
    /// Absent where no tokens are sent and asked for.
    pub(crate) tokens: Option<&'a Tokens>,
}

/// The `plugin_data` of a workload. Every setting of the resource is written out, so that a default
/// that differs between two versions of the plugin has no effect.
///
/// The server's goes into the configuration `original`, which SPIRE reads with the flags.
pub(crate) fn plugin_data(
    asked: &Asked,
    spec: &KeylimeAttestorSpec,
    found: &FoundOut<'_>,
    (original, variables): (&str, Variables),
) -> Result<Map<String, Value>, hcl::Error> {
    let FoundOut { flags, report_client, tokens } = found;
    let data = match &asked.keylime_agent {
        None => {
            let enforcement = spec.enforcement.as_ref();
            let socket = enforcement.map(|_| socket::server_api(flags, original, variables)).transpose()?;
            let reported = enforcement.zip(socket).zip(*report_client);
            let reported = reported
                .map(|((enforcement, socket), client)| enforcement_block(enforcement, &socket, client));
            server(spec, reported, tokens.map(|tokens| kubernetes_block(spec, tokens)))
        }
        Some(keylime_agent) => agent(keylime_agent, &spec.keylime.request_timeout, tokens.is_some()),
    };
    Ok(present(data))
}

fn server(
    spec: &KeylimeAttestorSpec,
    enforcement: Option<Value>,
    kubernetes: Option<Value>,
) -> Vec<(&'static str, Option<Value>)> {
    let KeylimeAttestorSpec { keylime, spire, attestation, nodes: _, enforcement: _, rollout: _, suspend: _ } =
        spec;
    let (first, others) = (keylime.verifiers.first(), keylime.verifiers.others());
    let registrar_host = keylime.registrar.host.as_ref().unwrap_or(&first.host);
    let metadata_keys = &attestation.allowed_metadata_keys;
    vec![
        ("keylime_verifier_host", Some(json!(first.host))),
        ("keylime_verifier_port", Some(json!(first.port))),
        ("keylime_verifiers", (!others.is_empty()).then(|| json!(addresses(others)))),
        ("keylime_registrar_host", Some(json!(registrar_host))),
        ("keylime_registrar_port", Some(json!(keylime.registrar.port))),
        ("keylime_tls_ca_cert_file", Some(file(secret_key::CA))),
        ("keylime_tls_cert_file", Some(file(secret_key::CERTIFICATE))),
        ("keylime_tls_key_file", Some(file(secret_key::PRIVATE_KEY))),
        ("keylime_tls_server_name", keylime.tls.server_name.as_ref().map(|name| json!(name))),
        ("max_attestation_age", Some(json!(attestation.max_attestation_age.as_str()))),
        ("can_reattest", Some(json!(attestation.can_reattest))),
        ("plugin_name", Some(json!(spire.plugin_name))),
        ("agent_path_template", Some(json!(attestation.agent_path_template))),
        ("allowed_metadata_keys", (!metadata_keys.is_empty()).then(|| json!(metadata_keys))),
        ("request_timeout", Some(json!(keylime.request_timeout.as_str()))),
        ("challenge_timeout", Some(json!(attestation.challenge_timeout.as_str()))),
        ("enforcement", enforcement),
        ("kubernetes", kubernetes),
    ]
}

/// The addresses of verifiers as `host:port`, an IPv6 address in brackets.
fn addresses(verifiers: &[Verifier]) -> Vec<String> {
    let address = |Verifier { host, port }: &Verifier| match host.contains(':') {
        true => format!("[{host}]:{port}"),
        false => format!("{host}:{port}"),
    };
    verifiers.iter().map(address).collect()
}

fn enforcement_block(enforcement: &Enforcement, socket: &str, client: KeyHash) -> Value {
    let Enforcement {
        action,
        interval,
        grace,
        unreachable_grace,
        max_per_interval,
        max_unhealthy,
        report_port,
    } = enforcement;
    let action = match action {
        Action::Observe => "observe",
        Action::Evict => "evict",
        Action::Ban => "ban",
    };
    json!({
        "action": action,
        "spire_socket_path": socket,
        "interval": interval.as_str(),
        "grace": grace.as_str(),
        "unreachable_grace": unreachable_grace.as_str(),
        "max_per_interval": max_per_interval,
        "max_unhealthy": max_unhealthy.to_string(),
        // The pods' addresses are not known here, and may be of either family: [::] takes both.
        "report_address": format!("[::]:{report_port}"),
        "report_client_key_sha256": client.to_string(),
    })
}

fn kubernetes_block(spec: &KeylimeAttestorSpec, tokens: &Tokens) -> Value {
    let label_keys = &spec.attestation.allowed_node_label_keys;
    let block = [
        ("service_accounts", Some(json!(tokens.service_accounts))),
        ("audience", Some(json!(TOKEN_AUDIENCE))),
        ("binding", Some(json!(if tokens.required { "require" } else { "prefer" }))),
        ("allowed_node_label_keys", (!label_keys.is_empty()).then(|| json!(label_keys))),
    ];
    Value::Object(present(block))
}

/// The settings that are there.
fn present(settings: impl IntoIterator<Item = (&'static str, Option<Value>)>) -> Map<String, Value> {
    settings.into_iter().filter_map(|(key, value)| Some((key.to_owned(), value?))).collect()
}

fn agent(
    agent: &KeylimeAgent,
    request_timeout: &Duration,
    sends_token: bool,
) -> Vec<(&'static str, Option<Value>)> {
    let mut settings = match agent.address() {
        AgentAddress::Socket(socket) => {
            let name = socket.rsplit('/').next().unwrap_or(socket);
            vec![("keylime_agent_socket", Some(json!(format!("{}/{name}", path::QUOTER))))]
        }
        AgentAddress::Port { host, port, tls } => {
            let pinned = tls.filter(|tls| tls.pin_server_certificate);
            vec![
                ("keylime_agent_host", Some(json!(host))),
                ("keylime_agent_port", Some(json!(port))),
                ("keylime_tls_cert_file", tls.map(|_| file(secret_key::CERTIFICATE))),
                ("keylime_tls_key_file", tls.map(|_| file(secret_key::PRIVATE_KEY))),
                ("keylime_tls_server_cert_file", pinned.map(|_| file(secret_key::PINNED_CERTIFICATE))),
            ]
        }
    };
    let token = sends_token.then(|| json!(format!("{}/{}", path::TOKEN, path::TOKEN_FILE)));
    settings.push(("service_account_token_file", token));
    settings.push(("request_timeout", Some(json!(request_timeout.as_str()))));
    settings
}

fn file(key: &str) -> Value {
    json!(format!("{}/{key}", path::TLS))
}
