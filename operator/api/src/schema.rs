//! The common schemas of the fields: texts, numbers and rules. Each text has an upper length, which
//! also bounds the cost of the rules.

use schemars::{Schema, SchemaGenerator, json_schema};
use serde::Serialize;

/// A rule that the apiserver evaluates, an element of `x-kubernetes-validations`.
#[derive(Serialize)]
pub(crate) struct Rule {
    /// The rule in CEL; `self` is the value that it is attached to.
    pub(crate) rule: &'static str,
    /// The message for the user: the broken rule, its reason, and the remedy.
    pub(crate) message: &'static str,
}

/// A host without scheme and port: a DNS name, an IPv4 address, or an IPv6 address without
/// brackets.
pub(crate) fn host(_: &mut SchemaGenerator) -> Schema {
    text(253, HOST)
}

/// A TCP port. Without a format of its own: kubectl warns about schemars' `uint16`.
pub(crate) fn port(_: &mut SchemaGenerator) -> Schema {
    json_schema!({"type": "integer", "format": "int32", "minimum": 1, "maximum": 65535})
}

/// The name of an object whose kind takes DNS subdomains, as most do (RFC 1123).
pub(crate) fn object_name(_: &mut SchemaGenerator) -> Schema {
    text(253, SUBDOMAIN)
}

/// As [`object_name`], with room for the suffix of the derived ConfigMap.
pub(crate) fn config_map_name(_: &mut SchemaGenerator) -> Schema {
    text(253 - crate::names::SUFFIX.len(), SUBDOMAIN)
}

/// The name of a container or a namespace (RFC 1123 label).
pub(crate) fn label_name(_: &mut SchemaGenerator) -> Schema {
    text(63, "^[a-z0-9]([a-z0-9-]*[a-z0-9])?$")
}

/// An architecture, as Kubernetes names it: a value of the label kubernetes.io/arch.
pub(crate) fn architecture(_: &mut SchemaGenerator) -> Schema {
    text(32, "^[a-z0-9]+$")
}

/// The id of an agent at Keylime, which is a segment of a path there.
pub(crate) fn agent_id(_: &mut SchemaGenerator) -> Schema {
    text(255, "^[A-Za-z0-9_.-]*[A-Za-z0-9_-][A-Za-z0-9_.-]*$")
}

/// A key of a ConfigMap, as the apiserver allows it.
pub(crate) fn config_map_key(_: &mut SchemaGenerator) -> Schema {
    text(253, "^[A-Za-z0-9_.-]+$")
}

/// The path of a file inside of a container.
pub(crate) fn absolute_path(_: &mut SchemaGenerator) -> Schema {
    text(1024, "^/[^:]*[^:/]$")
}

/// The socket of a quoter, in the one folder of a node that is mounted into SPIRE's agents. Its
/// name leaves room: in a container its path is longer, and a socket's has at most 107 bytes.
pub(crate) fn quoter_socket(_: &mut SchemaGenerator) -> Schema {
    text(88, "^/run/keylime-attestor/[A-Za-z0-9_][A-Za-z0-9_.-]*$")
}

/// Labels with their values, as the apiserver allows them on objects.
pub(crate) fn labels(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "object",
        "maxProperties": 32,
        "additionalProperties": {"type": "string", "maxLength": 63, "pattern": LABEL_VALUE},
    })
}

/// Keys of labels, as the apiserver allows them on objects.
pub(crate) fn label_keys(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "array",
        "maxItems": 64,
        "x-kubernetes-list-type": "set",
        "items": {"type": "string", "minLength": 1, "maxLength": 317, "pattern": LABEL_KEY},
    })
}

/// A [`Binding`](crate::Binding). Of its own type where it may be left out, its own text would take
/// the place of the field's.
pub(crate) fn binding(_: &mut SchemaGenerator) -> Schema {
    json_schema!({"type": "string", "enum": ["Require", "Prefer", "Off"]})
}

/// Expressions on labels, as in Kubernetes' own selectors, of which kube reads the very same.
pub(crate) fn label_expressions(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "array",
        "maxItems": 32,
        "items": {
            "type": "object",
            "required": ["key", "operator"],
            "properties": {
                "key": {
                    "description": "Key of the label.",
                    "type": "string",
                    "minLength": 1,
                    "maxLength": 317,
                    "pattern": LABEL_KEY,
                },
                "operator": {
                    "description": "How the label is compared: In and NotIn with the values, Exists and DoesNotExist by its key alone. NotIn and DoesNotExist also select nodes without the label.",
                    "type": "string",
                    "enum": ["In", "NotIn", "Exists", "DoesNotExist"],
                },
                "values": {
                    "description": "Values that In and NotIn compare with; with the other operators there are none.",
                    "type": "array",
                    "maxItems": 64,
                    "items": {"type": "string", "maxLength": 63, "pattern": LABEL_VALUE},
                },
            },
            "x-kubernetes-validations": [VALUES],
        },
    })
}

const VALUES: Rule = Rule {
    rule: "(self.operator in ['In', 'NotIn']) == (has(self.values) && size(self.values) > 0)",
    message: "values are needed with the operators In and NotIn, and not allowed with Exists and DoesNotExist",
};

/// Labels as the plugins and the resolver take them: with underscores, as services in container
/// networks have, and without hyphens at their ends.
const HOST: &str = "^([0-9A-Fa-f]*:[0-9A-Fa-f]*:[0-9A-Fa-f:.]*|\
    [A-Za-z0-9_]([A-Za-z0-9_-]*[A-Za-z0-9_])?(\\.[A-Za-z0-9_]([A-Za-z0-9_-]*[A-Za-z0-9_])?)*\\.?)$";

const LABEL_VALUE: &str = "^([A-Za-z0-9]([A-Za-z0-9_.-]*[A-Za-z0-9])?)?$";

/// A name, with a DNS subdomain before it or without.
const LABEL_KEY: &str = "^([a-z0-9]([a-z0-9.-]*[a-z0-9])?/)?[A-Za-z0-9]([A-Za-z0-9_.-]*[A-Za-z0-9])?$";

const SUBDOMAIN: &str = "^[a-z0-9]([a-z0-9-]*[a-z0-9])?(\\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*$";

fn text(max_length: usize, pattern: &str) -> Schema {
    json_schema!({"type": "string", "minLength": 1, "maxLength": max_length, "pattern": pattern})
}
