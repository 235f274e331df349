//! The conditions of a `KeylimeAttestor`, and every reason of each, with its meaning and its
//! remedy.
//!
//! A [`Reason`] knows its condition and its status: the operator can only report pairs that are
//! listed here. `operator/docs/conditions.md` has the same table, made by [`markdown`] and compared
//! in a test.

mod reasons;

use std::fmt;

pub use reasons::*;

/// A condition's type.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ConditionType {
    /// All is as the resource asks for: the sum of the other conditions.
    Ready,
    /// Configurations, workloads and Secrets are there and right, and carry our part.
    ConfigurationApplied,
    /// SPIRE's server runs with the plugin.
    ServerRolledOut,
    /// SPIRE's agents run with the plugin.
    AgentsRolledOut,
    /// Verifier and registrar answer the operator.
    KeylimeReachable,
    /// Every node is attested. About the nodes, not about the installation: Ready does not depend
    /// on it.
    NodesAttested,
    /// SPIRE's server acts on agents whose node Keylime no longer passes. Ready does not depend on
    /// it.
    Enforcing,
    /// Workloads on nodes that attest by Keylime get their identities: their entries have the right
    /// parents.
    ParentIdsConfigured,
    /// Each attestation proves the Node beside the TPM. Ready does not depend on it.
    BindingRequired,
    /// Nodes that Keylime fails can attest by another attestor. Ready does not depend on it.
    BypassPossible,
    /// The client certificate for Keylime lasts. Ready does not depend on it: what follows from its
    /// end, KeylimeReachable tells.
    CertificateValid,
    /// A failure that does not mend itself.
    Degraded,
}

/// A condition's status.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Status {
    /// The condition holds.
    True,
    /// The condition does not hold.
    False,
    /// It is not known whether the condition holds.
    Unknown,
}

/// The reason of a condition's status. Stable over versions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Reason {
    /// The condition.
    pub condition: ConditionType,
    /// The status that the reason gives the condition.
    pub status: Status,
    /// The reason, in CamelCase. Unique within its condition.
    pub name: &'static str,
    /// The meaning, a sentence.
    pub meaning: &'static str,
    /// The remedy, a sentence.
    pub remedy: &'static str,
}

impl ConditionType {
    /// All types, in the order in which they are shown.
    pub const ALL: [Self; 12] = [
        Self::Ready,
        Self::ConfigurationApplied,
        Self::ServerRolledOut,
        Self::AgentsRolledOut,
        Self::KeylimeReachable,
        Self::NodesAttested,
        Self::Enforcing,
        Self::ParentIdsConfigured,
        Self::BindingRequired,
        Self::BypassPossible,
        Self::CertificateValid,
        Self::Degraded,
    ];

    /// The type as the resource has it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ready => "Ready",
            Self::ConfigurationApplied => "ConfigurationApplied",
            Self::ServerRolledOut => "ServerRolledOut",
            Self::AgentsRolledOut => "AgentsRolledOut",
            Self::KeylimeReachable => "KeylimeReachable",
            Self::NodesAttested => "NodesAttested",
            Self::Enforcing => "Enforcing",
            Self::ParentIdsConfigured => "ParentIDsConfigured",
            Self::BindingRequired => "BindingRequired",
            Self::BypassPossible => "BypassPossible",
            Self::CertificateValid => "CertificateValid",
            Self::Degraded => "Degraded",
        }
    }
}

impl Status {
    /// The status as the resource has it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::True => "True",
            Self::False => "False",
            Self::Unknown => "Unknown",
        }
    }
}

impl Reason {
    /// The anchor of its row in `operator/docs/conditions.md`.
    pub fn anchor(&self) -> String {
        format!("{}-{}", self.condition, self.name).to_lowercase()
    }
}

impl fmt::Display for ConditionType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The reasons as a Markdown table, one row each.
pub fn markdown() -> String {
    let mut table =
        "| Condition | Status | Reason | What it means | What to do |\n| --- | --- | --- | --- | --- |\n"
            .to_owned();
    for reason in REASONS {
        let Reason { condition, status, name, meaning, remedy } = reason;
        let anchor = format!("<a id=\"{}\"></a>", reason.anchor());
        table += &format!("| {condition} | {status} | {anchor}`{name}` | {meaning} | {remedy} |\n");
    }
    table
}

#[cfg(test)]
mod tests;
