use serde_json::{Value, json};

use super::*;

#[test]
fn only_its_holder_goes_on_and_only_until_others_may_take_it() {
    let now: Timestamp = "2026-01-01T00:00:20Z".parse().unwrap();
    let of = |spec: Value| {
        let lease = serde_json::from_value(json!({"metadata": {"name": NAME}, "spec": spec})).unwrap();
        left(&lease, "me", now).as_secs()
    };
    let renewed = |holder: &str, second: u32| {
        of(json!({"holderIdentity": holder, "renewTime": format!("2026-01-01T00:00:{second:02}.000000Z")}))
    };
    assert_eq!((renewed("me", 20), renewed("me", 10), renewed("me", 8)), (13, 3, 1));
    assert_eq!((renewed("me", 7), renewed("me", 1)), (0, 0));
    assert_eq!((renewed("you", 20), of(json!({"holderIdentity": "me"})), of(json!(null))), (0, 0, 0));
    // The clock was set back.
    assert_eq!(renewed("me", 50), 13);
}
