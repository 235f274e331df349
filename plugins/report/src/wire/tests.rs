use serde_json::{Value, json};

use super::*;

fn report() -> Report {
    let agent_id = AgentId::new("a").ok();
    Report {
        version: crate::VERSION,
        plugin_started: 1,
        trust_domain: "example.org".into(),
        plugin_name: "keylime".into(),
        enforcement: Loop {
            action: Mode::Evict,
            last_poll: Some(2),
            last_error: None,
            held: Some("h".into()),
            listed: 3,
            failing: 1,
            unknown: 1,
        },
        actions: vec![Action {
            sequence: 1,
            time: 2,
            agent_id: agent_id.clone(),
            spiffe_id: "spiffe://example.org/spire/agent/keylime/a".into(),
            node_uid: None,
            action: Act::Evict,
            reason: "r".into(),
            error: None,
        }],
        agents: vec![Agent {
            spiffe_id: "spiffe://example.org/spire/agent/k8s_psat/c/u".into(),
            attestation_type: "k8s_psat".into(),
            agent_id: None,
            node_name: Some("n".into()),
            node_uid: Some("u".into()),
            ak_sha256: None,
            ek_sha256: None,
            expires: 4,
            banned: false,
        }],
    }
}

fn json() -> Value {
    json!({
        "version": 1, "plugin_started": 1, "trust_domain": "example.org", "plugin_name": "keylime",
        "loop": {"action": "evict", "last_poll": 2, "last_error": null, "held": "h", "listed": 3, "failing": 1,
            "unknown": 1},
        "actions": [{"sequence": 1, "time": 2, "agent_id": "a",
            "spiffe_id": "spiffe://example.org/spire/agent/keylime/a", "action": "evict", "reason": "r"}],
        "agents": [{"spiffe_id": "spiffe://example.org/spire/agent/k8s_psat/c/u", "attestation_type": "k8s_psat",
            "node_name": "n", "node_uid": "u", "expires": 4, "banned": false}],
    })
}

#[test]
fn a_report_has_this_form_and_may_grow() {
    assert_eq!(serde_json::to_value(report()).unwrap(), json());
    let mut grown = json();
    grown["new"] = json!({"a": 1});
    assert_eq!(serde_json::from_value::<Report>(grown).unwrap(), report());
}

#[test]
fn what_is_no_id_action_or_mode_is_refused() {
    for (pointer, value) in [
        ("/actions/0/agent_id", json!("../x")),
        ("/actions/0/agent_id", json!(7)),
        ("/actions/0/action", json!("delete")),
        ("/loop/action", json!("Evict")),
        ("/agents/0/banned", json!("no")),
        ("/agents/0/expires", json!(-1)),
    ] {
        let mut wrong = json();
        *wrong.pointer_mut(pointer).unwrap() = value;
        assert!(serde_json::from_value::<Report>(wrong).is_err(), "{pointer}");
    }
}

#[test]
fn a_request_is_understood_whole() {
    assert!(serde_json::from_str::<Reattest>(r#"{"spiffe_id": "a"}"#).is_ok());
    for text in ["{}", r#"{"spiffe_id": "a", "ban": true}"#, r#"{"spiffe_id": 1}"#] {
        assert!(serde_json::from_str::<Reattest>(text).is_err(), "{text}");
    }
}
