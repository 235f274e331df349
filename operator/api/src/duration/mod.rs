//! Durations as they are written in Kubernetes and in SPIRE: `10s`, `5m`, `1h30m`.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

/// Longest text in bytes. Also keeps the cost of the apiserver's rules within its budget.
const MAX_LEN: usize = 20;

/// A time span in whole seconds, written as hours, minutes and seconds in this order, at least one
/// of them, or `0`.
///
/// These are the spellings that Go's `time.ParseDuration` and the apiserver's CEL read alike;
/// fractions and smaller units, which nothing here needs, are left out. Two spellings of one span
/// are equal, and the text is kept as it was written. It is read by `hcl`, which reads Go's
/// durations for the plugins too.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Duration {
    text: String,
    seconds: u64,
}

/// A text that is no [`Duration`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "failed to read the duration: expected hours, minutes and seconds like 10s, 5m or 1h30m, of at most {MAX_LEN} characters, got {came:?}"
)]
pub struct InvalidDuration {
    came: String,
}

impl Duration {
    /// A span of some seconds, in the shortest spelling.
    pub fn from_secs(seconds: u64) -> Self {
        let parts = [(seconds / 3600, 'h'), (seconds / 60 % 60, 'm'), (seconds % 60, 's')];
        let text: String = parts
            .iter()
            .filter(|(count, _)| *count > 0)
            .map(|(count, unit)| format!("{count}{unit}"))
            .collect();
        Self { text: if text.is_empty() { "0".to_owned() } else { text }, seconds }
    }

    /// The span as the standard library has it.
    pub fn get(&self) -> std::time::Duration {
        std::time::Duration::from_secs(self.seconds)
    }

    /// The text as it was written; SPIRE's configurations take it as it is.
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

impl FromStr for Duration {
    type Err = InvalidDuration;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let seconds = seconds(text)
            .ok_or_else(|| InvalidDuration { came: text.chars().take(2 * MAX_LEN).collect() })?;
        Ok(Self { text: text.to_owned(), seconds })
    }
}

/// The seconds in a text of the spelling that is allowed.
fn seconds(text: &str) -> Option<u64> {
    let allowed = text.len() <= MAX_LEN && (text == "0" || is_in_order(text));
    let duration: hcl::Duration = allowed.then(|| text.parse().ok())??;
    Some(duration.get().as_secs())
}

/// True for whole hours, minutes and seconds in this order: of Go's spellings the only ones that
/// the schema's pattern lets through.
fn is_in_order(text: &str) -> bool {
    let rest = ['h', 'm', 's'].iter().try_fold(text, |rest, unit| {
        let Some((count, after)) = rest.split_once(*unit) else { return Some(rest) };
        (!count.is_empty() && count.bytes().all(|byte| byte.is_ascii_digit())).then_some(after)
    });
    rest == Some("")
}

impl TryFrom<String> for Duration {
    type Error = InvalidDuration;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<Duration> for String {
    fn from(duration: Duration) -> Self {
        duration.text
    }
}

impl fmt::Display for Duration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl PartialEq for Duration {
    fn eq(&self, other: &Self) -> bool {
        self.seconds == other.seconds
    }
}

impl Eq for Duration {}

impl JsonSchema for Duration {
    fn schema_name() -> Cow<'static, str> {
        "Duration".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "minLength": 1,
            "maxLength": MAX_LEN,
            "pattern": "^(0|([0-9]+h)?([0-9]+m)?([0-9]+s)?)$",
        })
    }
}

#[cfg(test)]
mod tests;
