//! The edits by example, and the rules that hold for every form of configuration.

use serde_json::json;

use super::*;

const CHECKSUM: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

/// Configurations in every form that SPIRE reads.
pub(crate) const SHAPES: [&str; 34] = [
    include_str!("../../testdata/chart-agent.conf"),
    include_str!("../../testdata/chart-server.conf"),
    include_str!("../../testdata/manual-agent.conf"),
    include_str!("../../testdata/manual-server.conf"),
    "plugins {\n  NodeAttestor \"x\" { plugin_data {} }\n}\n",
    "plugins = {\n\tNodeAttestor = { x = { plugin_data = {} } }\n\tKeyManager = { memory = {} }\n}\n",
    "plugins {\n    NodeAttestor {\n        x { plugin_cmd = \"/x\" }\n        \"y\" {}\n    }\n}",
    "plugins { NodeAttestor \"x\" {} KeyManager \"memory\" {} }",
    "plugins { KeyManager \"memory\" {}, NodeAttestor \"x\" {}, }\n",
    "plugins {}\n",
    "plugins { }",
    "plugins {\n}\n",
    "plugins {\n  # none yet\n}\n",
    "plugins { /* none yet */ }\n",
    "\"plugins\" {\n  \"NodeAttestor\" \"x\" {\n  }\n  \"NodeAttestor\" \"y\" { plugin_data { a = <<EOF\nb\nEOF\n} }\n\n}\n",
    "plugins \"NodeAttestor\" \"x\" {}\nplugins \"KeyManager\" \"memory\" {}\n",
    "plugins \"NodeAttestor\" { x {} y {} }\n# end",
    "server { trust_domain = \"example.org\" }\n",
    "server { trust_domain = \"example.org\" }",
    "",
    "PLUGINS {\r\n  KeyManager \"memory\" {\r\n  }\r\n  NodeAttestor \"x\" { enabled = false }\r\n}\r\n",
    "plugins {\n  NodeAttestor \"x\" plugin_data {\n    a = 1\n  }\n  KeyManager \"memory\" {} }\n",
    "plugins {\n  A \"b\" {}\n}\nplugin = \"${brace}\" # an end without a line end",
    "{\"plugins\":{\"NodeAttestor\":[{\"x\":{\"plugin_data\":null}}],\"KeyManager\":[{\"memory\":{}}]}}",
    "{\"plugins\": {\"NodeAttestor\": {\"x\": {\"plugin_cmd\": \"/x\"}, \"y\": {}}}}",
    "{\n  \"plugins\": {\n    \"NodeAttestor\": {\n      \"x\": {}\n    }\n  }\n}\n",
    "{\n  \"plugins\": {\n    \"NodeAttestor\": [\n      {\n        \"x\": {},\n        \"y\": {}\n      },\n      {\"z\": {}}\n    ]\n  }\n}",
    "{\r\n\t\"plugins\": {\r\n\t\t\"KeyManager\": [{\"memory\": {}}]\r\n\t}\r\n}\r\n",
    "{\"plugins\": [{\"KeyManager\": [{\"memory\": {\"plugin_data\": {}}}], \"NodeAttestor\": [{\"x\": {}}]}]}",
    "{\"plugins\": {\"NodeAttestor\": {}, \"KeyManager\": {\"memory\": {\"plugin_data\": {\"a\": 1}}}}}",
    "{\"server\": {\"trust_domain\": \"example.org\"}}\n",
    "{}",
    "{\n}\n",
    "{\"plugins\": {\"NodeAttestor\": [{\"x\": {}},], \"KeyManager\": [{\"memory\": {}}],},}",
];

/// Configurations that SPIRE does not read, or not as they look.
const REFUSED: [(&str, &str); 11] = [
    ("plugins { A \"x\" {} }\nplugins { B \"y\" {} }", "line 2, column 1: 'plugins' is given more than once"),
    ("plugins { A \"x\" {} }\nPlugins \"B\" \"y\" {}", "line 2, column 1: 'plugins' is given more than once"),
    ("{\"plugins\": {}, \"plugins\": {}}", "'plugins' is given more than once"),
    ("plugins = [{ NodeAttestor \"x\" {} }]", "line 1, column 11: 'plugins' is no block"),
    ("plugins = \"x\"", "is no block of plugins"),
    ("plugins =", "is no block of plugins"),
    ("{\"plugins\": [{}, {}]}", "'plugins' is a list"),
    ("plugins { NodeAttestor = [{ x {} }] }", "no block"),
    ("{\"plugins\": {\"NodeAttestor\": [\"x\"]}}", "no object"),
    ("plugins { NodeAttestor \"x\" { }", "line 1, column 9: expected a '}'"),
    ("trust_domain = $TD\n", "must stand in double quotes"),
];

/// A plugin_data with all that can be written.
pub(crate) fn data() -> Map<String, Value> {
    let Value::Object(data) = json!({
        "host": "verifier.example.org",
        "port": 8881,
        "can_reattest": true,
        "keys": ["rack", "zone"],
        "none": [],
        "ratio": 0.5,
        "small": -1e-9,
        "odd": "a \"b\" \\ $HOME ${HOME} $$ \u{7} \n \t é 😀 \u{e123} }",
        "enforcement": {"action": "off", "limits": {"hard": 1, "soft": "${x"}},
        "empty": {},
    }) else {
        unreachable!("it is an object")
    };
    data
}

fn element<'a>(data: &'a Map<String, Value>) -> NodeAttestor<'a> {
    NodeAttestor {
        name: "keylime",
        plugin_cmd: "/opt/keylime-attestor",
        plugin_checksum: Some(CHECKSUM),
        plugin_data: data,
    }
}

fn small() -> Map<String, Value> {
    Map::from_iter([("port".to_owned(), json!(8881))])
}

#[test]
fn taking_out_what_was_put_in_gives_the_text_back() {
    for text in SHAPES {
        for data in [data(), small(), Map::new()] {
            let edited = set_node_attestor(text, &element(&data), Placement::Beside)
                .unwrap_or_else(|e| panic!("{e}\n{text}"));
            assert_ne!(edited, text);
            let back = remove_node_attestor(&edited, "keylime").unwrap_or_else(|e| panic!("{e}\n{edited}"));
            assert!(back == text, "was {text:?}\nis {back:?}\nwith {edited:?}");
        }
    }
}

#[test]
fn what_is_put_in_stands_in_one_place_and_the_rest_is_kept() {
    for text in SHAPES {
        let data = data();
        let edited = set_node_attestor(text, &element(&data), Placement::Beside).unwrap();
        let same = text.bytes().zip(edited.bytes()).take_while(|(old, new)| old == new).count();
        let rest = text.bytes().rev().zip(edited.bytes().rev()).take_while(|(old, new)| old == new).count();
        assert!(same + rest >= text.len(), "{text:?}\n{edited:?}");
    }
}

#[test]
fn setting_twice_is_setting_once() {
    for text in SHAPES {
        for placement in [Placement::Beside, Placement::Sole] {
            let (first, second) = (data(), small());
            let once = set_node_attestor(text, &element(&first), placement)
                .unwrap_or_else(|e| panic!("{e}\n{text}"));
            assert_eq!(set_node_attestor(&once, &element(&first), placement).unwrap(), once, "{text}");
            let changed = set_node_attestor(&once, &element(&second), placement)
                .unwrap_or_else(|e| panic!("{e}\n{once}"));
            let restored = set_node_attestor(&changed, &element(&first), placement).unwrap();
            assert_eq!(restored, once, "{text}");
        }
    }
}

#[test]
fn others_are_kept_or_replaced() {
    for text in SHAPES {
        let data = small();
        let mut names = node_attestors(text).unwrap();
        let kept = set_node_attestor(text, &element(&data), Placement::Beside).unwrap();
        names.push("keylime".into());
        assert_eq!(node_attestors(&kept).unwrap(), names, "{kept}");
        let replaced = set_node_attestor(&kept, &element(&data), Placement::Sole).unwrap();
        assert_eq!(node_attestors(&replaced).unwrap(), ["keylime"], "{replaced}");
        let gone = remove_node_attestor(&replaced, "keylime").unwrap();
        assert_eq!(node_attestors(&gone).unwrap(), [""; 0], "{gone}");
        assert_eq!(remove_node_attestor(&gone, "keylime").unwrap(), gone);
    }
}

#[test]
fn forms_that_spire_does_not_read_are_refused() {
    for (text, told) in REFUSED {
        let data = small();
        let set = set_node_attestor(text, &element(&data), Placement::Beside).unwrap_err().to_string();
        assert!(set.contains(told), "{text}: {set}");
        assert_eq!(remove_node_attestor(text, "keylime").unwrap_err().to_string(), set);
        assert_eq!(node_attestors(text).unwrap_err().to_string(), set);
    }
}

#[test]
fn no_dollar_is_ever_written() {
    for text in SHAPES {
        let data = data();
        let element = NodeAttestor { plugin_cmd: "/opt/$HOME/${x}", ..element(&data) };
        let edited = set_node_attestor(text, &element, Placement::Beside).unwrap();
        assert_eq!(edited.matches('$').count(), text.matches('$').count(), "{edited}");
    }
}

#[test]
fn elements_that_spire_cannot_read_are_refused() {
    let good = small();
    let with = |value: Value| Map::from_iter([("key".to_owned(), value)]);
    let deep = (0..20).fold(json!({}), |inner, _| json!({"a": inner}));
    let datas = [
        (with(Value::Null), "null"),
        (with(json!(u64::MAX)), "63 bits"),
        (with(json!([true])), "a list of something else"),
        (with(json!([[1]])), "a list of something else"),
        (with(json!([{"a": 1}])), "a list of something else"),
        (with(deep), "deeper than 16"),
        (Map::from_iter([("a b".to_owned(), json!(1))]), "has a key"),
        (Map::from_iter([(String::new(), json!(1))]), "has a key"),
    ];
    let long = "n".repeat(65);
    let mut wrong = vec![
        (NodeAttestor { name: "", ..element(&good) }, "its name"),
        (NodeAttestor { name: "a b", ..element(&good) }, "its name"),
        (NodeAttestor { name: &long, ..element(&good) }, "its name"),
        (NodeAttestor { plugin_cmd: "", ..element(&good) }, "plugin_cmd"),
        (NodeAttestor { plugin_checksum: Some("abc"), ..element(&good) }, "64 hex digits"),
    ];
    wrong.extend(datas.iter().map(|(data, told)| (element(data), *told)));
    for (element, told) in wrong {
        let error = set_node_attestor("plugins {}", &element, Placement::Beside).unwrap_err().to_string();
        assert!(error.contains(told), "{error}");
    }
}

/// The chart's agent: a list of one-key objects, in which ours takes the place of the other one.
#[test]
fn the_charts_agent_gets_ours_instead() {
    let data = small();
    let edited = set_node_attestor(SHAPES[0], &element(&data), Placement::Sole).unwrap();
    let old = "        \"k8s_psat\": {
          \"plugin_data\": {
            \"cluster\": \"example-cluster\"
          }
        }
";
    let new = "        \"keylime\": {
          \"plugin_cmd\": \"/opt/keylime-attestor\",
          \"plugin_checksum\": \"0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef\",
          \"plugin_data\": {
            \"port\": 8881
          }
        }
";
    assert!(SHAPES[0].contains(old));
    assert_eq!(edited, SHAPES[0].replace(old, new));
}

#[test]
fn the_charts_server_gets_ours_beside() {
    let data = Map::from_iter([("keys".to_owned(), json!(["rack", "zone"]))]);
    let element = NodeAttestor { plugin_checksum: None, ..element(&data) };
    let edited = set_node_attestor(SHAPES[1], &element, Placement::Beside).unwrap();
    let end = "          }
        }
      }
    ]
  },
  \"server\": {";
    let new = "          }
        }
      },
      {
        \"keylime\": {
          \"plugin_cmd\": \"/opt/keylime-attestor\",
          \"plugin_data\": {
            \"keys\": [
              \"rack\",
              \"zone\"
            ]
          }
        }
      }
    ]
  },
  \"server\": {";
    assert_eq!(SHAPES[1].matches(end).count(), 1);
    assert_eq!(edited, SHAPES[1].replace(end, new));
}

#[test]
fn hand_written_files_keep_their_style() {
    let data =
        Map::from_iter([("port".to_owned(), json!(8881)), ("limits".to_owned(), json!({"soft": [1, 2]}))]);
    let element = NodeAttestor { plugin_checksum: None, ..element(&data) };
    let agent = set_node_attestor(SHAPES[2], &element, Placement::Sole).unwrap();
    let old = "  NodeAttestor \"k8s_psat\" {
    plugin_data {
      # the name of this cluster
      cluster = \"demo-cluster\"
    }
  }
";
    let new = "  NodeAttestor \"keylime\" {
    plugin_cmd = \"/opt/keylime-attestor\"
    plugin_data {
      limits {
        soft = [1, 2]
      }
      port = 8881
    }
  }
";
    assert!(SHAPES[2].contains(old));
    assert_eq!(agent, SHAPES[2].replace(old, new));

    let server = set_node_attestor(SHAPES[3], &element, Placement::Beside).unwrap();
    let last = "    Notifier \"k8sbundle\" { plugin_data {} }\n";
    let ours = new.replace("  ", "    ");
    assert_eq!(server, SHAPES[3].replace(last, &format!("{last}{ours}")));

    let line = set_node_attestor("plugins { A \"b\" {} }", &element, Placement::Beside).unwrap();
    assert_eq!(
        line,
        "plugins { A \"b\" {} NodeAttestor \"keylime\" { plugin_cmd = \"/opt/keylime-attestor\" \
         plugin_data { limits { soft = [1, 2] } port = 8881 } } }"
    );
    let packed =
        set_node_attestor("{\"plugins\":{\"NodeAttestor\":[]}}", &element, Placement::Beside).unwrap();
    assert_eq!(
        packed,
        "{\"plugins\":{\"NodeAttestor\":[{\"keylime\":{\"plugin_cmd\":\"/opt/keylime-attestor\",\
         \"plugin_data\":{\"limits\":{\"soft\":[1,2]},\"port\":8881}}}]}}"
    );
}
