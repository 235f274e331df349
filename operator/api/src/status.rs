//! `status`: what was found and what came of it.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What the operator found and what came of it. Written when it changes, and never by anybody else.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct KeylimeAttestorStatus {
    /// The metadata.generation that this status is about. When it is less than the present one, the operator has not got to it yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,

    /// What is so, in terms of Ready, ConfigurationApplied, ServerRolledOut, AgentsRolledOut, KeylimeReachable and Degraded. Each has a
    /// reason that stays the same over versions, and a message that says what to do. To wait for all of it: kubectl wait
    /// --for=condition=Ready.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"]))]
    pub conditions: Vec<Condition>,

    /// The nodes that should run a SPIRE agent, in numbers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nodes: Option<NodeCounts>,

    /// What was found of SPIRE's server, and what it was given. Absent while the workload is not there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub server: Option<WorkloadStatus>,

    /// What was found of SPIRE's agents, and what they were given, by the name of the workload. One that is not there is left out.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub agents: Vec<WorkloadStatus>,
}

/// Nodes, in numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct NodeCounts {
    /// Nodes that should run a SPIRE agent: those that the agents' DaemonSets select.
    pub total: i32,

    /// Nodes among them whose SPIRE agent is not ready.
    pub failing: i32,
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

    /// Where the configuration with our node attestor in it lies: the derived ConfigMap, or SPIRE's own with mode InPlace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub applied_config_map: Option<ConfigMapEntry>,

    /// SHA-256 of the plugin in hexadecimal, as in SPIRE's plugin_checksum.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plugin_checksum: Option<String>,

    /// Image that the plugin is installed from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plugin_image: Option<String>,

    /// How far the pods have taken it up. Absent with mode ConfigOnly.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rollout: Option<RolloutStatus>,
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

/// How far the pods of a workload have taken up what was applied.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RolloutStatus {
    /// Waiting (nothing applied yet), Progressing, Complete, Failed (no pod became ready in time), RolledBack (failed and taken back; it is
    /// tried again when the resource, SPIRE's configuration or the plugin changes) or Withdrawing (the resource is being deleted).
    pub state: RolloutState,

    /// Hash of what the state is about; the pods carry the same as an annotation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub content_hash: Option<String>,

    /// When the rollout last got on: it came into this state, or one more pod became ready. progressDeadline counts from here.
    pub last_progress_time: Time,

    /// Pods that should run.
    pub desired: i32,

    /// Pods that run with what was applied.
    pub updated: i32,

    /// Pods among the updated ones that are ready.
    pub ready: i32,
}

/// States of a rollout.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum RolloutState {
    /// Nothing was applied yet.
    #[default]
    Waiting,
    /// Pods are being replaced.
    Progressing,
    /// All pods run with what was applied and are ready.
    Complete,
    /// No pod became ready within the deadline.
    Failed,
    /// It failed, and the workload got back what it had.
    RolledBack,
    /// The resource is being deleted and the pods get back what they had.
    Withdrawing,
}
