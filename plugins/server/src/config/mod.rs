//! The plugin's configuration: `plugin_data` of `NodeAttestor "keylime"` in SPIRE's server
//! configuration.

mod clients;
mod keys;

use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use evidence::{AgentId, AgentPathTemplate, InvalidAgentPath, InvalidMetadataKey, MetadataKey, NodeState};
use hcl::Fields;
use keylime::{IdentityFiles, PinnedServer, Servers};
use spire_plugin::TrustDomain;

pub(crate) use keys::keys;

use crate::binding::{self, Binding};
use crate::client_address::ClientAddress;
use crate::enforcement::{self, Spire};
use clients::{REQUEST_TIMEOUT, report_tls, servers, tls_files};

/// The configuration of an attestation, complete and valid.
pub(crate) struct Config {
    pub(crate) servers: Servers,
    pub(crate) max_attestation_age: Option<Duration>,
    /// Set once the log has told that it is too short.
    warned_of_interval: AtomicBool,
    pub(crate) can_reattest: bool,
    pub(crate) allowed_metadata_keys: Vec<MetadataKey>,
    pub(crate) challenge_timeout: Duration,
    pub(crate) client_address: ClientAddress,
    /// [`None`]: no token is asked for, and one that comes is not looked at.
    pub(crate) binding: Option<Binding>,
    /// [`None`]: agents are not watched.
    pub(crate) enforcement: Option<enforcement::Settings>,
    /// [`Some`] where enforcement has the address of a report.
    spire: OnceLock<Option<Spire>>,
    pub(crate) report_tls: Option<PinnedServer>,
    trust_domain: TrustDomain,
    plugin_name: String,
    agent_path: AgentPathTemplate,
}

impl Config {
    /// The SPIFFE ID of the agent on a node.
    pub(crate) fn spiffe_id(&self, agent_id: &AgentId) -> Result<String, InvalidAgentPath> {
        self.agent_path.render(self.trust_domain.as_str(), &self.plugin_name, agent_id)
    }

    /// Tells, once, that nodes are refused between two of their quotes.
    pub(crate) fn warn_of_interval(&self, node: &NodeState) {
        let Some(interval) = node.interval_beyond(self.max_attestation_age) else { return };
        if !self.warned_of_interval.swap(true, Ordering::Relaxed) {
            tracing::warn!(
                max_attestation_age_s = self.max_attestation_age.map(|age| age.as_secs()),
                quote_interval_s = interval.as_secs(),
                "max_attestation_age is not longer than the verifier's quote_interval: agents that pass are refused between two quotes; make it longer"
            );
        }
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
    let own = IdentityFiles { cert: tls.cert.clone(), key: tls.key.clone() };
    let request_timeout = duration(&mut fields, REQUEST_TIMEOUT, 10);
    let servers = servers(&mut fields, tls, request_timeout);
    let max_attestation_age = duration(&mut fields, "max_attestation_age", 5 * 60);
    let can_reattest = fields.take("can_reattest").unwrap_or(true);
    let plugin_name = plugin_name(&mut fields);
    let agent_path = agent_path(&mut fields, trust_domain, &plugin_name);
    let allowed_metadata_keys = metadata_keys(&mut fields);
    let challenge_timeout = challenge_timeout(&mut fields);
    let client_address = fields.take("client_address").unwrap_or_default();
    let binding = binding::take(&mut fields, request_timeout);
    let enforcement = enforcement::Settings::take(&mut fields);
    // Without the problems of the files, which are among those of the servers.
    let client = enforcement.as_ref().filter(|_| servers.is_some());
    let client = client.and_then(|settings| settings.report_address.and(settings.report_client));
    let report_tls = client.and_then(|client| report_tls(&mut fields, own, client));

    let problems: Vec<String> = fields.finish().iter().map(ToString::to_string).collect();
    match (servers, agent_path) {
        (Some(servers), Some(agent_path)) if problems.is_empty() => Ok(Config {
            servers,
            max_attestation_age: Some(max_attestation_age).filter(|age| !age.is_zero()),
            warned_of_interval: AtomicBool::new(false),
            can_reattest,
            allowed_metadata_keys,
            challenge_timeout,
            client_address,
            binding,
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
