//! The plugin's configuration: `plugin_data` of `NodeAttestor "keylime"` in SPIRE's server
//! configuration.

use std::sync::OnceLock;
use std::time::Duration;

use evidence::{AgentId, AgentPathTemplate, InvalidAgentPath, InvalidMetadataKey, MetadataKey};
use hcl::{Fields, Port};
use keylime::{
    Endpoint, InvalidEndpoint, Servers, ServersConfig, Setting, SharedCertFiles, SharedCertServer, TlsFiles,
};
use spire_plugin::{ConfigKey, TrustDomain};

use crate::enforcement::{self, Spire};

const CA_FILE: &str = "keylime_tls_ca_cert_file";
const CERT_FILE: &str = "keylime_tls_cert_file";
const KEY_FILE: &str = "keylime_tls_key_file";
const SERVER_NAME: &str = "keylime_tls_server_name";
const REQUEST_TIMEOUT: &str = "request_timeout";
const VERIFIERS: &str = "keylime_verifiers";

/// Most verifiers beside the main one. Each attestation asks all of them.
const MAX_FURTHER_VERIFIERS: usize = 8;

/// Every key but those of blocks, for `--help` and the plugin's README. The Go plugin's keys and
/// defaults are among them, unchanged.
const KEYS: &[ConfigKey] = &[
    ConfigKey { name: "keylime_verifier_host", default: "127.0.0.1", about: "host of Keylime's verifier" },
    ConfigKey { name: "keylime_verifier_port", default: "8881", about: "its https port" },
    ConfigKey {
        name: "keylime_verifiers",
        default: "none",
        about: "list of further verifiers, each host:port; an agent belongs to the one that knows it",
    },
    ConfigKey {
        name: "keylime_registrar_host",
        default: "the verifier's host",
        about: "host of Keylime's registrar",
    },
    ConfigKey {
        name: "keylime_registrar_port",
        default: "8891",
        about: "its https port (not the http port of registrations)",
    },
    ConfigKey {
        name: "keylime_tls_ca_cert_file",
        default: "/var/lib/keylime/cv_ca/cacert.crt",
        about: "the only CA certificates that Keylime's servers are trusted by (PEM)",
    },
    ConfigKey {
        name: "keylime_tls_cert_file",
        default: "/var/lib/keylime/cv_ca/server-cert.crt",
        about: "client certificate for verifier and registrar (PEM; may hold the key as well)",
    },
    ConfigKey {
        name: "keylime_tls_key_file",
        default: "/var/lib/keylime/cv_ca/server-private.pem",
        about: "its key (PEM: PKCS#8, PKCS#1 or SEC 1)",
    },
    ConfigKey {
        name: "keylime_tls_server_name",
        default: "the host",
        about: "name expected in the certificates of Keylime's servers",
    },
    ConfigKey {
        name: "max_attestation_age",
        default: "5m",
        about: "how long ago the node may last have passed at the verifier; 0 turns the check off",
    },
    ConfigKey {
        name: "can_reattest",
        default: "true",
        about: "true: the agent renews by attesting again; false: a node attests once, until it is evicted (trust on first use)",
    },
    ConfigKey {
        name: "plugin_name",
        default: "keylime",
        about: "name that SPIRE's configuration gives the plugin",
    },
    ConfigKey {
        name: "agent_path_template",
        default: AgentPathTemplate::DEFAULT,
        about: "path of the agent's SPIFFE ID below /spire/agent; knows .PluginName, .AgentID and .TrustDomain",
    },
    ConfigKey {
        name: "allowed_metadata_keys",
        default: "none",
        about: "list of the keys of the agent's Keylime meta_data that become selectors",
    },
    ConfigKey { name: "request_timeout", default: "10s", about: "longest time for one request to Keylime" },
    ConfigKey {
        name: "challenge_timeout",
        default: "30s",
        about: "longest time for the node's answer to the challenge",
    },
];

/// Every key, those of blocks with the block's name before them.
pub(crate) fn keys() -> Vec<ConfigKey> {
    KEYS.iter().chain(&enforcement::KEYS).copied().collect()
}

/// The configuration of an attestation, complete and valid.
pub(crate) struct Config {
    pub(crate) servers: Servers,
    pub(crate) max_attestation_age: Option<Duration>,
    pub(crate) can_reattest: bool,
    pub(crate) allowed_metadata_keys: Vec<MetadataKey>,
    pub(crate) challenge_timeout: Duration,
    /// [`None`]: agents are not watched.
    pub(crate) enforcement: Option<enforcement::Settings>,
    /// [`Some`] where enforcement has the address of a report.
    spire: OnceLock<Option<Spire>>,
    pub(crate) report_tls: Option<SharedCertServer>,
    trust_domain: TrustDomain,
    plugin_name: String,
    agent_path: AgentPathTemplate,
}

impl Config {
    /// The SPIFFE ID of the agent on a node.
    pub(crate) fn spiffe_id(&self, agent_id: &AgentId) -> Result<String, InvalidAgentPath> {
        self.agent_path.render(self.trust_domain.as_str(), &self.plugin_name, agent_id)
    }

    /// The name that SPIRE's configuration gives the plugin: the attestation type of its agents.
    pub(crate) fn plugin_name(&self) -> &str {
        &self.plugin_name
    }

    /// SPIRE's own server, where enforcement names its socket. Connects when it is first used.
    pub(crate) fn spire(&self) -> Option<&Spire> {
        let settings = self.enforcement.as_ref()?;
        self.spire.get_or_init(|| Spire::at(&settings.socket)).as_ref()
    }

    /// SPIRE's trust domain.
    pub(crate) fn trust_domain(&self) -> &str {
        self.trust_domain.as_str()
    }
}

/// Reads `plugin_data` and the files it names, and makes no connection.
///
/// # Errors
/// Every problem of the text and of the files.
pub(crate) fn read(trust_domain: &TrustDomain, text: &str) -> Result<Config, Vec<String>> {
    let mut fields = Fields::parse(text).map_err(|error| vec![error.to_string()])?;
    let tls = tls_files(&mut fields);
    let shared_cert = SharedCertFiles { cert: tls.cert.clone(), key: tls.key.clone() };
    let servers = servers(&mut fields, tls);
    let max_attestation_age = duration(&mut fields, "max_attestation_age", 5 * 60);
    let can_reattest = fields.take("can_reattest").unwrap_or(true);
    let plugin_name = plugin_name(&mut fields);
    let agent_path = agent_path(&mut fields, trust_domain, &plugin_name);
    let allowed_metadata_keys = metadata_keys(&mut fields);
    let challenge_timeout = challenge_timeout(&mut fields);
    let enforcement = enforcement::Settings::take(&mut fields);
    // Without the problems of the files, which are among those of the servers.
    let report_tls = enforcement
        .as_ref()
        .filter(|settings| servers.is_some() && settings.report_address.is_some())
        .and_then(|_| report_tls(&mut fields, shared_cert));

    let problems: Vec<String> = fields.finish().iter().map(ToString::to_string).collect();
    match (servers, agent_path) {
        (Some(servers), Some(agent_path)) if problems.is_empty() => Ok(Config {
            servers,
            max_attestation_age: Some(max_attestation_age).filter(|age| !age.is_zero()),
            can_reattest,
            allowed_metadata_keys,
            challenge_timeout,
            enforcement,
            spire: OnceLock::new(),
            report_tls,
            trust_domain: trust_domain.clone(),
            plugin_name,
            agent_path,
        }),
        _ => Err(problems),
    }
}

/// The clients of Keylime's servers, or [`None`] after problems were noted.
fn servers(fields: &mut Fields, tls: TlsFiles) -> Option<Servers> {
    let verifier_host = text_or(fields, "keylime_verifier_host", "127.0.0.1");
    let verifier =
        endpoint(fields, ("keylime_verifier_host", &verifier_host), ("keylime_verifier_port", 8881));
    let mut verifiers = Vec::from_iter(verifier);
    verifiers.extend(further_verifiers(fields));
    let registrar_host = text_or(fields, "keylime_registrar_host", &verifier_host);
    let registrar =
        endpoint(fields, ("keylime_registrar_host", &registrar_host), ("keylime_registrar_port", 8891));
    let request_timeout = duration(fields, REQUEST_TIMEOUT, 10);
    let config = ServersConfig { verifiers, registrar: registrar?, tls, request_timeout };
    let problems = match Servers::new(config) {
        Ok(servers) => return Some(servers),
        Err(problems) => problems,
    };
    for problem in problems {
        fields.problem(key_of(problem.setting), problem);
    }
    None
}

fn tls_files(fields: &mut Fields) -> TlsFiles {
    TlsFiles {
        ca: text_or(fields, CA_FILE, "/var/lib/keylime/cv_ca/cacert.crt").into(),
        cert: text_or(fields, CERT_FILE, "/var/lib/keylime/cv_ca/server-cert.crt").into(),
        key: text_or(fields, KEY_FILE, "/var/lib/keylime/cv_ca/server-private.pem").into(),
        server_name: Some(text_or(fields, SERVER_NAME, "")).filter(|name| !name.is_empty()),
    }
}

fn report_tls(fields: &mut Fields, files: SharedCertFiles) -> Option<SharedCertServer> {
    let problems = match SharedCertServer::new(files) {
        Ok(server) => return Some(server),
        Err(problems) => problems,
    };
    for problem in problems {
        fields.problem(key_of(problem.setting), problem);
    }
    None
}

fn key_of(setting: Setting) -> &'static str {
    match setting {
        Setting::CaFile => CA_FILE,
        Setting::CertFile => CERT_FILE,
        Setting::KeyFile | Setting::PinnedFile => KEY_FILE,
        Setting::ServerName => SERVER_NAME,
        Setting::RequestTimeout => REQUEST_TIMEOUT,
        Setting::Endpoint => VERIFIERS,
    }
}

/// An endpoint. After a problem any one does, so that the settings beside it are still checked.
fn endpoint(fields: &mut Fields, host: (&'static str, &str), port: (&'static str, u16)) -> Option<Endpoint> {
    let port = fields.take(port.0).map_or(port.1, Port::get);
    let endpoint = Endpoint::new(host.1, port).or_else(|error| {
        fields.problem(host.0, error);
        Endpoint::new("localhost", port)
    });
    endpoint.ok()
}

fn further_verifiers(fields: &mut Fields) -> Vec<Endpoint> {
    let texts: Vec<String> = fields.take(VERIFIERS).unwrap_or_default();
    if texts.len() > MAX_FURTHER_VERIFIERS {
        let text = format!("expected at most {MAX_FURTHER_VERIFIERS} verifiers, got {}", texts.len());
        fields.problem(VERIFIERS, text);
        return Vec::new();
    }
    let endpoints = texts
        .iter()
        .map(|text| text.parse().map_err(|error: InvalidEndpoint| fields.problem(VERIFIERS, error)));
    endpoints.filter_map(Result::ok).collect()
}

/// The plugin's name. After a problem the default does, so that the template is still checked.
fn plugin_name(fields: &mut Fields) -> String {
    const KEY: &str = "plugin_name";
    const DEFAULT: &str = "keylime";
    let name = text_or(fields, KEY, DEFAULT);
    match evidence::check_plugin_name(&name) {
        Ok(()) => name,
        Err(error) => {
            fields.problem(KEY, error);
            DEFAULT.to_owned()
        }
    }
}

fn agent_path(
    fields: &mut Fields,
    trust_domain: &TrustDomain,
    plugin_name: &str,
) -> Option<AgentPathTemplate> {
    const KEY: &str = "agent_path_template";
    let template = text_or(fields, KEY, AgentPathTemplate::DEFAULT);
    let template = AgentPathTemplate::parse(&template).map_err(|error| fields.problem(KEY, error)).ok()?;
    template.check(trust_domain.as_str(), plugin_name).map_err(|error| fields.problem(KEY, error)).ok()?;
    Some(template)
}

fn metadata_keys(fields: &mut Fields) -> Vec<MetadataKey> {
    const KEY: &str = "allowed_metadata_keys";
    let texts: Vec<String> = fields.take(KEY).unwrap_or_default();
    let keys =
        texts.iter().map(|text| text.parse().map_err(|error: InvalidMetadataKey| fields.problem(KEY, error)));
    keys.filter_map(Result::ok).collect()
}

fn challenge_timeout(fields: &mut Fields) -> Duration {
    const KEY: &str = "challenge_timeout";
    let timeout = duration(fields, KEY, 30);
    if timeout.is_zero() {
        fields.problem(KEY, "expected more than 0");
    }
    timeout
}

fn duration(fields: &mut Fields, key: &'static str, default_seconds: u64) -> Duration {
    fields.take(key).map_or(Duration::from_secs(default_seconds), hcl::Duration::get)
}

/// A text. An empty one is the default, as for the Go plugin.
fn text_or(fields: &mut Fields, key: &'static str, default: &str) -> String {
    fields.take(key).filter(|text: &String| !text.is_empty()).unwrap_or_else(|| default.to_owned())
}
