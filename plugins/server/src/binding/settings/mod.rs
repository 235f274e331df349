//! The block `kubernetes` of the plugin's configuration.

use std::env;
use std::str::FromStr;
use std::time::Duration;

use evidence::binding::{InvalidName, LabelKey, ServiceAccount, TokenRules};
use hcl::Fields;
use keylime::{Endpoint, InvalidEndpoint};
use kubernetes::{Apiserver, ApiserverConfig, Setting};
use serde::Deserialize;
use spire_plugin::ConfigKey;

use super::Binding;

const BLOCK: &str = "kubernetes";
const SERVICE_ACCOUNTS: &str = "service_accounts";
const AUDIENCE: &str = "audience";
const LABEL_KEYS: &str = "allowed_node_label_keys";
const APISERVER: &str = "apiserver";
const CA_FILE: &str = "ca_file";
const TOKEN_FILE: &str = "token_file";

const DEFAULT_AUDIENCE: &str = "keylime-attestor";
const DEFAULT_CA_FILE: &str = "/var/run/secrets/kubernetes.io/serviceaccount/ca.crt";
const DEFAULT_TOKEN_FILE: &str = "/var/run/secrets/kubernetes.io/serviceaccount/token";

/// Longest audience, in bytes.
const MAX_AUDIENCE: usize = 255;

/// The keys in the block, for `--help` and the plugin's README.
pub(crate) const KEYS: [ConfigKey; 7] = [
    ConfigKey {
        name: "kubernetes.service_accounts",
        default: "none; required in the block",
        about: "list of the service accounts of SPIRE's agents, each namespace:name; without the block no token is asked for",
    },
    ConfigKey {
        name: "kubernetes.audience",
        default: DEFAULT_AUDIENCE,
        about: "audience that the agents' tokens are for",
    },
    ConfigKey {
        name: "kubernetes.binding",
        default: "require",
        about: "require: no agent is let in without a token; prefer: agents without one are let in and logged, for a rollout; a bad token is refused by both",
    },
    ConfigKey {
        name: "kubernetes.allowed_node_label_keys",
        default: "none",
        about: "list of the keys of the Node's labels that become selectors",
    },
    ConfigKey {
        name: "kubernetes.apiserver",
        default: "KUBERNETES_SERVICE_HOST and _PORT, else kubernetes.default.svc:443",
        about: "host:port of the cluster's apiserver",
    },
    ConfigKey {
        name: "kubernetes.ca_file",
        default: DEFAULT_CA_FILE,
        about: "the only CA certificates that the apiserver is trusted by (PEM)",
    },
    ConfigKey {
        name: "kubernetes.token_file",
        default: DEFAULT_TOKEN_FILE,
        about: "token of the SPIRE server's own account, which asks the apiserver; read for each attestation",
    },
];

/// The settings of the binding, complete and valid.
#[derive(Debug)]
pub(super) struct Settings {
    pub(super) mode: Mode,
    pub(super) rules: TokenRules,
    pub(super) allowed_node_label_keys: Vec<LabelKey>,
}

/// What becomes of an agent without a token.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub(super) enum Mode {
    /// It is refused.
    #[default]
    Require,
    /// It is let in, and logged.
    Prefer,
}

/// Takes the block out of the configuration; [`None`] without one, and after problems were noted.
pub(crate) fn take(fields: &mut Fields, request_timeout: Duration) -> Option<Binding> {
    let mut block = fields.block(BLOCK)?;
    let settings = Settings {
        mode: block.take("binding").unwrap_or_default(),
        rules: TokenRules { service_accounts: service_accounts(&mut block), audience: audience(&mut block) },
        allowed_node_label_keys: names(&mut block, LABEL_KEYS),
    };
    let apiserver = apiserver(&mut block, request_timeout);
    fields.absorb(block);
    Some(Binding { settings, apiserver: apiserver? })
}

fn service_accounts(block: &mut Fields) -> Vec<ServiceAccount> {
    let accounts: Option<Vec<String>> = block.take(SERVICE_ACCOUNTS);
    if accounts.as_ref().is_none_or(Vec::is_empty) {
        block.problem(SERVICE_ACCOUNTS, "expected at least one service account, namespace:name, got none");
    }
    parsed(block, SERVICE_ACCOUNTS, &accounts.unwrap_or_default())
}

fn audience(block: &mut Fields) -> String {
    let audience = text_or(block, AUDIENCE, DEFAULT_AUDIENCE);
    if audience.len() > MAX_AUDIENCE || !audience.bytes().all(|byte| byte.is_ascii_graphic()) {
        block.problem(AUDIENCE, "expected at most 255 printable characters of ASCII, without blanks");
    }
    audience
}

fn apiserver(block: &mut Fields, request_timeout: Duration) -> Option<Apiserver> {
    let endpoint = endpoint(block);
    let ca = text_or(block, CA_FILE, DEFAULT_CA_FILE).into();
    let token = text_or(block, TOKEN_FILE, DEFAULT_TOKEN_FILE).into();
    let problems = match Apiserver::new(ApiserverConfig { endpoint: endpoint?, ca, token, request_timeout }) {
        Ok(apiserver) => return Some(apiserver),
        Err(problems) => problems,
    };
    for problem in problems {
        match problem.setting {
            Setting::CaFile => block.problem(CA_FILE, problem.text),
            Setting::TokenFile => block.problem(TOKEN_FILE, problem.text),
            // Told by the clients of Keylime's servers, which have the same one.
            Setting::RequestTimeout => {}
        }
    }
    None
}

/// The apiserver: the one that is named, else that of the pod, whose environment SPIRE hands on.
/// After a problem any one does, so that the settings beside it are still checked.
fn endpoint(block: &mut Fields) -> Option<Endpoint> {
    let named = text_or(block, APISERVER, "");
    let endpoint = if named.is_empty() {
        let variable = |name| env::var(name).ok().filter(|value| !value.is_empty());
        of_pod(variable("KUBERNETES_SERVICE_HOST"), variable("KUBERNETES_SERVICE_PORT"))
    } else {
        named.parse().map_err(|error: InvalidEndpoint| error.to_string())
    };
    endpoint
        .map_err(|problem| block.problem(APISERVER, problem))
        .ok()
        .or_else(|| Endpoint::new("localhost", 1).ok())
}

fn of_pod(host: Option<String>, port: Option<String>) -> Result<Endpoint, String> {
    let port = port.as_deref().unwrap_or("443");
    let port =
        port.parse().map_err(|_| format!("expected a port in KUBERNETES_SERVICE_PORT, got {port:?}"))?;
    let host = host.as_deref().unwrap_or("kubernetes.default.svc");
    Endpoint::new(host, port).map_err(|error| format!("KUBERNETES_SERVICE_HOST: {error}"))
}

fn names<T: FromStr<Err = InvalidName>>(block: &mut Fields, key: &'static str) -> Vec<T> {
    let texts: Vec<String> = block.take(key).unwrap_or_default();
    parsed(block, key, &texts)
}

fn parsed<T: FromStr<Err = InvalidName>>(block: &mut Fields, key: &'static str, texts: &[String]) -> Vec<T> {
    let names = texts.iter().map(|text| text.parse().map_err(|error| block.problem(key, error)));
    names.filter_map(Result::ok).collect()
}

/// A text. An empty one is the default.
fn text_or(block: &mut Fields, key: &'static str, default: &str) -> String {
    block.take(key).filter(|text: &String| !text.is_empty()).unwrap_or_else(|| default.to_owned())
}

#[cfg(test)]
mod tests;
