//! Whether attestations have to prove their Node, and why it is so.

use keylime_attestor_api::Binding;
use keylime_attestor_api::conditions::Reason;

use super::workload::Workload;

/// The binding that SPIRE's server asks for.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Bound {
    pub(crate) binding: Binding,
    /// The reason for the condition BindingRequired, once SPIRE's server runs with it.
    pub(crate) reason: Reason,
    /// What stands in its way; empty where nothing does.
    pub(crate) detail: String,
}

/// What SPIRE's server asks of the tokens of its agents' pods.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Tokens {
    /// True where no agent is accepted without one.
    pub(crate) required: bool,
    /// The accounts of SPIRE's agents, each `namespace:name`. At least one.
    pub(crate) service_accounts: Vec<String>,
}

/// Whether SPIRE's server can have tokens reviewed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) enum Review {
    /// Nobody needed to know.
    #[default]
    NotAsked,
    Possible,
    /// What is missing, for a human.
    Impossible(String),
}

/// The account of a workload's pods, `namespace:name`.
pub(crate) fn account(workload: &Workload) -> String {
    let name = workload.pod_spec().and_then(|pod| pod.service_account_name.as_deref());
    format!("{}:{}", workload.key.namespace, name.filter(|name| !name.is_empty()).unwrap_or("default"))
}
