use serde_json::json;

use super::*;

#[test]
fn every_action_is_counted_in_one_of_the_ways() {
    let counted = ["evict", "ban", "reattest"].into_iter().flat_map(|act| {
        [json!(null), json!("no")].map(|error| {
            let action = json!({"sequence": 1, "time": 1, "spiffe_id": "s", "action": act, "reason": "r", "error": error});
            outcome(&serde_json::from_value(action).unwrap())
        })
    });
    assert_eq!(counted.collect::<Vec<_>>(), OUTCOMES);
}
