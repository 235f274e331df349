//! The differences between this crate and Go, all on purpose. A text that Go drops silently,
//! misreads or crashes on is refused here, but for nulls as SPIRE prints them, which Go cannot read
//! back and this crate can.

use serde_json::Value;

use super::tree;
use crate::Reason;
use crate::tree::{Document, Item, Kind, Language, Node};

/// A difference by example.
pub(super) struct Difference {
    pub(super) text: &'static str,
    /// The tree of Go; nothing when it refuses.
    pub(super) go: Option<&'static str>,
    /// The tree here, or part of the error.
    pub(super) here: Result<&'static str, &'static str>,
}

const fn refused(text: &'static str, go: &'static str, error: &'static str) -> Difference {
    Difference { text, go: Some(go), here: Err(error) }
}

/// Each with its reason.
pub(super) const LISTED: [Difference; 13] = [
    // SPIRE prints null as nothing behind the `=`. Go drops such an item at the end of a text …
    Difference {
        text: "a = ",
        go: Some("[]"),
        here: Ok(r#"[{"at":[1,1],"keys":["a"],"value":{"null":true}}]"#),
    },
    // … refuses it inside a block …
    Difference {
        text: "b {\n  a = \n}",
        go: None,
        here: Ok(
            r#"[{"at":[1,1],"keys":["b"],"value":{"object":[{"at":[2,3],"keys":["a"],"value":{"null":true}}]}}]"#,
        ),
    },
    // … refuses it before another item …
    Difference {
        text: "\"a\" = \n\n\"b\" = 1",
        go: None,
        here: Ok(
            r#"[{"at":[1,1],"keys":["a"],"value":{"null":true}},{"at":[3,1],"keys":["b"],"value":{"integer":"1"}}]"#,
        ),
    },
    // … and takes the first key of a block behind it for the value.
    Difference {
        text: "\"a\" = \n\n\"b\" \"c\" {}",
        go: Some(
            r#"[{"at":[1,1],"keys":["a"],"value":{"text":"b"}},{"at":[3,5],"keys":["c"],"value":{"object":[]}}]"#,
        ),
        here: Ok(
            r#"[{"at":[1,1],"keys":["a"],"value":{"null":true}},{"at":[3,1,3,5],"keys":["b","c"],"value":{"object":[]}}]"#,
        ),
    },
    // Bare keys and heredoc names of other scripts: which letters count depends on the Unicode
    // version of the reader.
    refused("ключ = 1", r#"[{"at":[1,1],"keys":["ключ"],"value":{"integer":"1"}}]"#, "outside ASCII"),
    refused("a = <<é\nx\né\n", r#"[{"at":[1,1],"keys":["a"],"value":{"text":"x\n"}}]"#, "expected << or <<-"),
    // Half a surrogate pair: Go puts U+FFFD in its place (and crashes on it in JSON).
    refused(
        r#"a = "\ud83d""#,
        r#"[{"at":[1,1],"keys":["a"],"value":{"text":"�"}}]"#,
        "stands for no character",
    ),
    // Bytes that make no UTF-8 (the Go program tells them as U+FFFD).
    refused(r#"a = "\xff""#, r#"[{"at":[1,1],"keys":["a"],"value":{"text":"�"}}]"#, "do not make UTF-8"),
    // In JSON Go loses booleans and the brackets of lists in lists.
    refused(
        r#"{"a": [true, 1]}"#,
        r#"[{"at":[0,0],"keys":["a"],"value":{"list":[{"integer":"1"}]}}]"#,
        "loses true",
    ),
    refused(
        r#"{"a": [[1]]}"#,
        r#"[{"at":[0,0],"keys":["a"],"value":{"list":[{"integer":"1"}]}}]"#,
        "loses a list",
    ),
    // It takes much that is no JSON. These three stand for all of it: what RFC 8259 refuses is
    // refused here.
    refused(r#"{"a": 1"#, r#"[{"at":[0,0],"keys":["a"],"value":{"integer":"1"}}]"#, "expected ',' or '}'"),
    refused(
        r#"{"a": 1} b"#,
        r#"[{"at":[0,0],"keys":["a"],"value":{"integer":"1"}}]"#,
        "expected a JSON token",
    ),
    refused(r#"{"a": 1, "b"}"#, r#"[{"at":[0,0],"keys":["a"],"value":{"integer":"1"}}]"#, "expected ':'"),
];

/// Tells if a refusal of a text that Go takes is one of those listed.
pub(super) fn refused_on_purpose(text: &str, reason: &Reason) -> bool {
    let json = text.trim_start().starts_with('{');
    match reason {
        Reason::NotACharacter | Reason::NotUtf8 | Reason::TooDeep | Reason::TooLarge(_) => true,
        Reason::LostInList(_) => json,
        Reason::BareKeyNotAscii => !json && !text.is_ascii(),
        // Also a carriage return that belongs to no line end, which Go makes part of the name.
        Reason::HeredocAnchor => !text.is_ascii() || text.contains('\r'),
        _ if json => serde_json::from_str::<Value>(text).is_err(),
        _ => false,
    }
}

/// Tells if there is a null anywhere.
pub(super) fn has_null(node: &Node) -> bool {
    match &node.kind {
        Kind::Null => true,
        Kind::List(list) => list.iter().any(has_null),
        Kind::Object(items) => items.iter().any(|item| has_null(&item.value)),
        _ => false,
    }
}

/// Tells if another tree of an HCL text is one of those listed: a null at the end, or before a
/// block with several keys.
pub(super) fn tree_on_purpose(document: &Document, ours: &Value, theirs: &Value) -> bool {
    let dropped = document.language == Language::Hcl && tree::without_last_null(ours) == *theirs;
    dropped || null_before_block(document)
}

/// Tells if a null of HCL stands before a block with several keys in the same object.
fn null_before_block(document: &Document) -> bool {
    fn within(items: &[Item]) -> bool {
        let pair = |pair: &[Item]| matches!(pair[0].value.kind, Kind::Null) && pair[1].keys.len() > 1;
        items.windows(2).any(pair) || items.iter().any(|item| of_node(&item.value))
    }
    fn of_node(node: &Node) -> bool {
        match &node.kind {
            Kind::List(list) => list.iter().any(of_node),
            _ => within(node.items()),
        }
    }
    document.language == Language::Hcl && within(document.root.items())
}
