//! What verifiers hold of all their agents, read from their bulk answers.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::fmt;

use evidence::{AgentId, NodeState};
use serde::de::value::MapDeserializer;
use serde::de::{IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::Value;

use crate::Endpoint;
use crate::error::{Error, Malformed, Server};
use crate::http::{Answer, Failure};
use crate::servers::{AgentState, Contact};
use crate::verifier::Record;

/// The most agents that one verifier may tell of.
const MAX_AGENTS: usize = 20_000;

/// How much of a record's problem is told, in characters.
const MAX_TEXT: usize = 200;

/// What the verifiers hold, by one answer of each.
#[derive(Debug, Default)]
pub struct States {
    /// The agents that exactly one verifier has, and whose record can be read.
    pub agents: BTreeMap<AgentId, AgentState>,
    /// What was told and cannot be used. Of these agents nothing is known.
    pub doubts: Vec<Doubt>,
    /// The verifiers that gave no answer, each with the reason. Their agents are missing from
    /// `agents`.
    pub failures: Vec<Error>,
}

/// What the verifiers say of one agent, all taken together.
#[derive(Debug, Clone, Copy)]
pub enum Known<'a> {
    /// One of them has it.
    At(&'a AgentState),
    /// All of them answered, and none has it.
    Nowhere,
    /// It cannot be said: a verifier did not answer, or the agent is one of the doubts.
    Unclear,
}

/// Why nothing is known of an agent that was told of.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Doubt {
    /// Its record cannot be read.
    #[error("failed to read what the Keylime verifier at {verifier} holds of agent {agent:?}: {detail}")]
    Record {
        /// The verifier.
        verifier: Endpoint,
        /// The agent's id as it came, or the start of it.
        agent: String,
        /// What is wrong.
        detail: String,
    },
    /// Two verifiers have it: which of them counts is not known.
    #[error(
        "failed to find agent {agent} at one verifier: those at {} and {} have it; remove it from one of them", .verifiers[0], .verifiers[1]
    )]
    KnownTwice {
        /// The agent.
        agent: AgentId,
        /// The first two verifiers that have it.
        verifiers: [Endpoint; 2],
    },
}

/// One verifier's answer.
#[derive(Debug)]
pub(crate) struct Bulk {
    verifier: Endpoint,
    records: Records,
}

/// The records in an answer.
#[derive(Debug, Default)]
struct Records {
    good: BTreeMap<AgentId, (NodeState, Option<Contact>)>,
    /// Ids, or the start of what should be one, with what is wrong.
    bad: BTreeMap<String, String>,
    too_many: bool,
}

impl States {
    /// What is known of one agent.
    pub fn of_agent(&self, agent: &AgentId) -> Known<'_> {
        match self.agents.get(agent) {
            Some(state) => Known::At(state),
            None if self.failures.is_empty() && !self.doubts.iter().any(|doubt| doubt.is_about(agent)) => {
                Known::Nowhere
            }
            None => Known::Unclear,
        }
    }

    pub(crate) fn of(answers: Vec<Result<Bulk, Error>>) -> States {
        let mut states = States::default();
        for answer in answers {
            match answer {
                Ok(bulk) => states.add(bulk),
                Err(error) => states.failures.push(error),
            }
        }
        // What is in doubt at one verifier is not certain by the word of another.
        let States { agents, doubts, .. } = &mut states;
        for doubt in doubts.iter() {
            doubt.agent().and_then(|agent| agents.remove(&agent));
        }
        states
    }

    fn add(&mut self, Bulk { verifier, records }: Bulk) {
        for (agent, (node, contact)) in records.good {
            match self.agents.entry(agent) {
                Entry::Vacant(free) => {
                    free.insert(AgentState { node, contact, verifier: verifier.clone() });
                }
                Entry::Occupied(first) => {
                    let verifiers = [first.get().verifier.clone(), verifier.clone()];
                    self.doubts.push(Doubt::KnownTwice { agent: first.key().clone(), verifiers });
                }
            }
        }
        let bad = records.bad.into_iter();
        self.doubts.extend(bad.map(|(agent, detail)| Doubt::Record {
            verifier: verifier.clone(),
            agent,
            detail,
        }));
    }
}

impl Doubt {
    /// The agent in question; [`None`] where the id is none that an agent can have.
    pub fn agent(&self) -> Option<AgentId> {
        match self {
            Doubt::Record { agent, .. } => AgentId::new(agent).ok(),
            Doubt::KnownTwice { agent, .. } => Some(agent.clone()),
        }
    }

    fn is_about(&self, other: &AgentId) -> bool {
        match self {
            Doubt::Record { agent, .. } => agent == other.as_str(),
            Doubt::KnownTwice { agent, .. } => agent == other,
        }
    }
}

impl Bulk {
    /// Reads an answer. A record that cannot be read is noted and spoils no other.
    pub(crate) fn read(answer: &Answer, server: &Server) -> Result<Bulk, Failure> {
        let records: Records = answer.results("the verifier's records of all agents", false)?;
        if records.too_many {
            return Err(Malformed::TooManyAgents { limit: MAX_AGENTS }.into());
        }
        Ok(Bulk { verifier: server.endpoint.clone(), records })
    }
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

/// A record that is JSON, whatever else it may be: so that reading goes on behind one that is of no
/// use.
enum Loose {
    /// All members in their order, those given twice as well.
    Object(Vec<(String, Value)>),
    Other,
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
        while let Some(member) = members.next_entry()? {
            object.push(member);
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
