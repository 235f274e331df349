use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use keylime_attestor_api::NodeReason;
use serde_json::json;

use super::*;
use crate::metrics::nodes::{NodeSeen, Poll};

fn owner() -> Owner {
    Owner { namespace: "n".to_owned(), name: "spire".to_owned() }
}

/// Metrics after one event of each kind.
fn all() -> Metrics {
    let (metrics, owner) = (Metrics::new(), owner());
    let status: KeylimeAttestorStatus =
        serde_json::from_value(json!({"conditions": [{"type": "Ready", "status": "True",
            "reason": "Ready", "message": "", "lastTransitionTime": "2026-01-01T00:00:00Z"}]}))
        .unwrap();
    metrics.reconciled("done", Duration::from_millis(20));
    metrics.asked(&[("verifier", "answered")]);
    metrics.reported(&owner, &status);
    metrics.certificate(&owner, Some("2026-01-01T00:00:00Z".parse().unwrap()));
    let (duration, age) = (Duration::from_millis(20), Some(Duration::from_secs(10)));
    let nodes = vec![NodeSeen { name: "a", reason: NodeReason::Stale, age }];
    metrics.nodes.polled(
        &owner,
        &Poll { duration, failed: false, held: false, agents_without_node: 2, by_node: true, nodes },
    );
    metrics.nodes.poll_failed(&owner);
    metrics.nodes.transition(&owner, "KeylimeAttestationFailed");
    let evicted = json!({"sequence": 1, "time": 1, "spiffe_id": "s", "action": "evict", "reason": "r"});
    metrics.nodes.enforced(&owner, &serde_json::from_value(evicted).unwrap());
    metrics
}

#[test]
fn what_happened_is_in_the_text_and_what_is_gone_is_not() {
    let metrics = all();
    let text = metrics.text().unwrap();
    let ready = r#"keylime_attestor_operator_condition{namespace="n",name="spire",condition="Ready"} 1"#;
    let stale = r#"keylime_attestor_node_state{namespace="n",name="spire",state="Failing",reason="Stale"} 1"#;
    for line in [
        ready,
        stale,
        r#"keylime_attestor_node_last_success_seconds{namespace="n",name="spire"} 10.0"#,
        r#"keylime_attestor_operator_client_certificate_end_timestamp_seconds{namespace="n",name="spire"} 1767225600"#,
        r#"keylime_attestor_operator_reconciles_total{outcome="done"} 1"#,
        r#"keylime_attestor_operator_reconcile_duration_seconds_count{outcome="done"} 1"#,
        r#"keylime_attestor_operator_keylime_requests_total{server="verifier",outcome="answered"} 1"#,
    ] {
        assert!(text.contains(line), "{line} is not in\n{text}");
    }
    metrics.forget(&owner());
    let text = metrics.text().unwrap();
    assert!(!text.contains(ready) && !text.contains(stale), "{text}");
    // All series that name the resource are gone with it.
    assert!(!text.contains(r#"name="spire""#), "{text}");
}

/// The chart's alerts and dashboard ask for the metrics of this list, which a test of the chart
/// compares.
#[test]
fn the_list_of_metrics_is_up_to_date() {
    let text = all().text().unwrap();
    let samples = text.lines().filter(|line| !line.starts_with('#'));
    let names: BTreeSet<_> = samples.filter_map(|line| line.split(['{', ' ']).next()).collect();
    let names = names.into_iter().fold(String::new(), |all, name| all + name + "\n");
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/metrics.txt");
    if std::env::var_os("UPDATE_GENERATED").is_some() {
        fs::write(&file, &names).unwrap();
    }
    assert_eq!(
        fs::read_to_string(&file).unwrap_or_default(),
        names,
        "run UPDATE_GENERATED=1 cargo test -p keylime-attestor-operator"
    );
}
