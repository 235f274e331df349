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
/// are equal, and the text is kept as it was written.
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
    /// A span of so many seconds, in the shortest spelling.
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

/// The seconds in a text that is well formed and not too large.
fn seconds(text: &str) -> Option<u64> {
    if text == "0" {
        return Some(0);
    }
    if text.is_empty() || text.len() > MAX_LEN {
        return None;
    }
    let mut rest = text;
    let mut total = 0u64;
    for (unit, length) in [('h', 3600), ('m', 60), ('s', 1)] {
        let Some((count, after)) = rest.split_once(unit) else { continue };
        if count.is_empty() || !count.bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        total = total.checked_add(count.parse::<u64>().ok()?.checked_mul(length)?)?;
        rest = after;
    }
    // Go's durations, and CEL's with them, end after 292 years.
    (rest.is_empty() && total <= (i64::MAX / 1_000_000_000).unsigned_abs()).then_some(total)
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
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_and_their_text_is_kept() {
        for (text, seconds) in [
            ("0", 0),
            ("0s", 0),
            ("10s", 10),
            ("90s", 90),
            ("5m", 300),
            ("1h30m", 5400),
            ("1h0m1s", 3601),
            ("07m", 420),
        ] {
            let duration: Duration = text.parse().unwrap();
            assert_eq!(duration.get().as_secs(), seconds, "{text}");
            assert_eq!(duration.to_string(), text);
        }
    }

    #[test]
    fn what_is_no_duration_is_refused() {
        for text in [
            "",
            "5",
            "s",
            "m5",
            "5 m",
            "-5m",
            "+5m",
            "1.5h",
            "5ms",
            "5d",
            "5m1h",
            "1h1h",
            "5M",
            "99999999999999999999s",
            "9999999999999h",
            "000000000000000000005m",
            "٣s",
        ] {
            assert!(text.parse::<Duration>().is_err(), "{text:?}");
        }
        let message = "5 minutes".parse::<Duration>().unwrap_err().to_string();
        assert!(
            message.ends_with(r#"like 10s, 5m or 1h30m, of at most 20 characters, got "5 minutes""#),
            "{message}"
        );
    }

    #[test]
    fn seconds_get_the_shortest_spelling() {
        for (seconds, text) in
            [(0, "0"), (10, "10s"), (60, "1m"), (3600, "1h"), (5400, "1h30m"), (3661, "1h1m1s")]
        {
            assert_eq!(Duration::from_secs(seconds).as_str(), text);
            assert_eq!(text.parse::<Duration>().unwrap(), Duration::from_secs(seconds));
        }
    }
}
