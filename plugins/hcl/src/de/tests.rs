//! What is converted, what is not, and what an error says.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::{Error, Reason, from_str};

#[derive(Debug, Deserialize, PartialEq)]
struct One<T> {
    v: T,
}

fn read<T: DeserializeOwned>(value: &str) -> Result<T, Error> {
    from_str::<One<T>>(&format!("v = {value}")).map(|one| one.v)
}

fn told<T: DeserializeOwned>(text: &str) -> String {
    from_str::<T>(text).err().expect("it is refused").to_string()
}

/// The conversions of Go's `decoder.go`.
#[test]
fn values_are_converted_as_go_does() {
    assert_eq!(read::<String>("\"a\"").unwrap(), "a");
    assert_eq!(read::<String>("8881").unwrap(), "8881");
    assert_eq!(read::<String>("0x1F").unwrap(), "0x1F");
    assert_eq!(read::<String>("<<E\na\nE\n").unwrap(), "a\n");
    assert!(read::<String>("1.5").is_err());
    assert!(read::<String>("true").is_err());
    assert!(read::<String>("[\"a\"]").is_err());
    assert_eq!(read::<u16>("8881").unwrap(), 8881);
    assert_eq!(read::<u16>("\"8881\"").unwrap(), 8881);
    assert_eq!(read::<i64>("\"-0x10\"").unwrap(), -16);
    assert!(read::<u16>("1.0").is_err());
    assert!(read::<u16>("\"\"").is_err());
    assert!(read::<u8>("256").is_err());
    assert!(read::<u8>("-1").is_err());
    assert!(read::<bool>("true").unwrap());
    assert!(read::<bool>("\"true\"").is_err());
    assert!(read::<bool>("1").is_err());
    assert_eq!(read::<f64>("1.5").unwrap(), 1.5);
    assert_eq!(read::<f64>("2").unwrap(), 2.0);
    assert!(read::<f64>("\"1.5\"").is_err());
    assert_eq!(read::<Vec<String>>("[\"a\", 1]").unwrap(), ["a", "1"]);
    assert!(read::<Vec<String>>("\"a\"").is_err());
    assert_eq!(read::<Option<u8>>("1").unwrap(), Some(1));
    assert_eq!(from_str::<One<Option<u8>>>("").unwrap().v, None);
    assert_eq!(from_str::<One<Option<u8>>>("v = ").unwrap().v, None);
    assert_eq!(from_str::<One<Option<u8>>>("{\"V\": null}").unwrap().v, None);
    assert_eq!(from_str::<One<u8>>("V = 1").unwrap().v, 1);
}

/// Blocks, repeated blocks, blocks with labels, and their JSON.
#[test]
fn blocks_are_structs_maps_and_lists() {
    let one = |v: u8| One { v };
    for text in
        ["v { v = 1 }", "v = { v = 1 }", "v = [{ v = 1 }]", "{\"v\": {\"v\": 1}}", "{\"v\": [{\"v\": 1}]}"]
    {
        assert_eq!(from_str::<One<One<u8>>>(text).unwrap().v, one(1), "{text}");
        assert_eq!(from_str::<One<Vec<One<u8>>>>(text).unwrap().v, [one(1)], "{text}");
        assert_eq!(from_str::<One<BTreeMap<String, u8>>>(text).unwrap().v["v"], 1, "{text}");
    }
    for text in ["v { v = 1 }\nv { v = 2 }", "{\"v\": [{\"v\": 1}, {\"v\": 2}]}"] {
        assert_eq!(from_str::<One<Vec<One<u8>>>>(text).unwrap().v, [one(1), one(2)], "{text}");
        assert!(from_str::<One<One<u8>>>(text).is_err(), "{text}");
    }
    for text in ["v \"a\" { v = 1 }\nv \"b\" { v = 2 }", "v { a { v = 1 } b { v = 2 } }"] {
        let map = from_str::<One<BTreeMap<String, One<u8>>>>(text).unwrap().v;
        assert_eq!((&map["a"], &map["b"]), (&one(1), &one(2)), "{text}");
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Strict {
    host: String,
    port: Option<u16>,
    inner: Option<Inner>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "snake_case")]
struct Inner {
    action: Action,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Action {
    Off,
}

#[test]
fn an_error_tells_the_place_the_key_and_what_is_wrong() {
    let good: Strict = from_str("host = \"a\" port = 1\ninner { action = \"off\" }").unwrap();
    assert!(
        good.host == "a" && good.port == Some(1) && matches!(good.inner, Some(Inner { action: Action::Off }))
    );
    for (text, expected) in [
        ("host = \"a\"\n  prot = 1", "line 2, column 3: unknown key 'prot', did you mean 'port'?"),
        ("{\"host\": \"a\",\n \"prot\": null}", "line 2, column 2: unknown key 'prot', did you mean 'port'?"),
        ("port = 1", "line 1, column 1: missing field `host`"),
        ("host = \"a\"\nhost = \"b\"", "line 2, column 8: host: given twice, first in line 1"),
        ("host = \"a\"\nHOST = \"b\"", "line 2, column 8: host: given twice, first in line 1"),
        ("host = \"a\"\nport = [1]", "line 2, column 8: port: expected an integer, got a list"),
        ("host = \"a\"\nport = 65536", "line 2, column 8: port: expected u16, got integer `65536`"),
        (
            "host = \"a\"\ninner {\n action = \"of\" }",
            "line 3, column 11: inner.action: unknown value 'of', did you mean 'off'?",
        ),
        ("host = \"a\"\ninner {\n }", "line 2, column 7: inner: missing field `action`"),
        (
            "host = \"é\", port",
            "line 1, column 17: expected '=' or '{' after the key, found the end of the text",
        ),
        (
            "host = \"a\"\r\nport = secret",
            "line 2, column 8: expected a value (a word must stand in double quotes), found a word without quotes",
        ),
        ("host = \"a\n\"", "line 1, column 8: the string has no closing quote"),
        ("host = \"\\q\"", "line 1, column 9: not an escape sequence; write \\\\ for a backslash"),
        ("host: \"a\"", "line 1, column 5: unexpected character ':'; it is part of no HCL token"),
        (
            "{\"host\": \"a\"",
            "line 1, column 13: expected ',' or '}' after the value, found the end of the text",
        ),
        ("a {\n b {\n}", "line 1, column 3: expected a '}' that closes this '{', found the end of the text"),
        ("a = 019", "line 1, column 5: not a number that can be read: a leading 0 makes it octal"),
        ("a = 99999999999999999999", "line 1, column 5: not a number that can be read: it is too large"),
        ("/* a", "line 1, column 1: the comment has no closing */"),
        (
            "a = <<E\nE",
            "line 1, column 5: the heredoc has no closing line with its name alone, followed by a line end",
        ),
    ] {
        assert_eq!(told::<Strict>(text), format!("failed to read configuration at {expected}"), "{text}");
    }
}

#[test]
fn a_value_of_a_whole_configuration_can_be_read_alone() {
    #[derive(Deserialize)]
    struct Whole {
        server: Option<Part>,
        agent: Option<Part>,
    }
    #[derive(Deserialize)]
    struct Part {
        trust_domain: String,
    }
    for (name, text) in &crate::reference::SAMPLES[..4] {
        let whole: Whole = from_str(text).unwrap();
        assert_eq!(whole.server.or(whole.agent).unwrap().trust_domain, "example.org", "{name}");
    }
}

/// A plugin_data with nulls and blocks in blocks, as JSON and as SPIRE prints it.
#[test]
fn json_and_what_spire_prints_from_it_read_alike() {
    #[derive(Debug, Deserialize, PartialEq)]
    #[serde(deny_unknown_fields)]
    struct Data {
        agent_path_template: String,
        allowed_metadata_keys: Vec<String>,
        can_reattest: bool,
        challenge_timeout: Option<String>,
        enforcement: BTreeMap<String, serde_json::Value>,
        keylime_registrar_port: u16,
        keylime_verifier_host: String,
        keylime_verifier_port: String,
        max_attestation_age: String,
        note: String,
        request_timeout: Option<String>,
    }
    let json: Data = from_str(include_str!("../../testdata/plugin-data.json")).unwrap();
    let printed: Data = from_str(include_str!("../../testdata/plugin-data-printed.hcl")).unwrap();
    assert_eq!(json, printed);
    assert_eq!(json.note, "tab\there, \"quotes\", é and a literal $ {x}");
    assert_eq!((json.keylime_registrar_port, json.challenge_timeout), (8891, None));
    assert_eq!(json.enforcement["limits"]["hard"], 1500.0);
}

#[test]
fn no_error_shows_much_of_the_text() {
    let secret = "s".repeat(500);
    for text in [
        format!("{secret} 1"),
        format!("a = {secret}"),
        format!("{{\"a\": {secret}}}"),
        format!("host = 1 {secret} = 1"),
    ] {
        assert!(told::<Strict>(&text).len() < 250, "{}", told::<Strict>(&text));
    }
    let error = read::<u8>("\"a-secret\"").unwrap_err();
    assert!(matches!(error.reason(), Reason::Value(_)) && !error.to_string().contains("secret"), "{error}");
}
