//! The deserializer of a block, or of the whole text.

use serde::de::value::StringDeserializer;
use serde::de::{self, DeserializeSeed, Deserializer, IntoDeserializer, MapAccess, Visitor};

use super::entry::EntryDeserializer;
use crate::value::{Entry, Object};
use crate::{Error, Position};

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
