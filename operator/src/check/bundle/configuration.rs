//! Entries of ConfigMaps: SPIRE's configuration and that of spire-controller-manager, of which the
//! settings are shown that hold no secret. A datastore's connection string is not among them, nor
//! is anything of a plugin that is not ours.

use hcl::edit::Variables;
use keylime_attestor_api::names::path;
use serde_json::{Map, Value};

use super::redact::redact;
use super::shown::{length, whole};

/// Settings whose texts are shown.
const KNOWN: &[&str] = &[
    "apiVersion",
    "bind_address",
    "bind_port",
    "bindAddress",
    "ca_key_type",
    "ca_ttl",
    "className",
    "clusterDomain",
    "clusterName",
    "data_dir",
    "database_type",
    "default_jwt_svid_ttl",
    "default_x509_svid_ttl",
    "healthProbeBindAddress",
    "ignoreNamespaces",
    "kind",
    "live_path",
    "log_file",
    "log_format",
    "log_level",
    "parentIDTemplate",
    "plugin_checksum",
    "plugin_cmd",
    "ready_path",
    "resourceName",
    "resourceNamespace",
    "server_address",
    "server_port",
    "socket_path",
    "spiffeIDTemplate",
    "spireServerSocketPath",
    "trust_bundle_path",
    "trust_domain",
    "trustDomain",
    "validatingWebhookConfigurationName",
];

/// The entries of a ConfigMap. One that is no configuration is told by its length.
pub(super) fn entries(entries: &Map<String, Value>) -> Map<String, Value> {
    let one = |(key, value): (&String, &Value)| {
        let text = value.as_str().unwrap_or_default();
        (redact(key), parsed(text).map_or_else(|| length(text), |parsed| walk(&parsed, "")))
    };
    entries.iter().map(one).collect()
}

/// HCL, JSON or YAML; only an object is a configuration.
fn parsed(text: &str) -> Option<Value> {
    let hcl = hcl::from_str_as::<Value>(text, Variables::Expanded);
    let hcl = hcl.or_else(|_| hcl::from_str_as::<Value>(text, Variables::Kept));
    let parsed = hcl.ok().or_else(|| serde_yaml::from_str(text).ok());
    parsed.filter(Value::is_object)
}

fn walk(value: &Value, key: &str) -> Value {
    match value {
        Value::String(text) if KNOWN.contains(&key) => Value::String(redact(text)),
        Value::String(text) => length(text),
        Value::Number(_) if KNOWN.contains(&key) => value.clone(),
        Value::Number(_) => Value::String("<number>".to_owned()),
        Value::Array(items) => items.iter().map(|item| walk(item, key)).collect(),
        // Our own plugin's, which holds names of files instead of what is in them.
        Value::Object(fields) if is_ours(fields) => whole(value),
        Value::Object(fields) => {
            fields.iter().map(|(key, value)| (redact(key), walk(value, key))).collect::<Map<_, _>>().into()
        }
        Value::Null | Value::Bool(_) => value.clone(),
    }
}

fn is_ours(plugin: &Map<String, Value>) -> bool {
    let command = plugin.get("plugin_cmd").and_then(Value::as_str);
    command.is_some_and(|command| command.starts_with(path::PLUGIN))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const SERVER: &str = r#"
        server { trust_domain = "example.org" bind_port = "8081" ca_subject { common_name = "hunter2" } }
        plugins {
            DataStore "sql" { plugin_data { database_type = "postgres" connection_string = "password=hunter2" pin = 12345678 } }
            NodeAttestor "keylime" {
                plugin_cmd = "/run/keylime-attestor/plugin/keylime-attestor-server"
                plugin_data { keylime_verifier_host = "keylime.example" keylime_verifier_port = 8881 }
            }
            NodeAttestor "other" { plugin_data { keylime_verifier_host = "hunter2" } }
        }"#;

    #[test]
    fn what_may_be_secret_is_not_shown_and_the_rest_is() {
        let given = json!({
            "server.conf": SERVER, "notes": "hunter2 hunter2", "damaged.conf": "server { hunter2 [",
            "controller-manager-config.yaml": "trustDomain: example.org\nother: hunter2\n",
            "text.json": "\"hunter2\"",
        });
        let shown = entries(given.as_object().unwrap());
        let text = serde_json::to_string(&shown).unwrap();
        assert!(!text.contains("hunter2") && !text.contains("12345678"), "{text}");
        for part in [
            r#""trust_domain":"example.org""#,
            r#""database_type":"postgres""#,
            r#""keylime_verifier_host":"keylime.example""#,
            r#""keylime_verifier_port":8881"#,
            r#""trustDomain":"example.org""#,
            r#""notes":"<15 bytes>""#,
            r#""damaged.conf":"<18 bytes>""#,
        ] {
            assert!(text.contains(part), "{part} is not in {text}");
        }
    }
}
