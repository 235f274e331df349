//! `spec.enforcement`: what happens to the SPIRE agent of a node that Keylime no longer passes.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::schema::{self, Rule};
use crate::{Duration, Percent};

/// What SPIRE's server does about agents whose node Keylime no longer passes. The plugin in SPIRE's
/// server asks the verifiers about the agents that it attested, and reports to the operator what
/// SPIRE holds and what it did. With the default action it only reports.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Enforcement {
    /// What is done to the SPIRE agent of a node that the verifier fails or no longer knows.
    /// Observe: nothing. Evict: the agent loses its identity and gets it back by itself when
    /// Keylime passes the node again. Ban: it also stays shut out until somebody lifts the ban in
    /// SPIRE. A verifier that cannot be reached evicts nobody.
    pub action: Action,

    /// How often the verifiers are asked, at least 1s. Written like 10s or 1m.
    #[schemars(extend("x-kubernetes-validations" = [INTERVAL]))]
    pub interval: Duration,

    /// How long a node may fail before something is done. Written like 0s or 1m.
    pub grace: Duration,

    /// The same for a node that the verifier does not hear of (TIMEOUT) or does not reach, for
    /// which a network that is down is reason enough. Written like 10m.
    pub unreachable_grace: Duration,

    /// How many agents are evicted or banned in one interval at most.
    #[schemars(schema_with = "per_interval")]
    pub max_per_interval: i32,

    /// Which part of the agents may fail. When more fail at once, nothing is done, Enforcing says
    /// so, and it is up to you: a wrong policy at the verifier has that effect. From 1% to 100%.
    pub max_unhealthy: Percent,

    /// Port of SPIRE's server pods where the plugin reports to the operator. Both ends of the
    /// connection must show the certificate of the Secret of spec.keylime.tls.
    #[schemars(schema_with = "schema::port")]
    pub report_port: u16,
}

/// What is done to the SPIRE agent of a node that fails.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Action {
    /// Nothing: they are only watched.
    #[default]
    Observe,
    /// The agent is evicted.
    Evict,
    /// The agent is banned.
    Ban,
}

const INTERVAL: Rule =
    Rule { rule: "duration(self) >= duration('1s')", message: "interval must be at least 1s" };

fn per_interval(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
    schemars::json_schema!({"type": "integer", "format": "int32", "minimum": 1, "maximum": 1000})
}

impl Default for Enforcement {
    fn default() -> Self {
        Self {
            action: Action::Observe,
            interval: Duration::from_secs(10),
            grace: Duration::from_secs(0),
            unreachable_grace: Duration::from_secs(10 * 60),
            max_per_interval: 10,
            max_unhealthy: Percent::HALF,
            report_port: 9797,
        }
    }
}
