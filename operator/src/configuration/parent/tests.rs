use serde_json::json;

use super::*;
use crate::fixture::resource;

fn template(changes: serde_json::Value, original: Option<&str>) -> String {
    Parents::of(&resource(changes).spec).unwrap().template(original, false)
}

#[test]
fn nodes_of_keylime_come_first_and_the_others_keep_what_they_had() {
    assert_eq!(
        template(json!({}), Some("spiffe://{{ .TrustDomain }}/mine/{{ .NodeMeta.Name }}")),
        "{{ if index .NodeMeta.Labels \"node-restriction.kubernetes.io/keylime-agent-id\" }}\
         spiffe://{{ .TrustDomain }}/spire/agent/keylime/{{ index .NodeMeta.Labels \"node-restriction.kubernetes.io/keylime-agent-id\" }}\
         {{ else if index .NodeMeta.Annotations \"spire.keylime.dev/spiffe-id\" }}\
         {{ index .NodeMeta.Annotations \"spire.keylime.dev/spiffe-id\" }}\
         {{ else }}spiffe://{{ .TrustDomain }}/mine/{{ .NodeMeta.Name }}{{ end }}"
    );
}

#[test]
fn where_keylime_is_alone_the_others_have_none() {
    let parents = resource(json!({}));
    let exclusive = Parents::of(&parents.spec).unwrap().template(Some(DEFAULT), true);
    assert!(
        exclusive.ends_with("{{ index .NodeMeta.Annotations \"spire.keylime.dev/spiffe-id\" }}{{ end }}"),
        "{exclusive}"
    );
}

#[test]
fn without_a_template_the_others_have_the_default_one() {
    assert!(template(json!({}), None).ends_with(
        "{{ else }}spiffe://{{ .TrustDomain }}/spire/agent/k8s_psat/{{ .ClusterName }}/{{ .NodeMeta.UID }}{{ end }}"
    ));
}

#[test]
fn the_path_is_the_one_that_the_server_gives() {
    let changes = json!({"spire": {"pluginName": "tpm"},
        "attestation": {"agentPathTemplate": "/{{ .TrustDomain }}/{{ .PluginName }}/node/{{ .AgentID }}"}});
    let expected =
        "spiffe://{{ .TrustDomain }}/spire/agent/{{ .TrustDomain }}/tpm/node/{{ index .NodeMeta.Labels";
    assert!(template(changes, None).contains(expected));
}

#[test]
fn what_knows_of_keylime_stays() {
    for known in [
        "{{ index .NodeMeta.Annotations \"spire.keylime.dev/spiffe-id\" }}",
        "spiffe://{{ .TrustDomain }}/spire/agent/keylime/{{ .NodeMeta.Name }}",
        "spiffe://example.org/spire/agent/keylime/{{ index .NodeMeta.Labels \"node-restriction.kubernetes.io/keylime-agent-id\" }}",
    ] {
        assert_eq!(template(json!({}), Some(known)), known);
    }
    // A path that starts like those of all other attestors is no sign of Keylime.
    let changes = json!({"attestation": {"agentPathTemplate": "/{{ .AgentID }}"}});
    assert_ne!(template(changes, Some(DEFAULT)), DEFAULT);
}

#[test]
fn no_variable_is_left_to_the_environment() {
    assert!(!template(json!({}), None).contains('$'));
}
