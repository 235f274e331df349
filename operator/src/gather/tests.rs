use serde_json::json;

use super::*;

fn resource(name: &str, created: &str, agent: &str) -> KeylimeAttestor {
    serde_json::from_value(json!({
        "apiVersion": "spire.keylime.dev/v1alpha1", "kind": "KeylimeAttestor",
        "metadata": {"name": name, "namespace": "n", "creationTimestamp": created},
        "spec": {
            "keylime": {"verifiers": [{"host": "v"}], "tls": {"secretName": "s"}},
            "spire": {"server": {"name": format!("server-of-{name}")}, "agents": [{"name": agent}]},
        },
    }))
    .unwrap()
}

#[test]
fn the_older_resource_has_the_workload() {
    let older = resource("b", "2026-01-01T00:00:00Z", "spire-agent");
    let newer = resource("a", "2026-01-02T00:00:00Z", "spire-agent");
    let apart = resource("c", "2025-01-01T00:00:00Z", "another");
    let all = [older.clone(), newer.clone(), apart];
    let claims = claims(&newer, &all);
    assert_eq!(claims.values().map(ToString::to_string).collect::<Vec<_>>(), ["n/b"]);
    assert!(super::claims(&older, &all).is_empty());
}

#[test]
fn who_is_in_the_workloads_namespace_has_it_before_an_older_one_elsewhere() {
    let here = resource("here", "2026-01-02T00:00:00Z", "spire-agent");
    let mut elsewhere = resource("there", "2026-01-01T00:00:00Z", "spire-agent");
    elsewhere.metadata.namespace = Some("tenant".to_owned());
    elsewhere.spec.spire.agents[0].workload.namespace = Some("n".to_owned());
    let all = [here.clone(), elsewhere.clone()];
    assert!(claims(&here, &all).is_empty());
    assert_eq!(claims(&elsewhere, &all).values().map(ToString::to_string).collect::<Vec<_>>(), ["n/here"]);
}

#[test]
fn of_two_made_in_the_same_second_the_name_decides() {
    let a = resource("a", "2026-01-01T00:00:00Z", "spire-agent");
    let b = resource("b", "2026-01-01T00:00:00Z", "spire-agent");
    let all = [a.clone(), b.clone()];
    assert!(claims(&a, &all).is_empty());
    assert_eq!(claims(&b, &all).len(), 1);
}
