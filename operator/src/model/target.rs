//! A workload of SPIRE with its desired state, complete and valid.

use std::collections::BTreeMap;

use hcl::edit::Placement;
use k8s_openapi::api::core::v1::ConfigMap;
use keylime_attestor_api::{
    ConfigMapSource, Format, KeylimeAgent, KeylimeAttestor, Mode, ServerKind, Workload as Asking,
};
use kube::ResourceExt as _;

use crate::model::alias::Aliases;
use crate::model::binding::Bound;
use crate::model::builds::Builds;
use crate::model::workload::{Kind, Workload, WorkloadKey};

/// The program that a workload runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Role {
    Server,
    Agent,
}

/// A workload as the resource names it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Asked {
    pub(crate) role: Role,
    pub(crate) key: WorkloadKey,
    pub(crate) container: Option<String>,
    pub(crate) config_path: Option<String>,
    pub(crate) config_map: Option<ConfigMapSource>,
    pub(crate) architecture: Option<String>,
    /// The Keylime agents beside these SPIRE agents; [`None`] of SPIRE's server.
    pub(crate) keylime_agent: Option<KeylimeAgent>,
}

/// The desired state of a resource, complete and valid.
#[derive(Clone, Debug)]
pub(crate) struct Desired {
    /// The namespace and name of the resource.
    pub(crate) owner: Owner,
    /// The generation of the resource.
    pub(crate) generation: Option<i64>,
    pub(crate) mode: Mode,
    pub(crate) server: Target,
    pub(crate) agents: Vec<Target>,
    /// Whether attestations have to prove their Node.
    pub(crate) bound: Bound,
}

/// Namespace and name of a `KeylimeAttestor`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Owner {
    pub(crate) namespace: String,
    pub(crate) name: String,
}

/// A workload with its desired state.
#[derive(Clone, Debug)]
pub(crate) struct Target {
    pub(crate) role: Role,
    pub(crate) key: WorkloadKey,
    /// [`None`] only with `ConfigOnly`.
    pub(crate) workload: Option<Workload>,
    pub(crate) container: Option<String>,
    pub(crate) config_path: Option<String>,
    pub(crate) flags: Vec<String>,
    pub(crate) source: Source,
    /// The place of our node attestor: beside the others, or instead of them.
    pub(crate) placement: Placement,
    /// SPIRE's configuration with our node attestor in it.
    pub(crate) derived: Builds<String>,
    pub(crate) format: Format,
    /// The Secret to mount; [`None`] for Keylime agents over plain http.
    pub(crate) secret: Option<String>,
    /// True where the pods get the folder of the quoter's socket.
    pub(crate) quoter: bool,
    /// True where the pods get a token of their own account, to prove their Node by.
    pub(crate) token: bool,
    pub(crate) plugin: Plugin,
    /// spire-controller-manager beside SPIRE's server, where it is to know of Keylime.
    pub(crate) manager: Option<Manager>,
}

/// spire-controller-manager with its desired state.
#[derive(Clone, Debug)]
pub(crate) struct Manager {
    pub(crate) container: String,
    /// Path of the program inside of the container.
    pub(crate) program: String,
    pub(crate) flags: Vec<String>,
    /// The ConfigMap with its own configuration.
    pub(crate) config_map: String,
    pub(crate) key: String,
    /// Its configuration with the template that knows of Keylime.
    pub(crate) derived: String,
    /// The node aliases that this template gives workloads as parents; or why it goes by marks on
    /// the Nodes instead, for a human, where that can be mended.
    pub(crate) aliases: Result<Aliases, Option<String>>,
    /// Our ConfigMap beside its own.
    pub(crate) beside: Option<ConfigMap>,
}

/// SPIRE's own configuration, with its place.
#[derive(Clone, Debug)]
pub(crate) struct Source {
    pub(crate) config_map: String,
    pub(crate) key: String,
    /// The text without our node attestor, also where the ConfigMap has it with ours in place.
    pub(crate) original: String,
    /// SPIRE's ConfigMap.
    pub(crate) live: ConfigMap,
    /// Our ConfigMap beside it.
    pub(crate) beside: Option<ConfigMap>,
}

/// The plugin that a workload gets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Plugin {
    /// The name in SPIRE's configuration.
    pub(crate) name: String,
    /// SHA-256 of the program in hexadecimal.
    pub(crate) checksums: Builds<String>,
    /// Image that it is installed from. Empty only with `ConfigOnly`.
    pub(crate) image: String,
}

impl Role {
    /// Name of the plugin's program, in the image and where it is installed.
    pub(crate) const fn plugin(self) -> &'static str {
        match self {
            Self::Server => "keylime-attestor-server",
            Self::Agent => "keylime-attestor-agent",
        }
    }

    /// SPIRE's program in SPIRE's images.
    pub(crate) const fn spire(self) -> &'static str {
        match self {
            Self::Server => "/opt/spire/bin/spire-server",
            Self::Agent => "/opt/spire/bin/spire-agent",
        }
    }

    /// SPIRE's path of its configuration without a flag.
    pub(crate) const fn default_config_path(self) -> &'static str {
        match self {
            Self::Server => "/opt/spire/conf/server/server.conf",
            Self::Agent => "/opt/spire/conf/agent/agent.conf",
        }
    }
}

impl Asked {
    /// The workloads that a resource names, the server first.
    pub(crate) fn all(resource: &KeylimeAttestor) -> Vec<Self> {
        let spire = &resource.spec.spire;
        let home = resource.namespace().unwrap_or_default();
        let kind = match spire.server.kind {
            ServerKind::StatefulSet => Kind::StatefulSet,
            ServerKind::Deployment => Kind::Deployment,
        };
        let agents = spire.agents.iter().map(|agent| {
            let keylime_agent = agent.keylime_agent.as_ref().unwrap_or(&resource.spec.keylime.agent);
            let asked = Self::new(Role::Agent, Kind::DaemonSet, &agent.workload, &home);
            Self { keylime_agent: Some(keylime_agent.clone()), ..asked }
        });
        std::iter::once(Self::new(Role::Server, kind, &spire.server, &home)).chain(agents).collect()
    }

    fn new<K: Default + serde::Serialize>(role: Role, kind: Kind, asking: &Asking<K>, home: &str) -> Self {
        let Asking { kind: _, name, namespace, container, config_path, config_map, architecture } = asking;
        let namespace = namespace.clone().unwrap_or_else(|| home.to_owned());
        Self {
            role,
            key: WorkloadKey { kind, namespace, name: name.clone() },
            container: container.clone(),
            config_path: config_path.clone(),
            config_map: config_map.clone(),
            architecture: architecture.clone(),
            keylime_agent: None,
        }
    }
}

impl Owner {
    pub(crate) fn of(resource: &KeylimeAttestor) -> Self {
        Self { namespace: resource.namespace().unwrap_or_default(), name: resource.name_any() }
    }
}

impl std::fmt::Display for Owner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

impl Desired {
    /// True where SPIRE's server is to admit nodes by our node attestor alone.
    pub(crate) fn is_exclusive(&self) -> bool {
        self.server.placement == Placement::Sole
    }

    /// All targets, the server first.
    pub(crate) fn targets(&self) -> impl Iterator<Item = &Target> {
        std::iter::once(&self.server).chain(&self.agents)
    }
}

/// The text of a key.
pub(crate) fn text<'m>(map: &'m ConfigMap, key: &str) -> Option<&'m str> {
    map.data.as_ref()?.get(key).map(String::as_str)
}

/// The only key; [`None`] where there are several.
pub(crate) fn only_key(map: &ConfigMap) -> Option<&String> {
    let mut keys = map.data.iter().flatten().map(|(key, _)| key);
    keys.next().filter(|_| keys.next().is_none())
}

/// An annotation.
pub(crate) fn annotation<'m>(
    annotations: Option<&'m BTreeMap<String, String>>,
    key: &str,
) -> Option<&'m str> {
    annotations?.get(key).map(String::as_str)
}
