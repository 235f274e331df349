//! Keylime's verifiers: a list that is never empty.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, Serialize};

use crate::schema;

/// One of Keylime's verifiers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Verifier {
    /// Host of the verifier, as seen from SPIRE's server pod and from the operator: a DNS name, an
    /// IPv4 or an IPv6 address, without scheme and port.
    #[schemars(schema_with = "schema::host")]
    pub host: String,

    /// The verifier's https port.
    #[serde(default = "verifier_port")]
    #[schemars(schema_with = "schema::port")]
    pub port: u16,
}

/// Keylime's verifiers, at least one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Vec<Verifier>", into = "Vec<Verifier>")]
pub struct Verifiers {
    first: Verifier,
    others: Vec<Verifier>,
}

/// A list without a verifier.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("failed to read the verifiers: expected at least one, got none")]
pub struct NoVerifier;

impl Verifiers {
    /// The first verifier, whose host is the registrar's unless that has its own.
    pub fn first(&self) -> &Verifier {
        &self.first
    }

    /// The verifiers behind the first one.
    pub fn others(&self) -> &[Verifier] {
        &self.others
    }

    /// All verifiers, in their order.
    pub fn iter(&self) -> impl Iterator<Item = &Verifier> + Clone {
        std::iter::once(&self.first).chain(&self.others)
    }
}

impl TryFrom<Vec<Verifier>> for Verifiers {
    type Error = NoVerifier;

    fn try_from(all: Vec<Verifier>) -> Result<Self, NoVerifier> {
        let mut all = all.into_iter();
        let first = all.next().ok_or(NoVerifier)?;
        Ok(Self { first, others: all.collect() })
    }
}

impl From<Verifiers> for Vec<Verifier> {
    fn from(verifiers: Verifiers) -> Self {
        std::iter::once(verifiers.first).chain(verifiers.others).collect()
    }
}

impl JsonSchema for Verifiers {
    fn schema_name() -> Cow<'static, str> {
        "Verifiers".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        Vec::<Verifier>::json_schema(generator)
    }
}

fn verifier_port() -> u16 {
    8881
}

#[cfg(test)]
mod tests;
