use serde_json::{Value, json};

use super::*;

#[test]
fn every_action_is_counted_in_one_of_the_ways() {
    let outcome = |act: &str, error: Value| {
        let action =
            json!({"sequence": 1, "time": 1, "spiffe_id": "s", "action": act, "reason": "r", "error": error});
        outcome(&serde_json::from_value(action).unwrap())
    };
    let done = ["evict", "ban", "reattest"];
    let counted =
        done.into_iter().flat_map(|act| [Value::Null, json!("no")].map(|error| outcome(act, error)));
    // A refusal has no way to fail.
    let counted = counted.chain([outcome("refuse", Value::Null)]);
    assert_eq!(counted.collect::<Vec<_>>(), OUTCOMES);
}
