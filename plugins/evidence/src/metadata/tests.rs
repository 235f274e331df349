use super::*;

fn get(text: &str, key: &str) -> Option<String> {
    Metadata::from_json(text).get(&key.parse().unwrap()).map(str::to_owned)
}

#[test]
fn scalars_are_entries() {
    let text = r#"{"rack": "r 7", "zone": 3, "pci": true, "load": 0.5, "big": 18446744073709551615}"#;
    for (key, value) in
        [("rack", "r 7"), ("zone", "3"), ("pci", "true"), ("load", "0.5"), ("big", "18446744073709551615")]
    {
        assert_eq!(get(text, key).as_deref(), Some(value));
    }
}

#[test]
fn what_is_not_usable_is_left_out() {
    let long = "x".repeat(256);
    for value in
        ["null", "[1]", "{}", r#""""#, r#""a\nb""#, r#""a\u0000""#, r#""a\u2028b""#, &format!("\"{long}\"")]
    {
        assert_eq!(get(&format!(r#"{{"a": {value}, "b": 1}}"#), "a"), None, "{value}");
        assert_eq!(get(&format!(r#"{{"a": {value}, "b": 1}}"#), "b").as_deref(), Some("1"));
    }
    for text in ["", "[]", "null", "{", "nonsense"] {
        assert_eq!(Metadata::from_json(text), Metadata::default());
    }
}

#[test]
fn keys_hold_nothing_that_could_be_taken_for_the_value() {
    for key in ["", "a:b", "a b", "ä", "a\n", &"k".repeat(65)] {
        assert!(key.parse::<MetadataKey>().is_err(), "{key:?}");
    }
    assert!("k".repeat(64).parse::<MetadataKey>().is_ok());
}
