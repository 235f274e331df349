use serde_json::json;

use super::*;
use crate::fixture::{desired, gathered, resource};

#[test]
fn server_and_agents_have_to_come_back_to_a_node_with_the_taint() {
    for (toleration, tolerated) in [
        (json!({"key": TAINT, "operator": "Exists"}), true),
        (json!({"key": TAINT, "effect": "NoSchedule"}), true),
        (json!({"operator": "Exists"}), true),
        (json!({"key": TAINT, "operator": "Exists", "effect": "NoExecute"}), false),
        (json!({"key": TAINT, "value": "x"}), false),
        (json!({"key": "another", "operator": "Exists"}), false),
    ] {
        let untainted = resource(json!({}));
        let mut desired = desired(&untainted, &gathered(&untainted));
        let mut targets = vec![desired.server];
        targets.append(&mut desired.agents);
        for target in &mut targets {
            let pod = target.workload.as_mut().unwrap().template.spec.as_mut().unwrap();
            pod.tolerations = Some(vec![serde_json::from_value(toleration.clone()).unwrap()]);
        }
        let tainted = resource(json!({"nodes": {"taint": true}}));
        let found = problems(&tainted.spec, &targets);
        assert_eq!(found.len(), if tolerated { 0 } else { targets.len() }, "{toleration}");
        assert!(problems(&untainted.spec, &targets).is_empty());
    }
}
