//! The properties of every edit, tried on generated configurations and on those of [`SHAPES`].

use super::tests::{SHAPES, data, element, generated, set, small};
use super::*;
use crate::tree::Item;

const PLACEMENTS: [Placement; 2] = [Placement::Beside, Placement::Sole];

fn texts() -> Vec<String> {
    generated(1_000).into_iter().chain(SHAPES.map(str::to_owned)).collect()
}

fn has_ours(text: &str) -> bool {
    node_attestors(text).unwrap().iter().any(|name| name == "keylime")
}

#[test]
fn what_is_as_asked_for_changes_no_byte() {
    let data = data();
    for text in texts() {
        for placement in PLACEMENTS {
            let once = set(&text, &element(&data), placement);
            assert_eq!(set(&once, &element(&data), placement), once, "{text:?}");
        }
    }
    for text in [
        "plugins {NodeAttestor keylime{plugin_cmd=<<E\n/opt/keylime-attestor\nE\nplugin_data {}}}",
        "plugins {\n NodeAttestor { keylime { /* ours */ plugin_data { port = 8881 }\nplugin_cmd = \"/opt/keylime-attestor\" } }}",
        "{ \"plugins\":[ {\"NodeAttestor\":{ \"keylime\" :{\"plugin_data\": {\"port\":8881}  ,\"plugin_cmd\":\"\\u002fopt/keylime-attestor\"} },}] }",
    ] {
        let data = if text.contains("8881") { small() } else { Map::new() };
        let plugin_cmd =
            if text.contains("<<") { "/opt/keylime-attestor\n" } else { "/opt/keylime-attestor" };
        let wanted = NodeAttestor { plugin_checksum: None, plugin_cmd, ..element(&data) };
        for placement in PLACEMENTS {
            assert_eq!(set(text, &wanted, placement), text);
        }
    }
}

/// So the text from before can be told from an edited one, whatever the element was.
#[test]
fn an_edit_of_an_edited_text_is_an_edit_of_the_text_before() {
    let (first, second) = (data(), Map::new());
    for text in texts() {
        for placement in PLACEMENTS {
            for (first, second) in [(&first, &second), (&second, &first)] {
                let once = set(&text, &element(first), placement);
                let twice = set(&once, &element(second), placement);
                assert_eq!(twice, set(&text, &element(second), placement), "{text:?}\n{once:?}");
            }
        }
    }
}

#[test]
fn taking_out_what_was_put_in_gives_the_text_back() {
    for text in texts().iter().filter(|text| !has_ours(text)) {
        for data in [data(), small(), Map::new()] {
            let edited = set(text, &element(&data), Placement::Beside);
            assert_ne!(edited, *text);
            let back = remove_node_attestor(&edited, "keylime").unwrap();
            assert_eq!(back, *text, "with {edited:?}");
            assert_eq!(remove_node_attestor(text, "keylime").unwrap(), *text);
        }
    }
}

#[test]
fn what_is_put_in_stands_in_one_place_and_the_rest_is_kept() {
    let data = data();
    for text in texts() {
        let edited = set(&text, &element(&data), Placement::Beside);
        let same = text.bytes().zip(edited.bytes()).take_while(|(old, new)| old == new).count();
        let rest = text.bytes().rev().zip(edited.bytes().rev()).take_while(|(old, new)| old == new).count();
        assert!(has_ours(&text) || same + rest >= text.len(), "{text:?}\n{edited:?}");
        for placement in PLACEMENTS {
            let edited = set(&text, &element(&data), placement);
            for kept in others(&text, placement) {
                assert!(edited.contains(&kept), "{kept:?}\nof {text:?}\nis not in {edited:?}");
            }
        }
    }
}

/// The parts that an edit must not touch, as they are written: all but plugins, and the other
/// plugins.
fn others(text: &str, placement: Placement) -> Vec<String> {
    let document = Document::parse(text).unwrap();
    let plugins = Plugins::find(&document).unwrap();
    let stays = |kind: &str, name: &str| {
        kind != "NodeAttestor" || placement == Placement::Beside && name != "keylime"
    };
    let around = document.root.items().iter().filter(|item| !plugins::is_plugins(item));
    let beside =
        plugins.all.iter().filter(|plugin| stays(plugin.kind, plugin.name)).map(|plugin| plugin.item);
    let slice = |item: &Item| text[item.start()..item.value.end].to_owned();
    around.chain(beside).map(slice).collect()
}

#[test]
fn others_are_kept_or_replaced() {
    let data = small();
    for text in texts() {
        let mut names = node_attestors(&text).unwrap();
        let kept = set(&text, &element(&data), Placement::Beside);
        names.retain(|name| name != "keylime");
        let mut found = node_attestors(&kept).unwrap();
        found.retain(|name| name != "keylime");
        assert_eq!(found, names, "{kept}");
        let replaced = set(&kept, &element(&data), Placement::Sole);
        assert_eq!(node_attestors(&replaced).unwrap(), ["keylime"], "{replaced}");
        let gone = remove_node_attestor(&replaced, "keylime").unwrap();
        assert_eq!(node_attestors(&gone).unwrap(), [""; 0], "{gone}");
    }
}

#[test]
fn no_dollar_is_ever_written() {
    let data = data();
    for text in texts() {
        let element = NodeAttestor { plugin_cmd: "/opt/$HOME/${x}", ..element(&data) };
        let edited = set(&text, &element, Placement::Beside);
        assert_eq!(edited.matches('$').count(), text.matches('$').count(), "{edited}");
    }
}
