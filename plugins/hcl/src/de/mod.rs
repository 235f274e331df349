//! The serde deserializer.

mod entry;
mod object;
mod value;

use std::fmt::Display;

use serde::de::{self, DeserializeOwned, Unexpected};

use self::entry::EntryDeserializer;
pub(crate) use self::object::ObjectDeserializer;
use crate::cursor::Variables;
use crate::error::{UNPLACED, short};
use crate::tree::Document;
use crate::value::{Entry, Object};
use crate::{Error, Reason};

/// Reads a text, HCL 1 or JSON, into a type.
///
/// Keys of the type are matched without regard to ASCII case. With `#[serde(deny_unknown_fields)]`
/// an unknown key is an error that names the nearest known one; without, unknown keys are skipped
/// (but must still parse).
pub fn from_str<T: DeserializeOwned>(text: &str) -> Result<T, Error> {
    from_str_as(text, Variables::Kept)
}

/// As [`from_str`], of a text in which variables may stand where values do.
pub fn from_str_as<T: DeserializeOwned>(text: &str, variables: Variables) -> Result<T, Error> {
    let document = Document::parse_as(text, variables)?;
    let root = Object::of_document(&document);
    T::deserialize(ObjectDeserializer(&root)).map_err(|error| error.at(root.at))
}

/// Reads what was given for one key: exactly one value, or several blocks for a list.
pub(crate) fn from_entries<T: DeserializeOwned>(entries: &[&Entry]) -> Result<T, Error> {
    T::deserialize(EntryDeserializer(entries))
        .map_err(|error| error.at(entries.first().map_or(UNPLACED, |e| e.at)))
}

impl de::Error for Error {
    fn custom<T: Display>(message: T) -> Self {
        Self::new(UNPLACED, Reason::Value(message.to_string()))
    }

    fn invalid_type(unexpected: Unexpected<'_>, expected: &dyn de::Expected) -> Self {
        Self::custom(format_args!("expected {expected}, got {}", describe(unexpected)))
    }

    fn invalid_value(unexpected: Unexpected<'_>, expected: &dyn de::Expected) -> Self {
        Self::custom(format_args!("expected {expected}, got {}", describe(unexpected)))
    }

    fn unknown_variant(variant: &str, known: &'static [&'static str]) -> Self {
        Self::custom(unknown("value", variant, known))
    }

    fn unknown_field(field: &str, known: &'static [&'static str]) -> Self {
        Self::custom(unknown("key", field, known))
    }
}

/// Strings are not shown: a key or a token may stand where it does not belong.
fn describe(unexpected: Unexpected<'_>) -> String {
    match unexpected {
        Unexpected::Str(_) => "a string".into(),
        Unexpected::Bytes(_) => "bytes".into(),
        other => other.to_string(),
    }
}

/// Names the known word that is nearest to an unknown one.
pub(crate) fn unknown(what: &str, found: &str, known: &[&str]) -> String {
    let lower = found.to_ascii_lowercase();
    let distance = |candidate: &&&str| strsim::damerau_levenshtein(&lower, &candidate.to_ascii_lowercase());
    // The distance takes quadratic time: a long word has no near one.
    let nearest = known.iter().filter(|_| found.len() <= 64).min_by_key(distance);
    match nearest {
        Some(nearest) => format!("unknown {what} '{}', did you mean '{nearest}'?", short(found)),
        None => format!("unknown {what} '{}'", short(found)),
    }
}

#[cfg(test)]
mod tests;
