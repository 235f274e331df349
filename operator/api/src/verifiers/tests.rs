use serde_json::{Value, from_value, json, to_value};

use super::*;

fn read(verifiers: Value) -> Result<Verifiers, String> {
    from_value(verifiers).map_err(|error| error.to_string())
}

#[test]
fn the_order_is_kept() {
    let written = json!([{"host": "b", "port": 8881}, {"host": "a", "port": 1}]);
    let verifiers = read(written.clone()).unwrap();
    assert_eq!((verifiers.first().host.as_str(), verifiers.others().len()), ("b", 1));
    assert_eq!(to_value(verifiers).unwrap(), written);
}

#[test]
fn an_empty_list_is_refused() {
    assert!(read(json!([])).unwrap_err().contains("expected at least one"));
}
