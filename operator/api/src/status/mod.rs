//! `status`: what was found and what came of it.

mod rollout;

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use rollout::{BatchStatus, FailureCause, RetryStatus, RolloutState, RolloutStatus};

use crate::conditions::bypass_possible;
use crate::{Binding, NodeState, schema};

/// What the operator found and what came of it. Written when it changes, and never by anybody else.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct KeylimeAttestorStatus {
    /// The metadata.generation that this status is about. When it is less than the present one, the
    /// operator has not got to it yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,

    /// What is so, in terms of Ready, ConfigurationApplied, ServerRolledOut, AgentsRolledOut,
    /// KeylimeReachable, NodesAttested, Enforcing, ParentIDsConfigured, BindingRequired,
    /// BypassPossible, CertificateValid and Degraded. Each has a reason that stays the same over versions, and a
    /// message that says what to do. To wait for all of it: kubectl wait --for=condition=Ready.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"]))]
    pub conditions: Vec<Condition>,

    /// The nodes that the resource selects: how many are in which state, and which are not
    /// attested.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nodes: Option<NodesStatus>,

    /// What the plugins in SPIRE's server pods do about agents whose node Keylime no longer passes,
    /// by the pod. Empty without spec.enforcement.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub enforcement: Vec<EnforcementStatus>,

    /// What was found of SPIRE's server, and what it was given. Absent while the workload is not
    /// there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub server: Option<WorkloadStatus>,

    /// What was found of spire-controller-manager in the pod of SPIRE's server, and what it was
    /// given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub controller_manager: Option<ControllerManagerStatus>,

    /// What was found of SPIRE's agents, and what they were given, by the name of the workload. One
    /// that is not there is left out.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub agents: Vec<WorkloadStatus>,

    /// What carries something of this resource: the ConfigMaps that were made for it, and the
    /// workloads with its overlay. These and no others are changed and withdrawn, whatever labels
    /// others have.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["kind", "namespace", "name"]))]
    pub objects: Vec<OwnedObject>,

    /// Whether the configuration of SPIRE's server that was made last asks for tokens of the
    /// agents' pods. Where spec.attestation.binding is left out, Prefer and Require do not go back
    /// by themselves.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::binding")]
    pub binding: Option<Binding>,

    /// True from before SPIRE's server is left with Keylime's attestor alone until all of its pods
    /// have the others again. As long, no agent gets its former attestor back: the server would not
    /// admit it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub readmission_due: bool,
}

impl KeylimeAttestorStatus {
    /// True where SPIRE's server ran with no attestor but ours when this was written, by the
    /// condition BypassPossible.
    pub fn is_keylime_alone(&self) -> bool {
        self.conditions.iter().any(|condition| condition.reason == bypass_possible::KEYLIME_ALONE.name)
    }
}

/// An object that carries something of a resource.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct OwnedObject {
    /// ConfigMap, or the kind of the workload.
    pub kind: String,

    /// Namespace of the object.
    pub namespace: String,

    /// Name of the object.
    pub name: String,

    /// UID of the object: another of the same name is not this resource's. Absent while it is being
    /// made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uid: Option<String>,
}

/// The nodes that the resource selects: how many are in which state, and which are not attested.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct NodesStatus {
    /// Nodes that the resource selects.
    pub total: i32,

    /// Nodes among them that Keylime passes, and that nothing stands against.
    pub attested: i32,

    /// Nodes among them that Keylime fails, or whose last success is too old.
    pub failing: i32,

    /// Nodes among them that Keylime has not decided about yet, or that SPIRE does not have yet.
    pub pending: i32,

    /// Nodes among them that nobody can tell the state of.
    pub unknown: i32,

    /// Nodes among them that Keylime has no agent for.
    pub not_enrolled: i32,

    /// Agents of Keylime's verifiers that fit no node of the cluster. Some are right where Keylime
    /// attests other machines as well.
    pub agents_without_node: i32,

    /// The first 10 of them.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 10))]
    pub first_agents_without_node: Vec<String>,

    /// When Keylime's verifiers were asked about them, as of the last change of this status: not
    /// every poll is written down.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_poll_time: Option<Time>,

    /// The nodes that are not attested, those that fail first; at most 50. All of them are found
    /// by: kubectl get attestednodes.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 50), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub not_attested: Vec<NodeNotAttested>,

    /// How many further nodes are not attested.
    pub more: i32,
}

/// A node that is not attested.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct NodeNotAttested {
    /// Name of the node.
    pub name: String,

    /// Id of its agent at Keylime, if it is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent_id: Option<String>,

    /// Failing, Pending, Unknown or NotEnrolled.
    pub state: NodeState,

    /// Why it is in this state, in one word. It stays the same over versions.
    pub reason: String,

    /// Since when it has been in this state.
    pub since: Time,

    /// When Keylime last found it good, as of the last change of its state.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_success: Option<Time>,

    /// What is wrong and what to do.
    pub message: String,
}

/// What the plugin in one pod of SPIRE's server does about agents whose node Keylime no longer
/// passes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct EnforcementStatus {
    /// Name of the pod.
    pub name: String,

    /// When the plugin started.
    pub started: Time,

    /// Number of its last action that was reported as an Event.
    pub last_action: i64,

    /// Why nothing is done, although agents fail: too many of them do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub held: Option<String>,

    /// Why its last poll failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// A workload of SPIRE, as it was found and as it was changed.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct WorkloadStatus {
    /// Kind of the workload: StatefulSet, Deployment or DaemonSet.
    pub kind: String,

    /// Name of the workload.
    pub name: String,

    /// Namespace of the workload.
    pub namespace: String,

    /// The container that runs SPIRE.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub container: Option<String>,

    /// Path of SPIRE's own configuration file inside of the container.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub config_path: Option<String>,

    /// Where SPIRE's own configuration comes from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub config_map: Option<ConfigMapEntry>,

    /// How that configuration is written: JSON or HCL.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub format: Option<Format>,

    /// Where the configuration with our node attestor in it lies: the derived ConfigMap, or SPIRE's
    /// own with mode InPlace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub applied_config_map: Option<ConfigMapEntry>,

    /// SHA-256 of the plugin in hexadecimal, as in SPIRE's plugin_checksum.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plugin_checksum: Option<String>,

    /// The same by architecture, where pods on nodes of several may each get their own.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub plugin_checksums: BTreeMap<String, String>,

    /// Image that the plugin is installed from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plugin_image: Option<String>,

    /// How far the pods have taken it up. Absent with mode ConfigOnly.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rollout: Option<RolloutStatus>,
}

/// spire-controller-manager in the pod of SPIRE's server, as it was found and as it was changed.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ControllerManagerStatus {
    /// The container that runs it.
    pub container: String,

    /// Where its own configuration comes from.
    pub config_map: ConfigMapEntry,

    /// Where the configuration with the parentIDTemplate of ours lies. Absent without
    /// spec.spire.controllerManager.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub applied_config_map: Option<ConfigMapEntry>,
}

/// One entry of a ConfigMap, in the workload's namespace.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ConfigMapEntry {
    /// Name of the ConfigMap.
    pub name: String,

    /// Key of the entry.
    pub key: String,
}

/// How a configuration of SPIRE is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Format {
    /// As SPIFFE's charts write it.
    #[serde(rename = "JSON")]
    Json,
    /// HCL version 1, as in SPIRE's documentation.
    #[serde(rename = "HCL")]
    Hcl,
}
