//! The deserializer of one value.

use serde::de::value::StrDeserializer;
use serde::de::{DeserializeSeed, Deserializer, IntoDeserializer, SeqAccess, Visitor};

use super::ObjectDeserializer;
use crate::value::{Data, Value};
use crate::{Error, Reason, number};

impl Value {
    pub(super) fn mismatch(&self, expected: &str) -> Error {
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
pub(super) struct Elements<'i, I> {
    pub(super) values: &'i mut I,
}

impl<'de, 'v, I: Iterator<Item = &'v Value>> SeqAccess<'de> for Elements<'_, I> {
    type Error = Error;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, Error> {
        let Some(value) = self.values.next() else { return Ok(None) };
        seed.deserialize(value).map(Some).map_err(|error| error.at(value.at))
    }
}
