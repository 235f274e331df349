//! Agent ids in JSON: strings that are checked when they are read.

use evidence::AgentId;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

pub(crate) fn serialize<S: Serializer>(id: &Option<AgentId>, serializer: S) -> Result<S::Ok, S::Error> {
    id.as_ref().map(AgentId::as_str).serialize(serializer)
}

pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<AgentId>, D::Error> {
    let text = Option::<String>::deserialize(deserializer)?;
    text.map(|text| AgentId::new(&text).map_err(de::Error::custom)).transpose()
}
