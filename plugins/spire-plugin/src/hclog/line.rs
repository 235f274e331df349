//! One line of the log.

use std::borrow::Cow;

use serde_json::{Map, Value};
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::{FormatTime, SystemTime as Rfc3339};

/// SPIRE reads at most 64 KiB as one line. What is longer arrives in pieces, which it cannot read
/// as JSON.
const MAX_LINE_BYTES: usize = 64 * 1024;

/// Longest message and longest text of a field, in bytes. JSON may make six bytes of one, and then
/// a message of this length still fits a line.
const MAX_TEXT_BYTES: usize = 8 * 1024;

/// Longest name of a field, in bytes.
const MAX_NAME_BYTES: usize = 256;

/// Room kept for what a line always needs after its fields: the number of those left out, bracket,
/// and the line's end.
const RESERVED_BYTES: usize = 64;

/// Named values of a span or an event.
#[derive(Debug, Default)]
pub(super) struct Fields(Map<String, Value>);

impl Fields {
    pub(super) fn set(&mut self, name: &str, value: Value) {
        let value = match value {
            Value::String(text) => Value::String(shortened(&text, MAX_TEXT_BYTES).into_owned()),
            other => other,
        };
        self.0.insert(renamed(name), value);
    }

    pub(super) fn extend(&mut self, others: &Self) {
        self.0.extend(others.0.iter().map(|(name, value)| (name.clone(), value.clone())));
    }
}

/// A line with its end. Members with a leading `@` are always strings: SPIRE panics on anything
/// else.
pub(super) fn render(level: &str, module: &str, message: &str, fields: &Fields) -> Vec<u8> {
    let mut line = [
        member("@level", &level.into()),
        member("@message", &shortened(message, MAX_TEXT_BYTES).into()),
        member("@module", &shortened(module, MAX_NAME_BYTES).into()),
        member("@timestamp", &timestamp().into()),
    ]
    .join(",");

    let mut left_out = 0_u64;
    for (name, value) in &fields.0 {
        let member = member(name, value);
        if line.len() + member.len() <= MAX_LINE_BYTES - RESERVED_BYTES {
            line = line + "," + &member;
        } else {
            left_out += 1;
        }
    }
    if left_out > 0 {
        line = line + "," + &member("fields_left_out", &left_out.into());
    }
    format!("{{{line}}}\n").into_bytes()
}

fn member(name: &str, value: &Value) -> String {
    format!("{}:{value}", Value::from(name))
}

/// Only the members of `render` may have a leading `@`.
fn renamed(name: &str) -> String {
    let plain = name.trim_start_matches('@');
    let name = if plain.len() == name.len() { Cow::Borrowed(name) } else { format!("field_{plain}").into() };
    shortened(&name, MAX_NAME_BYTES).into_owned()
}

fn shortened(text: &str, max: usize) -> Cow<'_, str> {
    if text.len() <= max {
        return text.into();
    }
    let note = format!("… (shortened, it has {} bytes)", text.len());
    let end = text.floor_char_boundary(max.saturating_sub(note.len()));
    format!("{}{note}", text.get(..end).unwrap_or_default()).into()
}

/// Now, in UTC, as SPIRE reads it: `2006-01-02T15:04:05.000000Z`.
fn timestamp() -> String {
    let mut text = String::new();
    match Rfc3339.format_time(&mut Writer::new(&mut text)) {
        Ok(()) => text,
        // Writing to a string does not fail. SPIRE needs a date in any case.
        Err(_) => "1970-01-01T00:00:00.000000Z".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rendered(message: &str, fields: &Fields) -> Value {
        let line = render("info", "test", message, fields);
        assert!(line.len() <= MAX_LINE_BYTES, "{} bytes", line.len());
        assert_eq!(line.iter().filter(|&&byte| byte == b'\n').count(), 1);
        serde_json::from_slice(&line).unwrap()
    }

    #[test]
    fn has_what_spire_reads() {
        let mut fields = Fields::default();
        fields.set("agent_id", "a\nb".into());
        fields.set("count", 3.into());
        let line = rendered("done", &fields);
        assert_eq!(line["@level"], "info");
        assert_eq!(line["@message"], "done");
        assert_eq!(line["@module"], "test");
        assert_eq!(line["agent_id"], "a\nb");
        assert_eq!(line["count"], 3);
        let time = line["@timestamp"].as_str().unwrap();
        let shape: String = time.chars().map(|c| if c.is_ascii_digit() { '0' } else { c }).collect();
        assert_eq!(shape, "0000-00-00T00:00:00.000000Z");
    }

    #[test]
    fn only_own_members_begin_with_an_at_sign() {
        let mut fields = Fields::default();
        for name in ["@level", "@message", "@timestamp", "@@x"] {
            fields.set(name, 5.into());
        }
        let line = rendered("done", &fields);
        assert!(line["@level"].is_string() && line["@message"].is_string() && line["@timestamp"].is_string());
        assert_eq!(line["field_level"], 5);
        assert_eq!(line["field_x"], 5);
        assert_eq!(line.as_object().unwrap().keys().filter(|name| name.starts_with('@')).count(), 4);
    }

    #[test]
    fn the_longest_message_fits() {
        for text in ["\u{1}", "ä", "\"", "😀"] {
            let line = rendered(&text.repeat(100_000), &Fields::default());
            let message = line["@message"].as_str().unwrap();
            assert!(message.starts_with(text) && message.contains("shortened, it has "), "{text}");
        }
    }

    #[test]
    fn the_most_and_longest_fields_fit() {
        let mut fields = Fields::default();
        for number in 0..1000 {
            fields.set(&format!("{number}{}", "n".repeat(1000)), "\u{1}".repeat(100_000).into());
        }
        fields.set("a", "kept".into());
        let line = rendered(&"\u{1}".repeat(100_000), &fields);
        assert!(line["fields_left_out"].as_u64().unwrap() > 0);
        assert_eq!(line["a"], "kept");
    }

    #[test]
    fn one_long_field_is_shortened() {
        let mut fields = Fields::default();
        fields.set("body", "x".repeat(100_000).into());
        let line = rendered("done", &fields);
        let body = line["body"].as_str().unwrap();
        assert!(body.starts_with("xxx") && body.ends_with("… (shortened, it has 100000 bytes)"));
    }
}
