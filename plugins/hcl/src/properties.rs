//! No input panics, and what is read keeps to the limits.

use proptest::prelude::*;
use serde_json::{Map, Value};

use crate::edit::tests::{SHAPES, data};
use crate::edit::{
    NodeAttestor, Placement, Variables, node_attestors, remove_node_attestor, set_node_attestor,
};
use crate::reference::SAMPLES;
use crate::tree::{Document, Kind, Node};
use crate::{Fields, MAX_DEPTH, Port, from_str};

fn depth(node: &Node) -> usize {
    match &node.kind {
        Kind::List(list) => 1 + list.iter().map(depth).max().unwrap_or(0),
        Kind::Object(items) => {
            1 + items.iter().map(|item| item.keys.len() - 1 + depth(&item.value)).max().unwrap_or(0)
        }
        _ => 0,
    }
}

/// Every function of the crate on one text.
fn exercise(text: &str) {
    if let Ok(document) = Document::parse(text) {
        assert!(depth(&document.root) <= MAX_DEPTH + 1);
        assert!(document.root.end <= text.len());
    }
    if let Err(error) = from_str::<Value>(text) {
        assert!(error.position().offset <= text.len(), "{error}");
        assert!(error.to_string().len() < 1_000);
    }
    if let Ok(mut fields) = Fields::parse(text) {
        fields.take::<Port>("a");
        fields.take::<Vec<String>>("plugin_data");
        if let Some(block) = fields.block("plugins") {
            fields.absorb(block);
        }
        fields.finish();
    }
    let data = data();
    let element =
        NodeAttestor { name: "keylime", plugin_cmd: "/x", plugin_checksum: None, plugin_data: &data };
    for placement in [Placement::Beside, Placement::Sole] {
        if let Ok(edited) = set_node_attestor(text, &element, placement, Variables::Expanded) {
            assert!(node_attestors(&edited).unwrap().contains(&"keylime".to_owned()));
            let back = remove_node_attestor(&edited, "keylime").unwrap();
            // Only put in: taking it out gives the text back.
            if placement == Placement::Beside
                && !node_attestors(text).unwrap().contains(&"keylime".to_owned())
            {
                assert_eq!(back, text, "{edited}");
            }
        }
    }
}

/// A good text with some bytes replaced, inserted or taken out; what is no UTF-8 then becomes
/// U+FFFD.
fn damaged() -> impl Strategy<Value = String> {
    let texts: Vec<&str> = SAMPLES.iter().map(|(_, text)| *text).chain(SHAPES).collect();
    let damage = prop::collection::vec((any::<prop::sample::Index>(), any::<u8>(), 0..3_u8), 1..6);
    (prop::sample::select(texts), damage).prop_map(|(text, damage)| {
        let mut bytes = text.as_bytes().to_vec();
        for (index, byte, how) in damage {
            let at = index.index(bytes.len() + 1);
            match how {
                0 => bytes.insert(at, byte),
                1 if at < bytes.len() => bytes[at] = byte,
                _ if at < bytes.len() => drop(bytes.remove(at)),
                _ => {}
            }
        }
        String::from_utf8_lossy(&bytes).into_owned()
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        exercise(&String::from_utf8_lossy(&bytes));
    }

    #[test]
    fn no_characters_panic(text in "[ \n\r\t{}\\[\\]=,:\"\\\\$#/*<a1.eEx0+-]{0,60}") {
        exercise(&text);
        exercise(&format!("a = {text}"));
        exercise(&format!("{{\"a\": {text}}}"));
    }

    #[test]
    fn no_damaged_text_panics(text in damaged()) {
        exercise(&text);
    }

    /// Any string that is written is read back, in both languages.
    #[test]
    fn written_strings_are_read_back(value in any::<String>()) {
        let data = Map::from_iter([("key".to_owned(), Value::from(value.clone()))]);
        let element = NodeAttestor { name: "keylime", plugin_cmd: "/x", plugin_checksum: None, plugin_data: &data };
        for (text, path) in [
            ("plugins {}", "/plugins/NodeAttestor/keylime/plugin_data/key"),
            ("{\"plugins\": {}}", "/plugins/NodeAttestor/0/keylime/plugin_data/key"),
        ] {
            let edited = set_node_attestor(text, &element, Placement::Sole, Variables::Kept).unwrap();
            prop_assert!(!edited.contains('$'));
            let read: Value = from_str(&edited).unwrap();
            prop_assert_eq!(read.pointer(path).and_then(Value::as_str), Some(value.as_str()));
        }
    }
}
