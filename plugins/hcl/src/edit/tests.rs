//! The edits by example.

use serde_json::json;

use super::*;
use crate::reference::generate::Generator;

const CHECKSUM: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

/// Configurations in every form that SPIRE reads.
pub(crate) const SHAPES: [&str; 43] = [
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
    // What people met: an indentation of our own, two on one line, a lone carriage return, empty
    // lists and objects.
    "plugins {\n  }\n",
    "plugins {NodeAttestor \"x\" {}\n\n }\n",
    "plugins {\n  NodeAttestor \"a\" {} NodeAttestor \"b\" {}\n}\n",
    "agent {\n}\r",
    "{\"plugins\":{\"NodeAttestor\":[],\"KeyManager\":{\"memory\":{\"plugin_data\":{}}}}}\n",
    "{\"server\": {\"trust_domain\": \"example.org\"}, \"plugins\": {\n}}\n",
    "{\"server\": {\"trust_domain\": \"example.org\"}, \"plugins\": [{}]}\n",
    "{\"server\":{\"trust_domain\":\"example.org\"},\"plugins\":[{\"KeyManager\":{\"memory\":{\"plugin_data\":{}}}},{\"NodeAttestor\":{\"x\":{\"plugin_data\":{}}}}]}\n",
    "{\"server\":{\"trust_domain\":\"example.org\"},\"plugins\":{\"KeyManager\":{\"memory\":{\"plugin_data\":{}}}},\"plugins\":{\"NodeAttestor\":{\"x\":{\"plugin_data\":{}}}}}\n",
];

/// Configurations that SPIRE does not read, or not as they look: what is told, and what to do.
const REFUSED: [(&str, &str, &str); 22] = [
    (
        "plugins { A \"x\" {} }\nplugins { B \"y\" {} }",
        "line 2, column 1: 'plugins' is given more than once",
        "make them one",
    ),
    (
        "plugins { A \"x\" {} }\nPlugins \"B\" \"y\" {}",
        "line 2, column 1: 'plugins' is given more than once",
        "make them one",
    ),
    (
        "plugins = [{ NodeAttestor \"x\" {} }]",
        "line 1, column 11: 'plugins' is no block",
        "write it as plugins {",
    ),
    ("plugins = \"x\"", "line 1, column 11: 'plugins' is no block", "write it as plugins {"),
    ("plugins =", "line 1, column 9: 'plugins' is no block", "write it as plugins {"),
    ("{\"plugins\": []}", "line 1, column 13: 'plugins' is no object", "write it as \"plugins\": {"),
    ("{\"plugins\": [\"x\"]}", "line 1, column 13: 'plugins' is no object", "write it as \"plugins\": {"),
    ("{\"plugins\": null}", "line 1, column 13: 'plugins' is no object", "write it as \"plugins\": {"),
    (
        "{\"plugins\": [\n{\"A\": {\"x\": {}}},\n{\"B\": [{\"y\": {}}]}]}",
        "line 3, column 1: 'plugins' is given as several objects, of which SPIRE may read only a part",
        "make them one object",
    ),
    (
        "{\"plugins\": {\"A\": [{\"x\": {}}]},\n\"plugins\": {\"B\": {\"y\": {}}}}",
        "line 2, column 12: 'plugins' is given as several objects, of which SPIRE may read only a part",
        "make them one object",
    ),
    (
        "plugins { NodeAttestor = [{ x {} }] }",
        "line 1, column 26: a type of plugins",
        "write a plugin as TYPE",
    ),
    (
        "{\"plugins\": {\"NodeAttestor\": null}}",
        "line 1, column 30: a type of plugins",
        "write it as { \"name\"",
    ),
    (
        "{\"plugins\": {\"NodeAttestor\": [\"x\"]}}",
        "line 1, column 31: a list of plugins",
        "write a plugin as {",
    ),
    (
        "plugins {\n  NodeAttestor \"keylime\" {}\n  NodeAttestor \"keylime\" {}\n}",
        "line 3, column 16: NodeAttestor \"keylime\" is declared already on line 2",
        "remove one",
    ),
    (
        "plugins {\n  KeyManager { disk {} }\n  KeyManager \"disk\" {}\n}",
        "line 3, column 14: KeyManager \"disk\" is declared already on line 2",
        "remove one",
    ),
    (
        "{\"plugins\": {\"NodeAttestor\": [\n{\"keylime\": {}},\n{\"keylime\": {}}]}}",
        "line 3, column 2: NodeAttestor \"keylime\" is declared already on line 2",
        "remove one",
    ),
    ("plugins { NodeAttestor \"x\" { }", "line 1, column 9: expected a '}'", "closes this"),
    ("\u{feff}{\"plugins\":{}}", "line 1, column 1: unexpected character", "byte order mark"),
    ("\u{feff}plugins {}", "line 1, column 1: unexpected character", "save the file as UTF-8 without one"),
    ("plugins {\n\u{a0} }", "line 2, column 1: unexpected character", "write a plain one"),
    ("{\"plugins\":\u{200b} {}}", "line 1, column 12: unexpected character", "delete it"),
    ("plugins { NodeAttestor “x” {} }", "line 1, column 24: unexpected character", "a straight double quote"),
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

pub(super) fn element<'a>(data: &'a Map<String, Value>) -> NodeAttestor<'a> {
    NodeAttestor {
        name: "keylime",
        plugin_cmd: "/opt/keylime-attestor",
        plugin_checksum: Some(CHECKSUM),
        plugin_data: data,
    }
}

/// Generated configurations with plugins that SPIRE reads, of about this many in each language.
pub(crate) fn generated(each: usize) -> Vec<String> {
    let mut make = Generator::new(0x6564_6974);
    let texts = (0..each).flat_map(|_| [configurations::hcl(&mut make), configurations::json(&mut make)]);
    let texts: Vec<String> = texts.filter(|text| node_attestors(text).is_ok()).collect();
    assert!(
        texts.len() * 4 > 6 * each,
        "the generator makes too few good texts: {} of {}",
        texts.len(),
        2 * each
    );
    texts
}

/// Edits a text that SPIRE reads as it is, without replacing variables.
pub(crate) fn set(text: &str, element: &NodeAttestor<'_>, placement: Placement) -> String {
    set_node_attestor(text, element, placement, Variables::Kept).unwrap_or_else(|e| panic!("{e}\n{text:?}"))
}

fn refusal(text: &str, element: &NodeAttestor<'_>) -> String {
    set_node_attestor(text, element, Placement::Beside, Variables::Kept).unwrap_err().to_string()
}

pub(super) fn small() -> Map<String, Value> {
    Map::from_iter([("port".to_owned(), json!(8881))])
}

#[test]
fn forms_that_spire_does_not_read_are_refused() {
    for (text, told, advice) in REFUSED {
        let data = small();
        let set = refusal(text, &element(&data));
        assert!(set.contains(told) && set.contains(advice), "{text}: {set}");
        assert_eq!(remove_node_attestor(text, "keylime").unwrap_err().to_string(), set);
        assert_eq!(node_attestors(text).unwrap_err().to_string(), set);
    }
}

/// Configurations for `-expandEnv`.
pub(crate) const EXPANDED: [&str; 5] = [
    "agent {\n  server_port = ${PORT}\n}\nplugins {}\n",
    "agent {\n  insecure_bootstrap = $YES,\n  list = [$A_1, ${B}, 1]\n}\nplugins { NodeAttestor \"x\" { plugin_data { a = ${A}$B, b = $A.5 } } }\n",
    "{\"agent\": {\"server_port\": ${PORT}, \"list\": [$A, \"$B\"]}, \"plugins\": {\"NodeAttestor\": {}}}",
    "server { ca_ttl = \"${TTL}\" } # ${note}\nplugins {}\n",
    "{\"plugins\": {\"NodeAttestor\": [{\"x\": {\"plugin_data\": {\"port\": $PORT}}}]}}",
];

#[test]
fn variables_stay_where_spire_expands_them() {
    let data = data();
    for text in EXPANDED {
        let set =
            |text: &str, variables| set_node_attestor(text, &element(&data), Placement::Beside, variables);
        let edited = set(text, Variables::Expanded).unwrap();
        assert_eq!(set(&edited, Variables::Expanded).unwrap(), edited);
        assert_eq!(remove_node_attestor(&edited, "keylime").unwrap(), text);
        match set(text, Variables::Kept) {
            Ok(same) => assert!(same == edited && text.contains("\"${TTL}\""), "{text}"),
            Err(error) => assert!(error.to_string().contains("with -expandEnv"), "{error}"),
        }
    }
    for text in ["a = $", "a = ${", "a = ${1}", "a = $$", "{\"a\": ${}}", "a = ${x y}", "a = $X$"] {
        let error =
            set_node_attestor(text, &element(&data), Placement::Beside, Variables::Expanded).unwrap_err();
        assert!(error.to_string().contains("written as $NAME or ${NAME}"), "{text}: {error}");
    }
    for text in ["$PLUGINS", "$KEY = 1", "{$KEY: 1}", "plugins { $KIND \"x\" {} }"] {
        let error =
            set_node_attestor(text, &element(&data), Placement::Beside, Variables::Expanded).unwrap_err();
        assert!(error.to_string().contains("found a variable"), "{text}: {error}");
    }
}

/// What a variable stands for is not known, so an element that has one is not as asked for.
#[test]
fn an_element_with_a_variable_is_written_anew() {
    let data = Map::from_iter([("a".to_owned(), json!("$A"))]);
    let wanted = NodeAttestor { plugin_checksum: None, ..element(&data) };
    for value in ["\"$A\"", "$A"] {
        let text = format!(
            "plugins {{ NodeAttestor \"keylime\" {{ plugin_cmd = \"/opt/keylime-attestor\" plugin_data {{ a = {value} }} }} }}"
        );
        let edited = set_node_attestor(&text, &wanted, Placement::Sole, Variables::Expanded).unwrap();
        assert_eq!(edited, text.replace(value, "\"\\u0024A\""));
    }
}

/// The places that ours is put into, where they were there before and empty.
#[test]
fn empty_lists_and_objects_stay() {
    let data = Map::new();
    let element = NodeAttestor { plugin_cmd: "/x", plugin_checksum: None, ..element(&data) };
    let ours = "{\"plugin_cmd\":\"/x\",\"plugin_data\":{}}";
    for (text, edited) in [
        ("{\"plugins\":{\"NodeAttestor\":[]}}", "{\"plugins\":{\"NodeAttestor\":[ {\"keylime\":OURS}]}}"),
        ("{\"plugins\":{\"NodeAttestor\":{}}}", "{\"plugins\":{\"NodeAttestor\":{ \"keylime\":OURS}}}"),
        ("{\"a\":1,\"plugins\":{}}", "{\"a\":1,\"plugins\":{ \"NodeAttestor\":[{\"keylime\":OURS}]}}"),
        ("{\"a\":1}", "{\"a\":1,\"plugins\":{\"NodeAttestor\":[{\"keylime\":OURS}]}}"),
    ] {
        for placement in [Placement::Beside, Placement::Sole] {
            assert_eq!(set(text, &element, placement), edited.replace("OURS", ours));
        }
    }
}

/// SPIRE reads all of several objects as long as they hold nothing but objects.
#[test]
fn several_objects_of_plugins_stay_objects_of_objects() {
    let data = Map::new();
    let element = NodeAttestor { plugin_cmd: "/x", plugin_checksum: None, ..element(&data) };
    let ours = "{\"keylime\":{\"plugin_cmd\":\"/x\",\"plugin_data\":{}}}";
    for (text, beside, sole) in [
        (
            "{\"plugins\":[{\"KeyManager\":{\"memory\":{}}},{\"NodeAttestor\":{\"x\":{}}}]}",
            "{\"plugins\":[{\"KeyManager\":{\"memory\":{}}},{\"NodeAttestor\":{\"x\":{},\"keylime\":{\"plugin_cmd\":\"/x\",\"plugin_data\":{}}}}]}",
            "{\"plugins\":[{\"KeyManager\":{\"memory\":{}}},{\"NodeAttestor\":OURS}]}",
        ),
        (
            "{\"plugins\":{\"KeyManager\":{\"memory\":{}}},\"plugins\":{\"B\":{}}}",
            "{\"plugins\":{\"KeyManager\":{\"memory\":{}}},\"plugins\":{\"B\":{},\"NodeAttestor\":OURS}}",
            "{\"plugins\":{\"KeyManager\":{\"memory\":{}}},\"plugins\":{\"B\":{},\"NodeAttestor\":OURS}}",
        ),
        (
            "{\"plugins\":[{\"NodeAttestor\":{\"x\":{}},\"A\":{}},{\"NodeAttestor\":{\"y\":{}},\"B\":{}},{\"NodeAttestor\":{\"z\":{}}}]}",
            "{\"plugins\":[{\"NodeAttestor\":{\"x\":{},\"keylime\":{\"plugin_cmd\":\"/x\",\"plugin_data\":{}}},\"A\":{}},{\"NodeAttestor\":{\"y\":{}},\"B\":{}},{\"NodeAttestor\":{\"z\":{}}}]}",
            "{\"plugins\":[{\"NodeAttestor\":OURS,\"A\":{}},{\"B\":{}},{}]}",
        ),
    ] {
        assert_eq!(set(text, &element, Placement::Beside), beside.replace("OURS", ours));
        assert_eq!(set(text, &element, Placement::Sole), sole.replace("OURS", ours));
    }
}

#[test]
fn what_goes_takes_its_line_end_once() {
    let text = "plugins \"NodeAttestor\" \"a\" {}\nplugins \"NodeAttestor\" \"b\" {}\nplugins \"NodeAttestor\" \"c\" {}";
    let data = Map::new();
    let edited = set(text, &NodeAttestor { plugin_checksum: None, ..element(&data) }, Placement::Sole);
    assert_eq!(
        edited,
        "plugins \"NodeAttestor\" \"keylime\" {\n  plugin_cmd = \"/opt/keylime-attestor\"\n  plugin_data {}\n}\n"
    );
}

#[test]
fn a_text_that_ours_makes_too_long_is_told_so() {
    let data = small();
    for (start, end) in [("plugins {}\n#", "\n"), ("{\n\"plugins\": {}, \"a\": \"", "\"}")] {
        let text = format!("{start}{}{end}", "x".repeat(MAX_TEXT - start.len() - end.len()));
        let error = refusal(&text, &element(&data));
        assert!(
            error.contains(" bytes, more than the 1048576 allowed; make the configuration smaller"),
            "{error}"
        );
        assert!(
            error.contains(if start.starts_with('{') { "at line 2, column" } else { "at line 1, column 10" }),
            "{error}"
        );
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
        let error = refusal("plugins {}", &element);
        assert!(error.contains(told), "{error}");
    }
}

/// The chart's agent: a list of one-key objects, in which ours takes the place of the other one.
#[test]
fn the_charts_agent_gets_ours_instead() {
    let data = small();
    let edited = set(SHAPES[0], &element(&data), Placement::Sole);
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
    let edited = set(SHAPES[1], &element, Placement::Beside);
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
    let agent = set(SHAPES[2], &element, Placement::Sole);
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

    let server = set(SHAPES[3], &element, Placement::Beside);
    let last = "    Notifier \"k8sbundle\" { plugin_data {} }\n";
    let ours = new.replace("  ", "    ");
    assert_eq!(server, SHAPES[3].replace(last, &format!("{last}{ours}")));

    let line = set("plugins { A \"b\" {} }", &element, Placement::Beside);
    assert_eq!(
        line,
        "plugins { A \"b\" {} NodeAttestor \"keylime\" { plugin_cmd = \"/opt/keylime-attestor\" \
         plugin_data { limits { soft = [1, 2] } port = 8881 } } }"
    );
    let packed = set("{\"plugins\":{\"NodeAttestor\":[]}}", &element, Placement::Beside);
    assert_eq!(
        packed,
        "{\"plugins\":{\"NodeAttestor\":[ {\"keylime\":{\"plugin_cmd\":\"/opt/keylime-attestor\",\
         \"plugin_data\":{\"limits\":{\"soft\":[1,2]},\"port\":8881}}}]}}"
    );
}
