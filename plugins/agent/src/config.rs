//! The plugin's configuration: `plugin_data` of `NodeAttestor "keylime"` in SPIRE's agent
//! configuration.

use std::path::PathBuf;
use std::time::Duration;

use evidence::{AgentId, InvalidAgentId};
use hcl::{Fields, Port};
use keylime::{AgentTls, Endpoint, NodeAgent, NodeAgentConfig, Setting};
use kubernetes::TokenFile;
use spire_plugin::{ConfigKey, TrustDomain};

const HOST: &str = "keylime_agent_host";
const PORT: &str = "keylime_agent_port";
const SOCKET: &str = "keylime_agent_socket";
const AGENT_ID: &str = "keylime_agent_id";
const CERT_FILE: &str = "keylime_tls_cert_file";
const KEY_FILE: &str = "keylime_tls_key_file";
const PINNED_FILE: &str = "keylime_tls_server_cert_file";
const TOKEN_FILE: &str = "service_account_token_file";
const REQUEST_TIMEOUT: &str = "request_timeout";

/// Every key, for `--help` and the plugin's README. The Go plugin's keys and defaults are among
/// them, unchanged.
pub(crate) const KEYS: &[ConfigKey] = &[
    ConfigKey { name: HOST, default: "127.0.0.1", about: "host of the node's Keylime agent" },
    ConfigKey { name: PORT, default: "9002", about: "its port" },
    ConfigKey {
        name: SOCKET,
        default: "none",
        about: "unix socket of the node's keylime-attestor-quoter, where Keylime runs in push mode; in place of host, port and the files for https",
    },
    ConfigKey {
        name: AGENT_ID,
        default: "ask the Keylime agent",
        about: "the node's id in Keylime; needed where the Keylime agent has no /agent/info",
    },
    ConfigKey {
        name: CERT_FILE,
        default: "none: plain http, with a warning in the log",
        about: "client certificate of a CA that the Keylime agent trusts; turns https on (PEM; may hold the key as well)",
    },
    ConfigKey {
        name: KEY_FILE,
        default: "the certificate's file",
        about: "its key (PEM: PKCS#8, PKCS#1 or SEC 1)",
    },
    ConfigKey {
        name: PINNED_FILE,
        default: "none",
        about: "the Keylime agent's own certificate, compared byte for byte (PEM or DER); required with https when the host is not loopback",
    },
    ConfigKey {
        name: TOKEN_FILE,
        default: "none",
        about: "projected token of the SPIRE agent's own pod; read at each attestation, of which there is none without it",
    },
    ConfigKey {
        name: REQUEST_TIMEOUT,
        default: "10s",
        about: "longest time for one request to the Keylime agent",
    },
];

/// The configuration of an attestation, complete and valid.
pub(crate) struct Config {
    pub(crate) agent: NodeAgent,
    pub(crate) node: Node,
    /// That of the SPIRE agent.
    pub(crate) trust_domain: TrustDomain,
    /// [`None`]: the server is sent no token.
    pub(crate) service_account_token: Option<TokenFile>,
}

/// The source of the node's id.
pub(crate) enum Node {
    /// The configuration.
    Configured(AgentId),
    /// The Keylime agent, at each attestation.
    Asked,
}

/// Reads `plugin_data` and the files it names, and makes no connection.
///
/// # Errors
/// Every problem of the text and of the files.
pub(crate) fn read(trust_domain: &TrustDomain, text: &str) -> Result<Config, Vec<String>> {
    let mut fields = Fields::parse(text).map_err(|error| vec![error.to_string()])?;
    let agent = agent(&mut fields);
    let node = node(&mut fields);
    let service_account_token = token_file(&mut fields);
    let problems: Vec<String> = fields.finish().iter().map(ToString::to_string).collect();
    match agent {
        Some(agent) if problems.is_empty() => {
            Ok(Config { agent, node, trust_domain: trust_domain.clone(), service_account_token })
        }
        _ => Err(problems),
    }
}

/// The client of the Keylime agent, or [`None`] after problems were noted.
fn agent(fields: &mut Fields) -> Option<NodeAgent> {
    match text(fields, SOCKET) {
        Some(socket) => quoter(fields, socket.into()),
        None => agent_by_port(fields),
    }
}

/// The client of the quoter. Settings that would be without effect are problems: they tell of a
/// Keylime agent that somebody expects to be asked.
fn quoter(fields: &mut Fields, socket: PathBuf) -> Option<NodeAgent> {
    let port = fields.take::<Port>(PORT).is_some();
    let others = [HOST, CERT_FILE, KEY_FILE, PINNED_FILE].map(|key| (key, text(fields, key).is_some()));
    let mut alone = true;
    for (key, _) in others.into_iter().chain([(PORT, port)]).filter(|(_, given)| *given) {
        alone = false;
        fields.problem(key, "expected none beside keylime_agent_socket, got one; remove one of the two");
    }
    match NodeAgent::on_socket(socket, request_timeout(fields)) {
        Ok(agent) => alone.then_some(agent),
        Err(problems) => {
            for problem in problems {
                let key = if problem.setting == Setting::RequestTimeout { REQUEST_TIMEOUT } else { SOCKET };
                fields.problem(key, problem);
            }
            None
        }
    }
}

fn request_timeout(fields: &mut Fields) -> Duration {
    fields.take(REQUEST_TIMEOUT).map_or(Duration::from_secs(10), hcl::Duration::get)
}

/// The client of a Keylime agent that listens, or [`None`] after problems were noted.
fn agent_by_port(fields: &mut Fields) -> Option<NodeAgent> {
    let host = text(fields, HOST).unwrap_or_else(|| "127.0.0.1".to_owned());
    let port = fields.take(PORT).map_or(9002, Port::get);
    // After a problem any endpoint does, so that the settings beside it are still checked.
    let endpoint = Endpoint::new(&host, port).or_else(|error| {
        fields.problem(HOST, error);
        Endpoint::new("localhost", port)
    });
    let tls = tls(fields);
    let request_timeout = request_timeout(fields);
    let config = NodeAgentConfig { endpoint: endpoint.ok()?, tls: tls.ok()?, request_timeout };
    let plain_http = config.tls.is_none();
    match NodeAgent::new(config) {
        Ok(agent) => {
            if plain_http {
                tracing::warn!(
                    host,
                    port,
                    "the Keylime agent is asked over plain http; set keylime_tls_cert_file to use https"
                );
            }
            Some(agent)
        }
        Err(problems) => {
            problems.into_iter().for_each(|problem| fields.problem(key_of(problem.setting), problem));
            None
        }
    }
}

/// The files for TLS. A key or a pinned certificate without a client certificate must not end in
/// plain http.
fn tls(fields: &mut Fields) -> Result<Option<AgentTls>, ()> {
    let [cert, key, pinned] =
        [CERT_FILE, KEY_FILE, PINNED_FILE].map(|key| text(fields, key).map(PathBuf::from));
    match cert {
        Some(cert) => Ok(Some(AgentTls { key: key.unwrap_or_else(|| cert.clone()), cert, pinned })),
        None if key.is_none() && pinned.is_none() => Ok(None),
        None => {
            fields.problem(CERT_FILE, "expected a file, because other files for https are given, got none");
            Err(())
        }
    }
}

fn node(fields: &mut Fields) -> Node {
    let id = text(fields, AGENT_ID);
    let id = id.map(|id| id.parse().map_err(|error: InvalidAgentId| fields.problem(AGENT_ID, error)));
    match id {
        Some(Ok(id)) => Node::Configured(id),
        Some(Err(())) | None => Node::Asked,
    }
}

/// The file of the token, which has to hold one already.
fn token_file(fields: &mut Fields) -> Option<TokenFile> {
    let file = TokenFile::at(text(fields, TOKEN_FILE)?);
    if let Err(error) = file.read() {
        fields.problem(TOKEN_FILE, error);
    }
    Some(file)
}

fn key_of(setting: Setting) -> &'static str {
    match setting {
        Setting::CertFile => CERT_FILE,
        Setting::KeyFile => KEY_FILE,
        Setting::PinnedFile | Setting::CaFile => PINNED_FILE,
        Setting::RequestTimeout => REQUEST_TIMEOUT,
        Setting::Endpoint | Setting::ServerName => HOST,
    }
}

/// An empty text counts as not given, as for the Go plugin.
fn text(fields: &mut Fields, key: &'static str) -> Option<String> {
    fields.take(key).filter(|text: &String| !text.is_empty())
}
