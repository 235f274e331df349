//! Writes an element in HCL or JSON.

use serde_json::{Value, json};

use super::error::wrong_element;
use super::style::Style;
use super::{Error, NodeAttestor};
use crate::tree::Language;

/// Deepest nesting of a plugin_data that is written; far below what is read.
const DEEPEST: usize = 16;

/// An element that SPIRE can read: name and content have been checked.
#[derive(Debug)]
pub(super) struct Element {
    pub(super) name: String,
    /// The keys of the plugin in the order in which they are written.
    pub(super) content: Vec<(&'static str, Value)>,
}

impl Element {
    pub(super) fn new(element: &NodeAttestor<'_>) -> Result<Self, Error> {
        let wrong = |problem: &str| wrong_element(element.name, problem);
        if !is_name(element.name) {
            return Err(wrong("its name must be 1 to 64 characters of A-Z a-z 0-9 _ . -"));
        }
        if element.plugin_cmd.is_empty() {
            return Err(wrong("plugin_cmd is empty"));
        }
        let mut content = vec![("plugin_cmd", json!(element.plugin_cmd))];
        if let Some(checksum) = element.plugin_checksum {
            if checksum.len() != 64 || !checksum.bytes().all(|byte| byte.is_ascii_hexdigit()) {
                return Err(wrong("plugin_checksum is not 64 hex digits"));
            }
            content.push(("plugin_checksum", json!(checksum)));
        }
        let data = Value::Object(element.plugin_data.clone());
        admit(&data, 1).map_err(|problem| wrong(&format!("its plugin_data {problem}")))?;
        content.push(("plugin_data", data));
        Ok(Self { name: element.name.to_owned(), content })
    }

    /// The value: `{ … }` with the plugin's keys.
    pub(super) fn body(&self, style: &Style) -> String {
        let members: Vec<(&str, &Value)> = self.content.iter().map(|(key, value)| (*key, value)).collect();
        let mut out = String::new();
        Writer { style, out: &mut out }.object(&members, 0);
        out
    }

    /// A JSON object with the plugin as its only member.
    pub(super) fn named(&self, style: &Style) -> String {
        wrapped(&quote(&self.name), style, |inner| self.body(inner))
    }
}

/// A JSON object with one member.
pub(super) fn wrapped(key: &str, style: &Style, value: impl Fn(&Style) -> String) -> String {
    let inner = style.deeper();
    let colon = if style.spaced { ": " } else { ":" };
    format!("{{{}{key}{colon}{}{}}}", inner.line(), value(&inner), style.line())
}

/// A JSON list with one element.
pub(super) fn listed(style: &Style, value: impl Fn(&Style) -> String) -> String {
    let inner = style.deeper();
    format!("[{}{}{}]", inner.line(), value(&inner), style.line())
}

/// Refuses a value that Go's readers would not hand through unharmed.
fn admit(value: &Value, depth: usize) -> Result<(), String> {
    if depth > DEEPEST {
        return Err(format!("nests deeper than {DEEPEST} levels"));
    }
    match value {
        Value::Null => Err("holds a null; leave the key out".into()),
        Value::Number(number) if number.is_u64() && !number.is_i64() => {
            Err("holds a number beyond 63 bits".into())
        }
        Value::Bool(_) | Value::Number(_) | Value::String(_) => Ok(()),
        Value::Array(list) if list.iter().all(|item| item.is_string() || item.is_number()) => {
            list.iter().try_for_each(|item| admit(item, depth + 1))
        }
        Value::Array(_) => Err("holds a list of something else than strings and numbers".into()),
        Value::Object(members) => members.iter().try_for_each(|(key, value)| match is_name(key) {
            true => admit(value, depth + 1),
            false => Err("has a key that is not 1 to 64 characters of A-Z a-z 0-9 _ . -".into()),
        }),
    }
}

fn is_name(name: &str) -> bool {
    (1..=64).contains(&name.len())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'-'))
}

/// A string in double quotes that HCL and JSON read alike, and without `$`, which `-expandEnv`
/// would replace.
pub(super) fn quote(text: &str) -> String {
    let mut quoted = String::from("\"");
    for character in text.chars() {
        match character {
            '"' => quoted.push_str("\\\""),
            '\\' => quoted.push_str("\\\\"),
            '\n' => quoted.push_str("\\n"),
            '\r' => quoted.push_str("\\r"),
            '\t' => quoted.push_str("\\t"),
            '$' | '\u{7f}' | '\u{e123}' | '\0'..='\u{1f}' => {
                quoted.push_str(&format!("\\u{:04x}", u32::from(character)));
            }
            other => quoted.push(other),
        }
    }
    quoted.push('"');
    quoted
}

struct Writer<'w> {
    style: &'w Style,
    out: &'w mut String,
}

impl Writer<'_> {
    fn object(&mut self, members: &[(&str, &Value)], depth: usize) {
        self.out.push('{');
        for (index, (key, value)) in members.iter().enumerate() {
            if self.style.language == Language::Json && index > 0 {
                self.out.push(',');
            }
            self.separate(index == 0, depth + 1);
            self.member(key, value, depth + 1);
        }
        if !members.is_empty() {
            self.close(depth);
        }
        self.out.push('}');
    }

    /// The white space before a member or an element: a line of its own, or a space.
    fn separate(&mut self, first: bool, depth: usize) {
        let style = self.style;
        if !style.inline {
            self.out.push_str(style.newline);
            self.out.push_str(&style.indent);
            self.out.push_str(&style.unit.repeat(depth));
        } else if style.language == Language::Hcl || (style.spaced && !first) {
            self.out.push(' ');
        }
    }

    fn close(&mut self, depth: usize) {
        if !self.style.inline || self.style.language == Language::Hcl {
            self.separate(true, depth);
        }
    }

    fn member(&mut self, key: &str, value: &Value, depth: usize) {
        match (self.style.language, value) {
            (Language::Json, _) => {
                self.out.push_str(&quote(key));
                self.out.push_str(if self.style.spaced { ": " } else { ":" });
            }
            (Language::Hcl, Value::Object(_)) => self.out.push_str(&format!("{} ", bare(key))),
            (Language::Hcl, _) => self.out.push_str(&format!("{} = ", bare(key))),
        }
        self.value(value, depth);
    }

    fn value(&mut self, value: &Value, depth: usize) {
        match value {
            Value::String(text) => self.out.push_str(&quote(text)),
            Value::Object(members) => {
                let members: Vec<(&str, &Value)> =
                    members.iter().map(|(key, value)| (key.as_str(), value)).collect();
                self.object(&members, depth);
            }
            Value::Array(list) => self.list(list, depth),
            other => self.out.push_str(&other.to_string()),
        }
    }

    /// A list: in JSON one element a line, as SPIRE's chart writes it; in HCL on one line.
    fn list(&mut self, list: &[Value], depth: usize) {
        let broken = !self.style.inline && self.style.language == Language::Json;
        self.out.push('[');
        for (index, value) in list.iter().enumerate() {
            if index > 0 {
                self.out.push(',');
            }
            if broken {
                self.separate(index == 0, depth + 1);
            } else if index > 0 && (self.style.spaced || self.style.language == Language::Hcl) {
                self.out.push(' ');
            }
            self.value(value, depth + 1);
        }
        if broken && !list.is_empty() {
            self.separate(true, depth);
        }
        self.out.push(']');
    }
}

/// A key of HCL without quotes where it can be.
fn bare(key: &str) -> String {
    let first = key.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
    if first && !matches!(key, "true" | "false") { key.to_owned() } else { quote(key) }
}
