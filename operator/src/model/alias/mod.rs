//! Node aliases: one SPIFFE ID for each Node, whichever attestor the SPIRE agent on it came by.
//! Workloads have it as parent, so that they keep their identities while their agent moves.
//!
//! An alias is an entry of SPIRE's server with the selectors of the agents that it takes in. All of
//! these say which Node an agent was proven to be on; none is anything that a kubelet may write.

use serde_json::{Map, Value, json};

/// The `parentIDTemplate` that gives workloads the alias of their Node.
pub(crate) const TEMPLATE: &str =
    "spiffe://{{ .TrustDomain }}/keylime-attestor/node/{{ .ClusterName }}/{{ .NodeMeta.UID }}";

/// The path of all aliases. (An alias cannot lie below `/spire`.)
const PATH: &str = "/keylime-attestor/node/";

/// The aliases of a cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Aliases {
    pub(crate) trust_domain: String,
    /// The name of the cluster, for spire-controller-manager and for SPIRE's own attestor.
    pub(crate) cluster: String,
    /// The class of entries that spire-controller-manager makes, where it makes not all.
    pub(crate) class: Option<String>,
    /// The type of the selectors of agents that attest by Keylime.
    pub(crate) plugin: String,
}

/// The agents that an entry takes in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Agents<'a> {
    /// The one that proved the Node by the token of its pod.
    Proven,
    /// The one of a Keylime agent that is known to be the Node's; for an attestation without a
    /// token.
    Named(&'a str),
    /// The one that SPIRE's own attestor for Kubernetes admitted.
    Former,
}

/// What an entry says, as far as it is ours.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) spiffe_id: String,
    pub(crate) parent_id: String,
    pub(crate) selectors: Vec<String>,
    pub(crate) class: Option<String>,
}

/// Whether aliases can be made.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) enum Aliasing {
    /// Nobody needed to know.
    #[default]
    NotAsked,
    Possible,
    /// What is missing, for a human.
    Impossible(String),
}

impl Aliases {
    /// The alias of a Node for some agents.
    pub(crate) fn entry(&self, node_uid: &str, agents: Agents<'_>) -> Entry {
        let Self { trust_domain, cluster, class, plugin } = self;
        let selectors = match agents {
            Agents::Proven => vec![format!("{plugin}:node_uid:{node_uid}")],
            Agents::Named(agent) => vec![format!("{plugin}:agent_id:{agent}")],
            Agents::Former => {
                vec![format!("k8s_psat:cluster:{cluster}"), format!("k8s_psat:agent_node_uid:{node_uid}")]
            }
        };
        Entry {
            spiffe_id: format!("spiffe://{trust_domain}{PATH}{cluster}/{node_uid}"),
            parent_id: format!("spiffe://{trust_domain}/spire/server"),
            selectors,
            class: class.clone(),
        }
    }
}

impl Agents<'_> {
    /// The end of the entry's name.
    pub(crate) const fn suffix(self) -> &'static str {
        match self {
            Self::Proven => "proven",
            Self::Named(_) => "named",
            Self::Former => "former",
        }
    }
}

impl Entry {
    /// The alias of the same Node for its former agent; [`None`] for an entry that is no alias.
    pub(crate) fn former(&self) -> Option<Self> {
        let (trust_domain, path) = self.spiffe_id.strip_prefix("spiffe://")?.split_once('/')?;
        let (cluster, node_uid) = path.strip_prefix(PATH.trim_start_matches('/'))?.split_once('/')?;
        let aliases = Aliases {
            trust_domain: trust_domain.to_owned(),
            cluster: cluster.to_owned(),
            class: self.class.clone(),
            plugin: String::new(),
        };
        Some(aliases.entry(node_uid, Agents::Former))
    }

    /// The fields of a `ClusterStaticEntry`'s spec.
    pub(crate) fn spec(&self) -> Value {
        let Self { spiffe_id, parent_id, selectors, class } = self;
        let spec =
            [("spiffeID", json!(spiffe_id)), ("parentID", json!(parent_id)), ("selectors", json!(selectors))];
        let class = class.iter().map(|class| ("className", json!(class)));
        spec.into_iter()
            .chain(class)
            .map(|(key, value)| (key.to_owned(), value))
            .collect::<Map<_, _>>()
            .into()
    }

    /// The entry in a `ClusterStaticEntry`'s spec.
    pub(crate) fn read(spec: &Value) -> Self {
        let text = |key: &str| spec.get(key).and_then(Value::as_str).map(str::to_owned);
        let selectors = spec.get("selectors").and_then(Value::as_array).into_iter().flatten();
        Self {
            spiffe_id: text("spiffeID").unwrap_or_default(),
            parent_id: text("parentID").unwrap_or_default(),
            selectors: selectors.filter_map(Value::as_str).map(str::to_owned).collect(),
            class: text("className").filter(|class| !class.is_empty()),
        }
    }
}

#[cfg(test)]
mod tests;
