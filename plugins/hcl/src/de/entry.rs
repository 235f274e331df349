//! All that was given for one key, as one value or as several blocks.

use serde::de::{Deserializer, Visitor};

use super::value::Elements;
use crate::error::UNPLACED;
use crate::value::{Data, Entry, Value};
use crate::{Error, Reason};

/// All that was given for one key.
#[derive(Clone, Copy)]
pub(super) struct EntryDeserializer<'v>(pub(super) &'v [&'v Entry]);

impl<'v> EntryDeserializer<'v> {
    fn values(self) -> impl Iterator<Item = &'v Value> + Clone {
        self.0.iter().flat_map(|entry| entry.values.iter())
    }

    /// The one value; nothing for null.
    fn single(self) -> Result<Option<&'v Value>, Error> {
        let mut values = self.values();
        match (values.next(), values.next()) {
            (value, None) => Ok(value),
            (first, Some(second)) => {
                let line = first.map_or(0, |first| first.at.line);
                let text = format!("given twice, first in line {line}");
                Err(Error::new(second.at, Reason::Value(text)))
            }
        }
    }

    fn value(self) -> Result<&'v Value, Error> {
        let missing =
            || Error::new(self.0.first().map_or(UNPLACED, |e| e.at), Reason::Value("has no value".into()));
        self.single()?.ok_or_else(missing)
    }
}

/// Hands over to the deserializer of the one value.
macro_rules! of_single_value {
    ($($method:ident)*) => {$(
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
            self.value()?.$method(visitor)
        }
    )*};
}

impl<'de> Deserializer<'de> for EntryDeserializer<'_> {
    type Error = Error;

    of_single_value! {
        deserialize_bool deserialize_i8 deserialize_i16 deserialize_i32 deserialize_i64 deserialize_i128 deserialize_u8
        deserialize_u16 deserialize_u32 deserialize_u64 deserialize_u128 deserialize_f32 deserialize_f64
        deserialize_char deserialize_str deserialize_string deserialize_bytes deserialize_byte_buf deserialize_map
        deserialize_identifier
    }

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match self.values().count() {
            0 => visitor.visit_unit(),
            1 => self.value()?.deserialize_any(visitor),
            _ => self.deserialize_seq(visitor),
        }
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_unit()
    }

    fn deserialize_unit<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.deserialize_any(visitor)
    }

    fn deserialize_unit_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Error> {
        self.deserialize_any(visitor)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        if self.values().next().is_none() { visitor.visit_none() } else { visitor.visit_some(self) }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Error> {
        visitor.visit_newtype_struct(self)
    }

    /// A list, or blocks of one key, each an element.
    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        let mut blocks = self.values().filter(|value| matches!(value.data, Data::Object(_)));
        if self.values().count() > 1 && blocks.clone().count() == self.values().count() {
            return visitor.visit_seq(Elements { values: &mut blocks });
        }
        self.value()?.deserialize_seq(visitor)
    }

    fn deserialize_tuple<V: Visitor<'de>>(self, _: usize, visitor: V) -> Result<V::Value, Error> {
        self.deserialize_seq(visitor)
    }

    fn deserialize_tuple_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: usize,
        visitor: V,
    ) -> Result<V::Value, Error> {
        self.deserialize_seq(visitor)
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        self.value()?.deserialize_struct(name, fields, visitor)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        self.value()?.deserialize_enum(name, variants, visitor)
    }
}
