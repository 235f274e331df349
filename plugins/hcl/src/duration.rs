//! Durations in Go's spelling. The only reader of them, for the operator's resources too: kube's
//! `Duration` (5.0) counts in floating point and panics on one that is too long.

use std::str::FromStr;
use std::{fmt, time};

use serde::de::{self, Deserialize, Deserializer, Visitor};

/// A duration as Go's `time.ParseDuration` reads it: `10s`, `5m`, `1h30m`, `1.5h`, `250ms`, and
/// `0`. Negative ones, which Go also reads, are refused; the longest is Go's, 2^63-1 nanoseconds.
/// Fractions of a nanosecond are cut off.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Duration(time::Duration);

impl Duration {
    /// The duration.
    pub const fn get(self) -> time::Duration {
        self.0
    }
}

/// The reason why a text is no [`Duration`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("expected {EXPECTED}: {0}")]
pub struct InvalidDuration(&'static str);

impl FromStr for Duration {
    type Err = InvalidDuration;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        parse(text).map_err(InvalidDuration)
    }
}

impl From<Duration> for time::Duration {
    fn from(duration: Duration) -> Self {
        duration.0
    }
}

impl<'de> Deserialize<'de> for Duration {
    /// From a string; HCL lets `0` without quotes be one.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_str(DurationVisitor)
    }
}

struct DurationVisitor;

impl Visitor<'_> for DurationVisitor {
    type Value = Duration;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(EXPECTED)
    }

    fn visit_str<E: de::Error>(self, value: &str) -> Result<Duration, E> {
        value.parse().map_err(E::custom)
    }
}

const EXPECTED: &str = "a duration such as 10s, 5m or 1h30m";

/// Longest first where one begins with another.
const UNITS: [(&str, u64); 8] = [
    ("ns", 1),
    ("us", 1_000),
    ("µs", 1_000),
    ("μs", 1_000),
    ("ms", 1_000_000),
    ("s", 1_000_000_000),
    ("m", 60_000_000_000),
    ("h", 3_600_000_000_000),
];

fn parse(text: &str) -> Result<Duration, &'static str> {
    let unsigned = text.strip_prefix('+').unwrap_or(text);
    if unsigned == "0" {
        return Ok(Duration(time::Duration::ZERO));
    }
    if unsigned.starts_with('-') {
        return Err("it must not be negative");
    }
    if unsigned.is_empty() {
        return Err("it is empty");
    }
    let mut rest = unsigned;
    let mut total = 0_u64;
    while !rest.is_empty() {
        let (nanoseconds, after) = part(rest)?;
        total = total
            .checked_add(nanoseconds)
            .filter(|sum| i64::try_from(*sum).is_ok())
            .ok_or("it is too long")?;
        rest = after;
    }
    Ok(Duration(time::Duration::from_nanos(total)))
}

/// One number with its unit, and what follows it.
fn part(text: &str) -> Result<(u64, &str), &'static str> {
    let (whole, rest) = digits(text);
    let (fraction, rest) = match rest.strip_prefix('.') {
        Some(rest) => digits(rest),
        None => ("", rest),
    };
    if whole.is_empty() && fraction.is_empty() {
        return Err("a number is missing");
    }
    let word = rest.find(|c: char| c == '.' || c.is_ascii_digit()).unwrap_or(rest.len());
    let (name, after) = rest.split_at_checked(word).unwrap_or((rest, ""));
    if name.is_empty() {
        return Err("the unit is missing");
    }
    let (_, unit) =
        UNITS.iter().find(|(known, _)| *known == name).ok_or("the units are h, m, s, ms, us and ns")?;
    let count: u64 = if whole.is_empty() { 0 } else { whole.parse().map_err(|_| "it is too long")? };
    let whole = count.checked_mul(*unit).ok_or("it is too long")?;
    let nanoseconds = whole.checked_add(part_of(*unit, fraction)).ok_or("it is too long")?;
    Ok((nanoseconds, after))
}

/// The nanoseconds of the digits behind the point; from the 19th on a digit is less than one.
fn part_of(unit: u64, fraction: &str) -> u64 {
    let (mut digits, mut scale) = (0_u128, 1_u128);
    for byte in fraction.bytes().take(18) {
        digits = digits * 10 + u128::from(byte - b'0');
        scale *= 10;
    }
    u64::try_from(digits * u128::from(unit) / scale).unwrap_or(u64::MAX)
}

fn digits(text: &str) -> (&str, &str) {
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    text.split_at_checked(end).unwrap_or((text, ""))
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// For the comparison with Go.
    pub(crate) fn nanoseconds(text: &str) -> Option<u64> {
        parse(text).ok().map(|duration| u64::try_from(duration.0.as_nanos()).unwrap())
    }

    #[test]
    fn durations_are_read_in_go_spelling() {
        for (text, value) in [
            ("0", Some(0)),
            ("10s", Some(10_000_000_000)),
            ("5m", Some(300_000_000_000)),
            ("1h30m", Some(5_400_000_000_000)),
            ("1.5h", Some(5_400_000_000_000)),
            (".5s", Some(500_000_000)),
            ("1.s", Some(1_000_000_000)),
            ("+1ms", Some(1_000_000)),
            ("1µs", Some(1_000)),
            ("9223372036854775807ns", Some(9_223_372_036_854_775_807)),
            ("9223372036854775808ns", None),
            ("99999999999999999999h", None),
            ("-1s", None),
            ("", None),
            ("5", None),
            ("s", None),
            (".s", None),
            ("1d", None),
            ("1 s", None),
            ("1s 2m", None),
        ] {
            assert_eq!(nanoseconds(text), value, "{text}");
        }
    }
}
