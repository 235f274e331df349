//! The records of all agents in a verifier's answer, read one by one.

use std::collections::BTreeMap;
use std::fmt;

use evidence::{AgentId, NodeState};
use serde::de::value::MapDeserializer;
use serde::de::{IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::Value;

use crate::servers::Contact;
use crate::states::MAX_AGENTS;
use crate::verifier::Record;

/// Most members of a record that are kept: enough to notice one that is given twice.
const MAX_MEMBERS: usize = 16;

/// Longest text of a record's problem, in characters.
const MAX_TEXT: usize = 200;

/// The records in an answer.
#[derive(Debug, Default)]
pub(crate) struct Records {
    pub(crate) good: BTreeMap<AgentId, (NodeState, Option<Contact>)>,
    /// Ids, or the start of a text that is none, each with its problem.
    pub(crate) bad: BTreeMap<String, String>,
    pub(crate) too_many: bool,
}

impl Records {
    fn add(&mut self, id: &str, record: Loose) {
        let agent = match AgentId::new(id) {
            Ok(agent) => agent,
            Err(error) => return self.spoil(id, error.to_string()),
        };
        if self.good.remove(&agent).is_some() || self.bad.contains_key(id) {
            return self.spoil(id, "expected one record, got two".to_owned());
        }
        match record.read().and_then(|record| {
            let contact = record.contact.clone();
            Ok((record.node_state(&agent)?, contact))
        }) {
            Ok(state) => drop(self.good.insert(agent, state)),
            Err(detail) => self.spoil(id, detail),
        }
    }

    fn spoil(&mut self, id: &str, detail: String) {
        self.bad.insert(id.chars().take(AgentId::MAX_LEN).collect(), detail.chars().take(MAX_TEXT).collect());
    }
}

impl<'de> Deserialize<'de> for Records {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(RecordsVisitor)
    }
}

struct RecordsVisitor;

impl<'de> Visitor<'de> for RecordsVisitor {
    type Value = Records;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object of records")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Records, A::Error> {
        let mut records = Records::default();
        let mut number = 0;
        while let Some(id) = members.next_key::<String>()? {
            number += 1;
            records.too_many = number > MAX_AGENTS;
            if records.too_many {
                members.next_value::<IgnoredAny>()?;
            } else {
                records.add(&id, members.next_value()?);
            }
        }
        Ok(records)
    }
}

/// Any JSON in the place of a record, so that reading goes on behind one that cannot be used.
enum Loose {
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
            | "has_runtime_policy"
            | "has_mb_refstate"
            | "ip"
    )
}

impl Loose {
    fn read(self) -> Result<Record, String> {
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
