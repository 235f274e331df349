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
mod tests;
