//! Edited configurations, read as SPIRE does, with Go and with variables expanded: they hold the
//! element that was asked for.

use serde_json::{Map, Value, json};

use super::go::ask;
use super::tree;
use crate::edit::tests::{EXPANDED, SHAPES, data, generated};
use crate::edit::{NodeAttestor, Placement, Variables, node_attestors, set_node_attestor};
use crate::tree::Document;

const COMMAND: &str = "/opt/$x/keylime-attestor";
const CHECKSUM: &str = "00000000000000000000000000000000000000000000000000000000000000ff";

fn edited(text: &str, data: &Map<String, Value>, placement: Placement) -> String {
    let element = NodeAttestor {
        name: "keylime",
        plugin_cmd: COMMAND,
        plugin_checksum: Some(CHECKSUM),
        plugin_data: data,
    };
    set_node_attestor(text, &element, placement, Variables::Expanded).unwrap()
}

/// The plugins that Go finds, ours apart; nothing where it refuses the text. Of their data, what it
/// means: a comment that stood behind an attestor is printed elsewhere when the attestor is another
/// one.
fn plugins(answer: &Value) -> Option<(Vec<Value>, Vec<Value>)> {
    let mut all = answer["plugins"].as_array()?.clone();
    for plugin in all.iter_mut().filter(|plugin| plugin["name"] != "keylime") {
        // A heredoc at the end is printed without the line end that it needs.
        let printed = format!("{}\n", plugin["data"].as_str()?);
        let data = Document::parse(&printed).unwrap_or_else(|e| panic!("{e}\n{plugin}"));
        plugin["data"] = json!(tree::meaning(&data));
    }
    Some(all.into_iter().partition(|plugin| plugin["kind"] == "NodeAttestor" && plugin["name"] == "keylime"))
}

fn expanded(texts: &[String]) -> Vec<String> {
    ask("expand", texts).iter().map(|answer| answer["text"].as_str().unwrap().to_owned()).collect()
}

/// Looks into texts in which ours was put. `before` are the answers of Go for the texts from
/// before.
fn look(before: &[Value], texts: &[String], data: &Map<String, Value>, placement: Placement) {
    for ((before, text), answer) in before.iter().zip(texts).zip(ask("plugins", texts)) {
        let (ours, found) = plugins(&answer).unwrap_or_else(|| panic!("{answer}\n{text}"));
        let [ours] = ours.as_slice() else { panic!("{text}\n{answer}") };
        assert_eq!((&ours["cmd"], &ours["checksum"]), (&json!(COMMAND), &json!(CHECKSUM)), "{text}");
        let printed = Document::parse(ours["data"].as_str().unwrap()).unwrap();
        let wanted = Document::parse(&serde_json::to_string(data).unwrap()).unwrap();
        assert_eq!(tree::meaning(&printed), tree::meaning(&wanted), "{text}");
        // A list of attestors that is empty is refused by Go, and taken with ours in it.
        let Some((_, mut expected)) = plugins(before) else { continue };
        if placement == Placement::Sole {
            expected.retain(|plugin| plugin["kind"] != "NodeAttestor");
        }
        assert_eq!(found, expected, "{text}");
        let was_known = before["unknown"] == json!([]);
        assert!(!was_known || answer["unknown"] == json!([]), "SPIRE would refuse it now: {text}\n{answer}");
    }
}

#[test]
fn spire_finds_what_was_put_in() {
    let before = ask("plugins", &SHAPES);
    let data = data();
    for placement in [Placement::Beside, Placement::Sole] {
        let edited = SHAPES.map(|text| edited(text, &data, placement)).to_vec();
        look(&before, &edited, &data, placement);
        // One shape holds a variable itself, in a string.
        look(&before, &expanded(&edited), &data, placement);
    }
}

#[test]
fn spire_finds_what_was_put_in_where_it_expands_variables() {
    let before = ask("plugins", &expanded(&EXPANDED.map(str::to_owned)));
    assert!(before.iter().all(|answer| plugins(answer).is_some()), "{before:?}");
    let data = data();
    for placement in [Placement::Beside, Placement::Sole] {
        let edited = EXPANDED.map(|text| edited(text, &data, placement)).to_vec();
        look(&before, &expanded(&edited), &data, placement);
    }
}

/// Whatever is edited is read whole by SPIRE: it finds the attestors that are found here, before
/// and after.
#[test]
fn spire_finds_in_generated_configurations_what_is_found_here() {
    let texts: Vec<String> = generated(1_500);
    let before = ask("plugins", &texts);
    for (text, answer) in texts.iter().zip(&before) {
        let Some(all) = answer["plugins"].as_array() else { continue };
        let mut theirs: Vec<&str> = all
            .iter()
            .filter(|plugin| plugin["kind"] == "NodeAttestor")
            .map(|plugin| plugin["name"].as_str().unwrap())
            .collect();
        let mut ours = node_attestors(text).unwrap();
        theirs.sort_unstable();
        ours.sort_unstable();
        assert_eq!(theirs, ours, "{text}");
    }
    let read = before.iter().filter(|answer| plugins(answer).is_some()).count();
    assert!(read * 2 > texts.len(), "Go reads too few of the generated texts: {read} of {}", texts.len());
    for placement in [Placement::Beside, Placement::Sole] {
        let (before, edited): (Vec<Value>, Vec<String>) = before
            .iter()
            .zip(&texts)
            .filter(|(answer, _)| plugins(answer).is_some())
            .map(|(answer, text)| (answer.clone(), edited(text, &data(), placement)))
            .unzip();
        look(&before, &edited, &data(), placement);
    }
}
