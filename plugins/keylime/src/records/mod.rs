//! The records of all agents in a verifier's answer, read one by one.

mod loose;

use std::collections::BTreeMap;
use std::fmt;

use evidence::{AgentId, NodeState};
use serde::de::{IgnoredAny, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};

use loose::Loose;

use crate::servers::Contact;
use crate::states::MAX_AGENTS;

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
