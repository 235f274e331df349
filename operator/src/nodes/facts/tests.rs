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
            "annotations": {"spire.keylime.dev/spiffe-id": "y"}},
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
fn a_mark_is_one_that_the_operator_wrote() {
    let spiffe = annotation::SPIFFE_ID;
    for (fields, mark) in [
        (vec![], None),
        (vec![owned(FIELD_MANAGER, &[spiffe])], Some("y")),
        (vec![owned("kubelet", &[spiffe])], None),
        (vec![owned(FIELD_MANAGER, &[]), owned("kubelet", &[spiffe])], None),
        (vec![owned(FIELD_MANAGER, &[spiffe]), owned("kubectl-annotate", &[spiffe])], Some("y")),
    ] {
        assert_eq!(node(&fields).marks.spiffe_id.as_deref(), mark, "{fields:?}");
    }
}

#[test]
fn a_claim_is_in_the_spec_of_the_attested_node() {
    let claim = |object: Value| AttestedNodeFacts::read(serde_json::from_value(object).unwrap()).claim;
    let metadata = json!({"name": "n", "annotations": {"spire.keylime.dev/agent-id": "x"}});
    let object = |spec: Value| json!({"apiVersion": "spire.keylime.dev/v1alpha1", "kind": "AttestedNode", "metadata": metadata, "spec": spec});
    assert_eq!(
        (claim(object(json!({"agentId": "a"}))), claim(object(json!({})))),
        (Some("a".to_owned()), None)
    );
}

#[test]
fn a_pod_that_a_kubelet_says_it_runs_is_no_agent() {
    let node = |annotations: Value| {
        let pod = json!({"metadata": {"name": "p", "annotations": annotations}, "spec": {"nodeName": "n", "containers": []}});
        PodFacts::read(serde_json::from_value(pod).unwrap()).node
    };
    assert_eq!((node(json!({})), node(json!({MIRROR: "hash"}))), ("n".to_owned(), String::new()));
}
