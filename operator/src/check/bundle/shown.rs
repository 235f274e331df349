//! Objects as they are shown: of the resource's own kinds and of Events everything, of all others
//! the fields that are known to hold no secret. A text in any other field is told by its length.

use serde_json::{Map, Value};

use super::configuration;
use super::redact::redact;

/// Fields whose texts are shown.
const KNOWN: &[&str] = &[
    "address",
    "apiVersion",
    "architecture",
    "audience",
    "claimName",
    "conditionType",
    "containerID",
    "containerRuntimeVersion",
    "creationTimestamp",
    "currentRevision",
    "deletionTimestamp",
    "dnsPolicy",
    "driver",
    "effect",
    "fieldPath",
    "finishedAt",
    "generateName",
    "hostIP",
    "image",
    "imageID",
    "imagePullPolicy",
    "ip",
    "kernelVersion",
    "key",
    "kind",
    "kubeletVersion",
    "lastHeartbeatTime",
    "lastProbeTime",
    "lastTransitionTime",
    "lastUpdateTime",
    "maxSurge",
    "maxUnavailable",
    "message",
    "mountPath",
    "mountPropagation",
    "name",
    "namespace",
    "nodeName",
    "operatingSystem",
    "operator",
    "osImage",
    "path",
    "phase",
    "podIP",
    "podManagementPolicy",
    "port",
    "preemptionPolicy",
    "priorityClassName",
    "protocol",
    "qosClass",
    "reason",
    "resourceVersion",
    "restartPolicy",
    "scheme",
    "secretName",
    "serviceAccount",
    "serviceAccountName",
    "startTime",
    "startedAt",
    "status",
    "storageClassName",
    "subPath",
    "systemUUID",
    "terminationMessagePath",
    "terminationMessagePolicy",
    "topologyKey",
    "type",
    "uid",
    "updateRevision",
    "values",
    "whenUnsatisfiable",
];

/// Fields that are shown with all that is below them.
const KNOWN_BELOW: &[&str] =
    &["allocatable", "capacity", "labels", "limits", "matchLabels", "nodeSelector", "requests"];

/// The ends of the annotations' domains that are shown; what kubectl applied is the whole object.
const DOMAINS: &[&str] = &["spire.keylime.dev", "kubernetes.io", "k8s.io", "helm.sh"];
const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";

/// The object with every field, its texts without what [`redact`] takes out.
pub(super) fn whole(object: &Value) -> Value {
    walk(object, true, "")
}

/// The object with the texts of known fields only.
pub(super) fn known(object: &Value) -> Value {
    walk(object, false, "")
}

/// The place of a text of which only the length is told.
pub(super) fn length(text: &str) -> Value {
    Value::String(format!("<{} bytes>", text.len()))
}

fn walk(value: &Value, all: bool, key: &str) -> Value {
    match value {
        Value::String(text) if all || KNOWN.contains(&key) => Value::String(redact(text)),
        Value::String(text) if ["args", "command"].contains(&key) => word(text),
        Value::String(text) => length(text),
        Value::Array(items) => items.iter().map(|item| walk(item, all, key)).collect(),
        Value::Object(fields) => Value::Object(members(fields, all)),
        Value::Null | Value::Bool(_) | Value::Number(_) => value.clone(),
    }
}

fn members(fields: &Map<String, Value>, all: bool) -> Map<String, Value> {
    let mut shown = Map::new();
    for (key, value) in fields {
        let value = match (key.as_str(), value) {
            ("managedFields", _) => continue,
            ("annotations", Value::Object(annotations)) => Value::Object(annotated(annotations)),
            ("data", Value::Object(entries)) => Value::Object(configuration::entries(entries)),
            ("binaryData" | "stringData", Value::Object(entries)) => Value::Object(lengths(entries)),
            (key, value) => walk(value, all || KNOWN_BELOW.contains(&key), key),
        };
        shown.insert(redact(key), value);
    }
    shown
}

fn annotated(annotations: &Map<String, Value>) -> Map<String, Value> {
    let one = |(key, value): (&String, &Value)| {
        let domain = key.split('/').next().unwrap_or_default();
        let is_known = DOMAINS.iter().any(|known| domain == *known || domain.ends_with(&format!(".{known}")));
        (redact(key), walk(value, is_known && key != LAST_APPLIED, ""))
    };
    annotations.iter().map(one).collect()
}

fn lengths(entries: &Map<String, Value>) -> Map<String, Value> {
    entries.iter().map(|(key, value)| (redact(key), walk(value, false, ""))).collect()
}

/// A word of a command: a path, or the name of a flag with its path.
fn word(text: &str) -> Value {
    let path = |value: &str| value.starts_with('/') && !value.contains(['=', '+']);
    let shown = match text.split_once('=') {
        None if text.starts_with('-') || path(text) => redact(text),
        Some((flag, value)) if flag.starts_with('-') && path(value) => redact(text),
        Some((flag, value)) if flag.starts_with('-') => format!("{}=<{} bytes>", redact(flag), value.len()),
        _ => return length(text),
    };
    Value::String(shown)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_field_that_is_not_known_is_told_by_its_length() {
        let pod = json!({
            "metadata": {"name": "spire-server-0", "managedFields": [{"manager": "x"}],
                "labels": {"app": "spire"},
                "annotations": {"spire.keylime.dev/attestor": "a/b", "vault.example/token": "hunter2",
                    "evil-kubernetes.io/x": "hunter2", LAST_APPLIED: "hunter2"}},
            "spec": {"containers": [{"name": "spire-server", "image": "spire:1",
                "command": ["/opt/spire", "run"], "args": ["-config", "/a.conf", "-password=hunter2", "--socket=/run/x"],
                "env": [{"name": "PASSWORD", "value": "hunter2"}, {"name": "REF", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}}],
                "ports": [{"containerPort": 8081}], "livenessProbe": {"httpGet": {"httpHeaders": [{"name": "X", "value": "hunter2"}]}}}]},
        });
        let shown = known(&pod);
        assert!(!shown.to_string().contains("hunter2"), "{shown:#}");
        let container = &shown["spec"]["containers"][0];
        assert_eq!(
            container["args"],
            json!(["-config", "/a.conf", "-password=<7 bytes>", "--socket=/run/x"])
        );
        assert_eq!(container["command"], json!(["/opt/spire", "<3 bytes>"]));
        assert_eq!(container["env"][0], json!({"name": "PASSWORD", "value": "<7 bytes>"}));
        assert_eq!(container["env"][1], pod["spec"]["containers"][0]["env"][1]);
        assert_eq!(container["ports"][0]["containerPort"], 8081);
        let metadata = &shown["metadata"];
        assert_eq!(metadata["annotations"]["spire.keylime.dev/attestor"], "a/b");
        assert_eq!(metadata["annotations"]["evil-kubernetes.io/x"], "<7 bytes>");
        assert_eq!((&metadata["labels"]["app"], &metadata["managedFields"]), (&json!("spire"), &Value::Null));
    }
}
