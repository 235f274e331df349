//! `spec.spire`: the workloads and configurations that are changed, and how.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::KeylimeAgent;
use crate::schema::{self, Rule};

/// The SPIRE whose agents attest by Keylime.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = [CONFIGURATIONS_DIFFER]))]
pub struct Spire {
    /// Name that SPIRE's configurations give the plugin, on the server and on the agents alike. It
    /// becomes part of the agents' SPIFFE IDs and the type of their selectors; when it is changed
    /// later, every agent gets a new SPIFFE ID. A name of an attestor that is built into SPIRE is
    /// refused.
    #[serde(default = "plugin_name")]
    #[schemars(length(min = 1, max = 63), regex(pattern = "^[A-Za-z0-9]([A-Za-z0-9_-]*[A-Za-z0-9])?$"))]
    #[schemars(extend("x-kubernetes-validations" = [NOT_BUILT_IN]))]
    pub plugin_name: String,

    /// How the operator changes SPIRE. Overlay leaves alone what Helm or you have written: it makes
    /// a configuration of its own beside each of SPIRE's and adds to the workloads only fields that
    /// nobody owns. InPlace edits SPIRE's own ConfigMaps, for manifests that nobody re-applies; the
    /// value `admissionPolicy.inPlace` of the operator's chart has to name them. ConfigOnly makes
    /// the configurations and touches no workload: mounting them, the plugins and the Secrets is up
    /// to you.
    #[serde(default)]
    pub mode: Mode,

    /// By which node attestors SPIRE's server admits nodes. Coexist: by ours and by those that it
    /// had, so that nodes move one by one. Exclusive: by ours alone, once every selected node is
    /// attested and every agent that SPIRE holds is one of these nodes'; what other attestors
    /// admitted is evicted then. The condition BypassPossible says what that waits for. To go back,
    /// and before the agents get their former attestor again, set Coexist and wait for
    /// ServerRolledOut. Exclusive needs `enforcement`, which tells what SPIRE holds.
    #[serde(default)]
    pub attestors: Attestors,

    /// SPIRE's server.
    pub server: Workload<ServerKind>,

    /// SPIRE's agents: one DaemonSet, or several for nodes of several kinds, told apart by name. An
    /// agent has exactly one node attestor; ours replaces it until this resource is deleted.
    #[schemars(
        length(min = 1, max = 16),
        extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"])
    )]
    pub agents: Vec<AgentWorkload>,

    /// The spire-controller-manager in SPIRE's server pod. Where there is one, it is set up to
    /// parent the entries of workloads to the agents that Keylime attested: else workloads on their
    /// nodes would get no SVIDs any longer.
    #[serde(default)]
    pub controller_manager: ControllerManager,
}

/// The spire-controller-manager. What is left out here is found in SPIRE's server pod.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct ControllerManager {
    /// Auto: it is set up, in the way that spire.mode says. Ignore: it is left alone, and you see
    /// to it that entries have the right parents.
    pub mode: ControllerManagerMode,

    /// Name of the container that runs it, in the pod of SPIRE's server. Left out, it is the only
    /// other container whose arguments name a configuration with --config.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::label_name")]
    pub container: Option<String>,

    /// The ConfigMap that holds its configuration. Left out, it is the one mounted where the
    /// configuration file lies.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub config_map: Option<ConfigMapSource>,

    /// Path of the program inside of its container.
    #[schemars(schema_with = "schema::absolute_path")]
    pub program: String,
}

/// Whether spire-controller-manager is set up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum ControllerManagerMode {
    /// Where there is one.
    #[default]
    Auto,
    /// Not by the operator.
    Ignore,
}

/// The node attestors of SPIRE's server.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Attestors {
    /// Ours, and those that it had.
    #[default]
    Coexist,
    /// Ours alone, once that is safe.
    Exclusive,
}

/// How the operator changes SPIRE.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Mode {
    /// Adds what nobody owns; what Helm or the user owns is never written.
    #[default]
    Overlay,
    /// Edits SPIRE's own ConfigMaps and puts the replaced text back on deletion.
    InPlace,
    /// Makes the derived ConfigMaps and nothing else.
    ConfigOnly,
}

/// A workload that runs SPIRE's server or its agents. What is left out here is found from the
/// workload itself and shown in the status.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Workload<Kind: Default + Serialize> {
    /// Kind of the workload, of apps/v1: StatefulSet or Deployment for the server, DaemonSet for
    /// agents.
    #[serde(default)]
    pub kind: Kind,

    /// Name of the workload. It need not exist yet: the operator waits for it.
    #[schemars(schema_with = "schema::object_name")]
    pub name: String,

    /// Namespace of the workload. Left out, it is the namespace of this resource.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::label_name")]
    pub namespace: Option<String>,

    /// Name of the container that runs SPIRE. Left out, it is the only container, or else the only
    /// one whose command or image is SPIRE's program, or whose arguments name a configuration file
    /// with -config.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::label_name")]
    pub container: Option<String>,

    /// Path of SPIRE's configuration file inside of the container. Left out, it is that of the
    /// container's -config argument, or else SPIRE's default, /opt/spire/conf/server/server.conf or
    /// /opt/spire/conf/agent/agent.conf.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::absolute_path")]
    pub config_path: Option<String>,

    /// The ConfigMap that holds SPIRE's configuration. Left out, it is the one mounted where the
    /// configuration file lies.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub config_map: Option<ConfigMapSource>,

    /// Architecture of the nodes that the pods run on, as Kubernetes names it, such as amd64 or
    /// arm64. Left out, it is the one that the pods' nodeSelector asks for by kubernetes.io/arch, or
    /// else each that the operator's image has plugins of: each node's pod then takes its own. With
    /// the modes InPlace and ConfigOnly there is one configuration for all pods, with the checksum
    /// of one plugin: where the image has several, this or the nodeSelector has to say which.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::architecture")]
    pub architecture: Option<String>,
}

/// A workload that runs SPIRE's agents. What is left out here is found from the workload itself and
/// shown in the status.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AgentWorkload {
    /// The workload.
    #[serde(flatten)]
    pub workload: Workload<AgentKind>,

    /// The Keylime agents on the nodes of these SPIRE agents, where they are others than
    /// spec.keylime.agent says: in place of all of it, for fleets of which some nodes open a port
    /// and others don't.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub keylime_agent: Option<KeylimeAgent>,
}

/// Kinds of workload that run SPIRE's server.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum ServerKind {
    /// What SPIFFE's charts use.
    #[default]
    StatefulSet,
    /// For servers whose data lies in a database.
    Deployment,
}

/// Kinds of workload that run SPIRE's agents.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum AgentKind {
    /// One agent a node.
    #[default]
    DaemonSet,
}

/// A ConfigMap that holds a configuration of SPIRE.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ConfigMapSource {
    /// Name of the ConfigMap, in the namespace of the workload. The derived one is called the same
    /// with -keylime behind it.
    #[schemars(schema_with = "schema::config_map_name")]
    pub name: String,

    /// Key of the configuration in the ConfigMap. Left out, it is the one mounted as the
    /// configuration file, or else the only key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::config_map_key")]
    pub key: Option<String>,
}

const CONFIGURATIONS_DIFFER: Rule = Rule {
    rule: "!has(self.server.configMap) || self.agents.all(a, !has(a.configMap) || a.configMap.name != \
        self.server.configMap.name || (has(a.configMap.key) && has(self.server.configMap.key) && \
        a.configMap.key != self.server.configMap.key))",
    message: "the server and an agent cannot have the same configuration: give the ConfigMaps of both, or, if they \
        share one ConfigMap, the key of each",
};

const NOT_BUILT_IN: Rule = Rule {
    rule: "!(self in ['aws_iid', 'azure_imds', 'azure_msi', 'gcp_iit', 'http_challenge', 'join_token', \
        'k8s_psat', 'k8s_sat', 'sshpop', 'tpm_devid', 'x509pop'])",
    message: "pluginName cannot be the name of an attestor that is built into SPIRE: nodes attested by Keylime \
        would pass for nodes attested by that one; keylime is a good name",
};

impl Default for ControllerManager {
    fn default() -> Self {
        Self {
            mode: ControllerManagerMode::Auto,
            container: None,
            config_map: None,
            program: "/spire-controller-manager".to_owned(),
        }
    }
}

fn plugin_name() -> String {
    "keylime".to_owned()
}
