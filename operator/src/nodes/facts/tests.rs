use serde_json::{Value, json};

use super::*;

fn owned(manager: &str, keys: &[&str]) -> Value {
    let fields: serde_json::Map<String, Value> =
        keys.iter().map(|key| (format!("f:{key}"), json!({}))).collect();
    json!({"manager": manager, "operation": "Apply", "apiVersion": "v1", "fieldsType": "FieldsV1",
        "fieldsV1": {"f:metadata": {"f:annotations": fields}}})
}

fn node(fields: &[Value]) -> NodeFacts {
    let node = json!({
        "metadata": {"name": "n", "uid": "u", "labels": {"a": "b"}, "managedFields": fields,
            "annotations": {"spire.keylime.dev/agent-id": "x", "spire.keylime.dev/spiffe-id": "y"}},
        "spec": {"taints": [{"key": "k", "effect": "NoSchedule"}]},
        "status": {
            "addresses": [{"type": "InternalIP", "address": "10.0.0.1"}, {"type": "InternalIP", "address": "fd00::1"},
                {"type": "ExternalIP", "address": "192.0.2.1"}, {"type": "Hostname", "address": "h"}],
            "nodeInfo": {"systemUUID": "U", "architecture": "", "bootID": "", "containerRuntimeVersion": "", "kernelVersion": "",
                "kubeProxyVersion": "", "kubeletVersion": "", "machineID": "", "operatingSystem": "", "osImage": ""},
        },
    });
    NodeFacts::read(serde_json::from_value(node).unwrap())
}

#[test]
fn what_matters_of_a_node_is_kept() {
    let node = node(&[]);
    assert_eq!((node.name.as_str(), node.uid.as_str(), node.system_uuid.as_str()), ("n", "u", "U"));
    assert_eq!(node.addresses, ["10.0.0.1".parse::<IpAddr>().unwrap(), "fd00::1".parse().unwrap()]);
    assert_eq!((node.hostnames, node.taints.len(), node.labels.len()), (vec!["h".to_owned()], 1, 1));
}

#[test]
fn an_annotation_is_a_claim_unless_it_is_ours_alone() {
    let (agent, spiffe) = (annotation::AGENT_ID, annotation::SPIFFE_ID);
    for (fields, claim, mark) in [
        (vec![], Some("x"), None),
        (vec![owned(FIELD_MANAGER, &[agent, spiffe])], None, Some("x")),
        (vec![owned("kubectl-annotate", &[agent])], Some("x"), None),
        (vec![owned(FIELD_MANAGER, &[agent]), owned("kubectl-annotate", &[agent])], Some("x"), Some("x")),
        (vec![owned(FIELD_MANAGER, &[agent]), owned("kubelet", &[spiffe])], None, Some("x")),
    ] {
        let node = node(&fields);
        assert_eq!((node.claim.as_deref(), node.marks.agent_id.as_deref()), (claim, mark), "{fields:?}");
    }
    assert_eq!(node(&[owned(FIELD_MANAGER, &[spiffe])]).marks.spiffe_id.as_deref(), Some("y"));
}
