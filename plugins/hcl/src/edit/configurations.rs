//! Makes configurations of SPIRE as nobody writes them: every form of `plugins`, with white space
//! and comments where the grammar lets them stand. The same seed gives the same texts.

use crate::reference::generate::Generator;

const TYPES: [&str; 5] = ["NodeAttestor", "NodeAttestor", "NodeAttestor", "KeyManager", "UpstreamAuthority"];

const HCL_SPACES: [&str; 14] = [
    " ",
    " ",
    "\n",
    "\n",
    "\n  ",
    "\n\t",
    "\r\n",
    "\r\n  ",
    "\n\n",
    "  ",
    " # }\n",
    " /* { */ ",
    "\n // note\n    ",
    "\r",
];

const HCL_BODIES: [&str; 10] = [
    "{}",
    "{ }",
    "{ plugin_data {} }",
    "{ plugin_data { a = \"}\" } plugin_cmd = \"/x\" }",
    "{\n}",
    "{\n\n  plugin_data {\n    a = 1\n  }\n}",
    "{\r\n\tplugin_data {}\r\n}",
    // Not in plugin_data: with a comment near, SPIRE prints what ends no heredoc.
    "{ plugin_cmd = <<E\n}\nE\n}",
    "{ # why\n a = [1,\n2] }",
    "{\n          plugin_cmd = \"/y\"\n      }",
];

const HCL_ENDS: [&str; 7] = ["", "\n", "\r\n", "\r", "\n# end", "  ", "\n\n  "];

const JSON_SPACES: [&str; 9] = ["", "", " ", "\n", "\n  ", "\r\n\t", "  ", "\n\n", "\n        "];

const JSON_BODIES: [&str; 5] = [
    "{}",
    "{\"plugin_data\": {}}",
    "{\"plugin_cmd\":\"/x\"}",
    "{\n\"plugin_cmd\": \"/y\"\n  }",
    "{ \"plugin_data\" : null ,\"plugin_cmd\": \"}\" }",
];

/// An HCL configuration.
pub(super) fn hcl(make: &mut Generator) -> String {
    let mut out = String::new();
    let names = &mut Names::default();
    let above = make.below(3);
    for _ in 0..above {
        out += make.one(&[
            "a = 1\n",
            "server {\n  b = \"{\"\n}\n",
            "# plugins {\n",
            "\n",
            "server { b = [] } ",
            "c = <<E\nx\nE\n",
        ]);
    }
    if make.chance(8) {
        for _ in 0..make.below(4) {
            out += &format!("plugins {} ", make.one(&TYPES));
            out += &hcl_plugin(make, names);
            out += make.one(&["\n", " ", "\r\n", "\n\n"]);
        }
    } else if !make.chance(10) {
        out += make.one(&["plugins {", "plugins = {", "\"Plugins\" {", "plugins\n{"]);
        for _ in 0..make.below(5) {
            out += make.one(&HCL_SPACES);
            hcl_type(make, names, &mut out);
        }
        out += make.one(&HCL_SPACES);
        out += if make.chance(3) { "" } else { make.one(&HCL_SPACES) };
        out += "}";
    }
    if make.chance(3) {
        out += make.one(&["\nz = 1", " z {}", " # last\n"]);
    }
    out + make.one(&HCL_ENDS)
}

fn hcl_type(make: &mut Generator, names: &mut Names, out: &mut String) {
    *out += make.one(&TYPES);
    match make.below(4) {
        0 => {
            *out += make.one(&[" {", " = {", "{"]);
            for _ in 0..make.below(3) {
                *out += make.one(&HCL_SPACES);
                *out += &hcl_plugin(make, names);
            }
            *out += make.one(&HCL_SPACES);
            *out += "}";
        }
        _ => {
            *out += " ";
            *out += &hcl_plugin(make, names);
        }
    }
    *out += make.one(&["", "", "", ",", " ,"]);
}

fn hcl_plugin(make: &mut Generator, names: &mut Names) -> String {
    let name = names.next(make);
    let name = if make.chance(2) { format!("\"{name}\"") } else { name };
    let rest = if make.chance(8) { " plugin_data" } else { "" };
    format!("{name}{rest} {}", make.one(&HCL_BODIES))
}

/// A JSON configuration.
pub(super) fn json(make: &mut Generator) -> String {
    let names = &mut Names::default();
    let mut members = Vec::new();
    if make.chance(2) {
        members.push("\"server\":{\"trust_domain\": \"plugins\"}".to_owned());
    }
    match make.below(8) {
        0 => {}
        1 => {
            members.push(format!("\"plugins\":{}", json_block(make, names, true)));
            members.push(format!("\"Plugins\":{}", json_block(make, names, true)));
        }
        2 => {
            let flat = make.chance(2);
            let blocks = (0..1 + make.below(3)).map(|_| json_block(make, names, flat)).collect();
            let list = joined(make, '[', blocks, ']');
            members.push(format!("\"plugins\":{list}"));
        }
        _ => members.push(format!("\"plugins\":{}", json_block(make, names, false))),
    }
    if make.chance(3) {
        members.push("\"health_checks\": {}".to_owned());
    }
    joined(make, '{', members, '}') + make.one(&["", "\n", "\r\n", " "])
}

/// An object of plugins; a flat one holds nothing but objects.
fn json_block(make: &mut Generator, names: &mut Names, flat: bool) -> String {
    let count = make.below(4);
    let members = (0..count).map(|_| {
        let kind = make.one(&TYPES);
        let value = if flat || make.chance(2) {
            json_plugins(make, names)
        } else {
            let objects = (0..make.below(4)).map(|_| json_plugins(make, names)).collect();
            joined(make, '[', objects, ']')
        };
        format!("\"{kind}\"{}{value}", make.one(&[":", ": ", " :\n"]))
    });
    let members = members.collect();
    joined(make, '{', members, '}')
}

fn json_plugins(make: &mut Generator, names: &mut Names) -> String {
    let members = (0..make.below(3))
        .map(|_| format!("\"{}\"{}{}", names.next(make), make.one(&[":", ": "]), make.one(&JSON_BODIES)))
        .collect();
    joined(make, '{', members, '}')
}

fn joined(make: &mut Generator, open: char, parts: Vec<String>, close: char) -> String {
    let mut out = String::from(open);
    let last = parts.len();
    for (index, part) in parts.iter().enumerate() {
        out += make.one(&JSON_SPACES);
        out += part;
        if index + 1 < last || make.chance(12) {
            out += make.one(&["", "", " ", "\n"]);
            out += ",";
        }
    }
    out += make.one(&JSON_SPACES);
    out.push(close);
    out
}

/// Names of plugins, none twice; now and then ours.
#[derive(Default)]
struct Names {
    count: usize,
    ours: bool,
}

impl Names {
    fn next(&mut self, make: &mut Generator) -> String {
        self.count += 1;
        if !self.ours && make.chance(12) {
            self.ours = true;
            return "keylime".to_owned();
        }
        format!("x{}", self.count)
    }
}
