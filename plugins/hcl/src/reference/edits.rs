//! What SPIRE finds in an edited configuration, read with Go and with variables expanded, is what was asked for.

use serde_json::{Map, Value, json};

use super::go::ask;
use super::tree;
use crate::edit::tests::{SHAPES, data};
use crate::edit::{NodeAttestor, Placement, set_node_attestor};
use crate::tree::Document;

const COMMAND: &str = "/opt/$x/keylime-attestor";
const CHECKSUM: &str = "00000000000000000000000000000000000000000000000000000000000000ff";

fn element<'a>(data: &'a Map<String, Value>) -> NodeAttestor<'a> {
    NodeAttestor { name: "keylime", plugin_cmd: COMMAND, plugin_checksum: Some(CHECKSUM), plugin_data: data }
}

/// The plugins that Go finds, ours apart.
fn plugins(answer: &Value) -> (Vec<Value>, Vec<Value>) {
    let all = answer["plugins"].as_array().unwrap_or_else(|| panic!("{answer}")).clone();
    all.into_iter().partition(|plugin| plugin["kind"] == "NodeAttestor" && plugin["name"] == "keylime")
}

#[test]
fn spire_finds_what_was_put_in() {
    let before = ask("plugins", &SHAPES);
    let data = data();
    for placement in [Placement::Beside, Placement::Sole] {
        let edited = SHAPES.map(|text| set_node_attestor(text, &element(&data), placement).unwrap());
        // One shape holds a variable itself, in a string.
        let expanded: Vec<String> =
            ask("expand", &edited).iter().map(|answer| answer["text"].as_str().unwrap().to_owned()).collect();
        for texts in [edited.to_vec(), expanded] {
            for ((answer, text), before) in ask("plugins", &texts).iter().zip(&texts).zip(&before) {
                let (ours, found) = plugins(answer);
                let [ours] = ours.as_slice() else { panic!("{text}\n{answer}") };
                assert_eq!((&ours["cmd"], &ours["checksum"]), (&json!(COMMAND), &json!(CHECKSUM)), "{text}");
                let printed = Document::parse(ours["data"].as_str().unwrap()).unwrap();
                let wanted = Document::parse(&serde_json::to_string(&data).unwrap()).unwrap();
                assert_eq!(tree::meaning(&printed), tree::meaning(&wanted), "{text}");
                let (_, mut expected) = plugins(before);
                if placement == Placement::Sole {
                    expected.retain(|plugin| plugin["kind"] != "NodeAttestor");
                }
                assert_eq!(found, expected, "{text}");
            }
        }
    }
}
