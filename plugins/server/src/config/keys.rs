//! The keys, with their defaults.

use evidence::AgentPathTemplate;
use spire_plugin::ConfigKey;

use crate::{binding, enforcement};

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
    ConfigKey {
        name: "client_address",
        default: "any",
        about: "any, or verifier: the agent has to connect from the address that Keylime's verifier has for it (SPIRE 1.15 or later)",
    },
    ConfigKey {
        name: "request_timeout",
        default: "10s",
        about: "longest time for one request to Keylime, and for the apiserver's word on a token",
    },
    ConfigKey {
        name: "challenge_timeout",
        default: "30s",
        about: "longest time for the node's answer to the challenge",
    },
];

/// Every key, those of blocks with the block's name before them.
pub(crate) fn keys() -> Vec<ConfigKey> {
    KEYS.iter().chain(&binding::KEYS).chain(&enforcement::KEYS).copied().collect()
}
