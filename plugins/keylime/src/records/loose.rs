//! A record of an agent that may be any JSON.

use std::fmt;

use serde::de::value::MapDeserializer;
use serde::de::{IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::Value;

use crate::verifier::Record;

/// Most members of a record that are kept: enough to notice one that is given twice.
const MAX_MEMBERS: usize = 16;

/// Any JSON in the place of a record, so that reading goes on behind one that cannot be used.
pub(super) enum Loose {
    /// The members that are [used](is_used) in their order, those given twice as well.
    Object(Vec<(String, Value)>),
    Other,
}

/// True for the members that decide, or tell the agent's address. All others are skipped unread,
/// whatever their size.
fn is_used(member: &str) -> bool {
    matches!(
        member,
        "attestation_status"
            | "operational_state"
            | "last_event_id"
            | "last_successful_attestation"
            | "attestation_period"
            | "has_runtime_policy"
            | "has_mb_refstate"
            | "ip"
    )
}

impl Loose {
    pub(super) fn read(self) -> Result<Record, String> {
        let Loose::Object(members) = self else {
            return Err("expected an object, got something else".to_owned());
        };
        let members: MapDeserializer<'_, _, serde_json::Error> = MapDeserializer::new(members.into_iter());
        Record::deserialize(members).map_err(|error| error.to_string())
    }
}

impl<'de> Deserialize<'de> for Loose {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(LooseVisitor)
    }
}

struct LooseVisitor;

impl<'de> Visitor<'de> for LooseVisitor {
    type Value = Loose;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a record")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Loose, A::Error> {
        let mut object = Vec::new();
        while let Some(name) = members.next_key::<String>()? {
            if is_used(&name) && object.len() < MAX_MEMBERS {
                let Scalar(value) = members.next_value()?;
                object.push((name, value));
            } else {
                members.next_value::<IgnoredAny>()?;
            }
        }
        Ok(Loose::Object(object))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Loose, A::Error> {
        while items.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Loose::Other)
    }

    fn visit_bool<E>(self, _: bool) -> Result<Loose, E> {
        Ok(Loose::Other)
    }

    fn visit_i64<E>(self, _: i64) -> Result<Loose, E> {
        Ok(Loose::Other)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Loose, E> {
        Ok(Loose::Other)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Loose, E> {
        Ok(Loose::Other)
    }

    fn visit_str<E>(self, _: &str) -> Result<Loose, E> {
        Ok(Loose::Other)
    }

    fn visit_unit<E>(self) -> Result<Loose, E> {
        Ok(Loose::Other)
    }
}

/// A member's value. The content of an array or an object is skipped unread: no used member is one.
struct Scalar(Value);

impl<'de> Deserialize<'de> for Scalar {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ScalarVisitor).map(Scalar)
    }
}

struct ScalarVisitor;

impl<'de> Visitor<'de> for ScalarVisitor {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Value, A::Error> {
        while members.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(Value::Object(serde_json::Map::new()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        while items.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Value::Array(Vec::new()))
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }
}
