//! The serde deserializer.

mod entry;

use std::fmt::Display;

use serde::de::value::{StrDeserializer, StringDeserializer};
use serde::de::{
    self, DeserializeOwned, DeserializeSeed, Deserializer, IntoDeserializer, MapAccess, SeqAccess,
    Unexpected, Visitor,
};

use self::entry::EntryDeserializer;
use crate::error::{UNPLACED, short};
use crate::scan::Variables;
use crate::tree::Document;
use crate::value::{Data, Entry, Object, Value};
use crate::{Error, Position, Reason, number};

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

impl Value {
    fn mismatch(&self, expected: &str) -> Error {
        Error::new(self.at, Reason::Value(format!("expected {expected}, got {}", self.describe())))
    }

    /// An integer, or a string that holds one, as in Go.
    fn integer(&self) -> Result<i64, Error> {
        let read = match &self.data {
            Data::Integer(_, value) => Some(*value),
            Data::Text(text) => number::integer(text),
            _ => None,
        };
        read.ok_or_else(|| self.mismatch("an integer"))
    }
}

macro_rules! integers {
    ($($method:ident)*) => {$(
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
            visitor.visit_i64(self.integer()?).map_err(|error: Error| error.at(self.at))
        }
    )*};
}

macro_rules! strings {
    ($($method:ident)*) => {$(
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
            match &self.data {
                Data::Text(text) | Data::Integer(text, _) => visitor.visit_str(text),
                _ => Err(self.mismatch("a string")),
            }
            .map_err(|error: Error| error.at(self.at))
        }
    )*};
}

impl<'de> Deserializer<'de> for &Value {
    type Error = Error;

    integers! {
        deserialize_i8 deserialize_i16 deserialize_i32 deserialize_i64 deserialize_i128
        deserialize_u8 deserialize_u16 deserialize_u32 deserialize_u64 deserialize_u128
    }

    strings! { deserialize_char deserialize_str deserialize_string deserialize_identifier }

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match &self.data {
            Data::Null => visitor.visit_unit(),
            Data::Bool(value) => visitor.visit_bool(*value),
            Data::Integer(_, value) => visitor.visit_i64(*value),
            Data::Float(value) => visitor.visit_f64(*value),
            Data::Text(text) => visitor.visit_str(text),
            Data::List(_) => self.deserialize_seq(visitor),
            Data::Object(_) => self.deserialize_map(visitor),
        }
        .map_err(|error: Error| error.at(self.at))
    }

    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match self.data {
            Data::Bool(value) => visitor.visit_bool(value).map_err(|error: Error| error.at(self.at)),
            _ => Err(self.mismatch("true or false without quotes")),
        }
    }

    fn deserialize_f64<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match &self.data {
            Data::Float(value) => visitor.visit_f64(*value),
            Data::Integer(_, value) => visitor.visit_i64(*value),
            _ => Err(self.mismatch("a number")),
        }
        .map_err(|error: Error| error.at(self.at))
    }

    fn deserialize_f32<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.deserialize_f64(visitor)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        if matches!(self.data, Data::Null) { visitor.visit_none() } else { visitor.visit_some(self) }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Error> {
        visitor.visit_newtype_struct(self)
    }

    /// A list; a single block is a list of one, as in Go.
    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match &self.data {
            Data::List(list) => visitor.visit_seq(Elements { values: &mut list.iter() }),
            Data::Object(_) => visitor.visit_seq(Elements { values: &mut std::iter::once(self) }),
            _ => Err(self.mismatch("a list")),
        }
        .map_err(|error: Error| error.at(self.at))
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        let object = self.as_object().ok_or_else(|| self.mismatch("a block"))?;
        ObjectDeserializer(object).deserialize_map(visitor).map_err(|error| error.at(self.at))
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        let object = self.as_object().ok_or_else(|| self.mismatch("a block"))?;
        ObjectDeserializer(object)
            .deserialize_struct(name, fields, visitor)
            .map_err(|error| error.at(self.at))
    }

    /// Variants without content only, by their name.
    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        match &self.data {
            Data::Text(text) => {
                let name: StrDeserializer<'_, Error> = text.as_str().into_deserializer();
                visitor.visit_enum(name).map_err(|error| error.at(self.at))
            }
            _ => Err(self.mismatch("a string")),
        }
    }

    serde::forward_to_deserialize_any! { bytes byte_buf unit unit_struct tuple tuple_struct ignored_any }
}

/// Elements of a list, or blocks of one key.
struct Elements<'i, I> {
    values: &'i mut I,
}

impl<'de, 'v, I: Iterator<Item = &'v Value>> SeqAccess<'de> for Elements<'_, I> {
    type Error = Error;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, Error> {
        let Some(value) = self.values.next() else { return Ok(None) };
        seed.deserialize(value).map(Some).map_err(|error| error.at(value.at))
    }
}

/// A block, or the whole text.
pub(crate) struct ObjectDeserializer<'v>(pub(crate) &'v Object);

impl<'v> ObjectDeserializer<'v> {
    /// Groups the entries that are one key to the type: those of a known field by that field's
    /// name.
    fn pairs(&self, fields: &[&'static str]) -> Vec<(String, Position, Vec<&'v Entry>)> {
        let mut pairs: Vec<(String, Position, Vec<&'v Entry>)> = Vec::new();
        for entry in &self.0.entries {
            let known = fields.iter().find(|field| field.eq_ignore_ascii_case(&entry.key));
            let Some(field) = known else {
                pairs.push((entry.key.clone(), entry.at, vec![entry]));
                continue;
            };
            // A null is the same as no key at all.
            if entry.values.is_empty() {
                continue;
            }
            match pairs.iter_mut().find(|(name, ..)| name == field) {
                Some((_, _, entries)) => entries.push(entry),
                None => pairs.push(((*field).to_owned(), entry.at, vec![entry])),
            }
        }
        pairs
    }
}

impl<'de> Deserializer<'de> for ObjectDeserializer<'_> {
    type Error = Error;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        let pairs = self.pairs(&[]);
        visitor.visit_map(Members { pairs: pairs.into_iter(), value: None })
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Error> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_some(self)
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        let pairs = self.pairs(fields);
        visitor.visit_map(Members { pairs: pairs.into_iter(), value: None })
    }

    serde::forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit unit_struct seq tuple
        tuple_struct map enum identifier ignored_any
    }
}

struct Members<'v> {
    pairs: std::vec::IntoIter<(String, Position, Vec<&'v Entry>)>,
    value: Option<(String, Position, Vec<&'v Entry>)>,
}

impl<'de> MapAccess<'de> for Members<'_> {
    type Error = Error;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, Error> {
        let Some((name, at, entries)) = self.pairs.next() else { return Ok(None) };
        let key: StringDeserializer<Error> = name.clone().into_deserializer();
        self.value = Some((name, at, entries));
        seed.deserialize(key).map(Some).map_err(|error| error.at(at))
    }

    fn next_value_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<T::Value, Error> {
        let Some((name, at, entries)) = self.value.take() else {
            return Err(de::Error::custom("a value was asked for before its key"));
        };
        seed.deserialize(EntryDeserializer(&entries)).map_err(|error| error.at(at).within(&name))
    }
}

#[cfg(test)]
mod tests;
