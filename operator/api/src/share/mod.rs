//! Parts of a whole: `50%`, or a number of nodes.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

/// A percentage from 1% to 100%, written with the sign.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Percent(u8);

/// A number of nodes, or a part of all.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "IntOrString", into = "IntOrString")]
pub enum Share {
    /// A number of nodes, at least one.
    Nodes(u32),
    /// A part of all nodes.
    Percent(Percent),
}

/// A text that is no [`Percent`], or a value that is no [`Share`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidShare {
    /// A text that is no percentage from 1% to 100%.
    #[error("failed to read the percentage: expected 1% to 100%, got {0:?}")]
    Percent(String),
    /// A number of nodes below one.
    #[error("failed to read the number of nodes: expected at least 1, got {0}")]
    Nodes(i32),
}

impl Percent {
    /// 50%.
    pub const HALF: Self = Self(50);

    /// The number before the sign.
    pub const fn get(self) -> u8 {
        self.0
    }

    /// The part of `whole`, rounded down.
    pub fn of(self, whole: usize) -> usize {
        whole.saturating_mul(usize::from(self.0)) / 100
    }
}

impl Share {
    /// The number of nodes of `whole`: at least one, and never more than there are.
    pub fn of(self, whole: usize) -> usize {
        let part = match self {
            Self::Nodes(nodes) => usize::try_from(nodes).unwrap_or(usize::MAX),
            Self::Percent(percent) => percent.of(whole),
        };
        part.max(1).min(whole)
    }
}

impl FromStr for Percent {
    type Err = InvalidShare;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let invalid = || InvalidShare::Percent(text.chars().take(20).collect());
        let number = text.strip_suffix('%').ok_or_else(invalid)?;
        if number.starts_with(['0', '+']) {
            return Err(invalid());
        }
        let number = number.parse().map_err(|_not_a_number| invalid())?;
        (1..=100).contains(&number).then_some(Self(number)).ok_or_else(invalid)
    }
}

impl TryFrom<String> for Percent {
    type Error = InvalidShare;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<Percent> for String {
    fn from(percent: Percent) -> Self {
        percent.to_string()
    }
}

impl fmt::Display for Percent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}%", self.0)
    }
}

impl TryFrom<IntOrString> for Share {
    type Error = InvalidShare;

    fn try_from(value: IntOrString) -> Result<Self, Self::Error> {
        match value {
            IntOrString::Int(nodes) => {
                let some = u32::try_from(nodes).ok().filter(|nodes| *nodes > 0);
                some.map(Self::Nodes).ok_or(InvalidShare::Nodes(nodes))
            }
            IntOrString::String(text) => text.parse().map(Self::Percent),
        }
    }
}

impl From<Share> for IntOrString {
    fn from(share: Share) -> Self {
        match share {
            Share::Nodes(nodes) => Self::Int(i32::try_from(nodes).unwrap_or(i32::MAX)),
            Share::Percent(percent) => Self::String(percent.to_string()),
        }
    }
}

/// The pattern of a percentage in the schema.
const PERCENT: &str = "^([1-9][0-9]?|100)%$";

impl JsonSchema for Percent {
    fn schema_name() -> Cow<'static, str> {
        "Percent".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"type": "string", "minLength": 2, "maxLength": 4, "pattern": PERCENT})
    }
}

impl JsonSchema for Share {
    fn schema_name() -> Cow<'static, str> {
        "Share".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"x-kubernetes-int-or-string": true, "minimum": 1, "maxLength": 4, "pattern": PERCENT})
    }
}

#[cfg(test)]
mod tests;
