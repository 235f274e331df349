//! A node's metadata at Keylime, which its administrator writes, and the part of it that may become
//! selectors.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use serde_json::Value;

use crate::excerpt::excerpt;

/// Longest value in bytes.
const VALUE_MAX_LEN: usize = 255;

/// The usable entries of a node's `meta_data`: scalars of at most 255 bytes without control
/// characters.
///
/// Entries that are not usable are left out, and a text that is no JSON object has none: metadata
/// only ever gives a node more selectors, so that what is left out can take rights away but never
/// give any. Metadata is therefore no ground to refuse a node.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Metadata(BTreeMap<String, String>);

/// The name of a metadata entry that may become a selector: 1 to 64 characters of `A-Z a-z 0-9 _ .
/// -`.
///
/// Without a colon, so that the end of the key in `metadata:<key>:<value>` is never in doubt.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct MetadataKey(Box<str>);

/// A text that cannot name a metadata selector.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the metadata key {came} is not usable; 1 to 64 characters of A-Z a-z 0-9 _ . - are expected")]
pub struct InvalidMetadataKey {
    came: String,
}

impl Metadata {
    /// Reads `meta_data`, a JSON object in a string.
    pub fn from_json(text: &str) -> Self {
        let Ok(Value::Object(members)) = serde_json::from_str(text) else {
            return Self::default();
        };
        Self(members.into_iter().filter_map(|(key, value)| Some((key, scalar(value)?))).collect())
    }

    /// The value of an entry, as text: booleans are `true` and `false`, numbers as in JSON.
    pub fn get(&self, key: &MetadataKey) -> Option<&str> {
        self.0.get(&*key.0).map(String::as_str)
    }
}

impl MetadataKey {
    /// Longest key in bytes.
    pub const MAX_LEN: usize = 64;

    /// The key as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for MetadataKey {
    type Err = InvalidMetadataKey;

    fn from_str(key: &str) -> Result<Self, Self::Err> {
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'-');
        if key.is_empty() || key.len() > Self::MAX_LEN || !key.bytes().all(allowed) {
            return Err(InvalidMetadataKey { came: excerpt(key) });
        }
        Ok(Self(key.into()))
    }
}

impl fmt::Display for MetadataKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

fn scalar(value: Value) -> Option<String> {
    let text = match value {
        Value::String(text) => text,
        Value::Bool(value) => value.to_string(),
        Value::Number(number) => number.to_string(),
        Value::Null | Value::Array(_) | Value::Object(_) => return None,
    };
    is_printable(&text).then_some(text)
}

/// Tells if a text from a server may stand in a selector: neither empty nor longer than 255 bytes,
/// on one line, and without invisible characters.
pub(crate) fn is_printable(text: &str) -> bool {
    let visible =
        |character: char| character == ' ' || !(character.is_control() || character.is_whitespace());
    !text.is_empty() && text.len() <= VALUE_MAX_LEN && text.chars().all(visible)
}

#[cfg(test)]
mod tests;
