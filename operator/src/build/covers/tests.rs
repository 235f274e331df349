use serde_json::json;

use super::*;

#[test]
fn what_is_there_is_covered_and_what_differs_is_not() {
    let live = json!({
        "a": 1, "command": ["x", "y"],
        "env": [{"name": "A", "value": "1"}, {"name": "B", "value": "2"}],
        "volumeMounts": [{"name": "v", "mountPath": "/a"}, {"name": "v", "mountPath": "/b", "readOnly": true}],
    });
    for (wanted, covered) in [
        (json!({}), true),
        (json!({"a": 1}), true),
        (json!({"a": 2}), false),
        (json!({"b": 1}), false),
        (json!({"command": ["x", "y"]}), true),
        (json!({"command": ["x"]}), false),
        (json!({"env": [{"name": "B", "value": "2"}]}), true),
        (json!({"env": [{"name": "B", "value": "1"}]}), false),
        (json!({"env": [{"name": "C"}]}), false),
        (json!({"volumeMounts": [{"name": "v", "mountPath": "/b", "readOnly": true}]}), true),
        (json!({"volumeMounts": [{"name": "v", "mountPath": "/a", "readOnly": true}]}), false),
    ] {
        assert_eq!(covers(&live, &wanted), covered, "{wanted}");
    }
}
