use serde_json::json;

use super::*;
use crate::fixture::{AGENT_HCL, AGENT_JSON, SERVER_HCL, SERVER_JSON};

fn set(role: Role, text: &str, name: &str) -> String {
    let checksum = "a".repeat(64);
    let data = json!({"keylime_agent_host": "127.0.0.1", "keylime_agent_port": 9002});
    derive((role, placement(role)), text, (name, &checksum), data.as_object().unwrap(), Variables::Expanded)
        .unwrap()
}

fn placement(role: Role) -> Placement {
    if role == Role::Server { Placement::Beside } else { Placement::Sole }
}

fn kept(role: Role, original: &str) -> Option<Kept<'_>> {
    Some(Kept { original, plugin: "keylime", placement: placement(role) })
}

const ALL: [(Role, &str); 4] = [
    (Role::Server, SERVER_JSON),
    (Role::Server, SERVER_HCL),
    (Role::Agent, AGENT_JSON),
    (Role::Agent, AGENT_HCL),
];

#[test]
fn what_nobody_touched_comes_back_byte_for_byte() {
    for (role, text) in ALL {
        let edited = set(role, text, "keylime");
        assert_ne!(edited, text);
        assert_eq!(original(role, kept(role, text), &edited).as_deref(), Some(text));
        assert_eq!(original(role, None, text).as_deref(), Some(text));
    }
}

/// Forms in which what is there and what is ours are hard to tell apart: no indentation but ours,
/// several attestors on a line, a carriage return at the end, empty lists and objects, variables.
#[test]
fn odd_forms_come_back_byte_for_byte() {
    for text in [
        "plugins {\n  }\n",
        "plugins {NodeAttestor \"x\" {}\n\n }\n",
        "plugins {\n  NodeAttestor \"a\" {} NodeAttestor \"b\" {}\n}\n",
        "agent {\n}\r",
        "agent {\n  server_port = ${PORT}\n}\nplugins {}\n",
        "{\"plugins\":{\"NodeAttestor\":[],\"KeyManager\":{\"memory\":{\"plugin_data\":{}}}}}",
        "{\"plugins\":[{\"KeyManager\":{\"memory\":{}}},{\"NodeAttestor\":{\"x\":{\"plugin_data\":{}}}}]}",
        "{\"agent\":{},\"plugins\":{}}",
        "{\"agent\":{}}",
    ] {
        for role in [Role::Server, Role::Agent] {
            let edited = set(role, text, "keylime");
            assert_ne!(edited, text);
            assert_eq!(set(role, &edited, "keylime"), edited, "{role:?}: {text:?}");
            assert_eq!(
                original(role, kept(role, text), &edited).as_deref(),
                Some(text),
                "{role:?}: {edited:?}"
            );
        }
    }
}

#[test]
fn edits_beside_ours_survive() {
    for (role, text) in ALL {
        let change = |text: &str| {
            text.replace("example.org", "example.net").replace("example-cluster", "other-cluster")
        };
        let edited = change(&set(role, text, "keylime"));
        let expected = match role {
            // The attestors of a server stay beside ours, and so do edits of them.
            Role::Server => change(text),
            Role::Agent => text.replace("example.org", "example.net"),
        };
        assert_eq!(original(role, kept(role, text), &edited), Some(expected), "{role:?}");
    }
}

#[test]
fn a_file_without_our_part_is_a_new_original() {
    for (role, text) in ALL {
        let fresh = text.replace("example.org", "example.net");
        assert_eq!(original(role, kept(role, text), &fresh), Some(fresh.clone()));
    }
}

#[test]
fn our_own_part_edited_by_hand_is_undone() {
    for (role, text) in ALL {
        let edited = set(role, text, "keylime").replace("9002", "9003");
        assert_eq!(original(role, kept(role, text), &edited).as_deref(), Some(text), "{role:?}");
    }
}

#[test]
fn what_cannot_be_told_apart_is_not_guessed() {
    let edited = set(Role::Agent, AGENT_HCL, "keylime").replace("NodeAttestor", "# a note\n  NodeAttestor");
    let found = original(Role::Agent, kept(Role::Agent, AGENT_HCL), &edited);
    assert!(found.is_none_or(|text| text == AGENT_HCL.replace("NodeAttestor", "# a note\n  NodeAttestor")));
    assert_eq!(original(Role::Agent, kept(Role::Agent, "agent {}\nplugins {}"), "not { hcl"), None);
}

/// What a server had beside ours cannot be found in a text without it.
#[test]
fn attestors_that_an_edit_took_out_come_back() {
    for text in [SERVER_JSON, SERVER_HCL] {
        let checksum = "a".repeat(64);
        let sole = (Role::Server, Placement::Sole);
        let edited = derive(sole, text, ("keylime", &checksum), &Map::new(), Variables::Expanded).unwrap();
        let kept = Some(Kept { original: text, plugin: "keylime", placement: Placement::Sole });
        assert_eq!(original(Role::Server, kept, &edited).as_deref(), Some(text));
        let changed = edited.replace("example.org", "example.net");
        assert_eq!(original(Role::Server, kept, &changed), Some(text.replace("example.org", "example.net")));
        // Cut off between what is kept and the edit.
        let before = set(Role::Server, text, "keylime");
        assert_eq!(original(Role::Server, kept, &before).as_deref(), Some(text));
    }
}
