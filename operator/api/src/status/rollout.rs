//! The progress of rollouts.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How far the pods of a workload have taken up what was applied.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RolloutStatus {
    /// Waiting (nothing applied yet), Progressing, Complete, Failed (no pod became ready in time,
    /// or none could be created), RolledBack (failed and rolled back; it is tried again when the
    /// resource, SPIRE's configuration, the plugin or a Secret changes, and by itself when
    /// something else was the cause, see retry) or Withdrawing (the resource is being deleted).
    pub state: RolloutState,

    /// Hash of what the state is about; the pods carry the same as an annotation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub content_hash: Option<String>,

    /// Generation of the resource that this was seen for. What failed is tried again with another.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,

    /// When the rollout last got on: it came into this state, or one more pod became ready.
    /// progressDeadline counts from here.
    pub last_progress_time: Time,

    /// Pods that should run.
    pub desired: i32,

    /// Pods that run with what was applied.
    pub updated: i32,

    /// Pods among the updated ones that are ready.
    pub ready: i32,

    /// How far the batches are. Only with spec.rollout.batchSize, and for agents.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub batch: Option<BatchStatus>,

    /// How it failed, by which it is decided when it is tried again. Absent when it did not fail.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry: Option<RetryStatus>,
}

/// How a rollout failed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RetryStatus {
    /// How often, of what is rolled out now. The pause before the next try grows with it.
    pub failures: i32,

    /// What the last failure came from.
    pub cause: FailureCause,

    /// The versions of the Secrets that the pods mount, as a hash, when it last failed: with others
    /// it is tried again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secrets: Option<String>,
}

/// What a failed rollout came from. With all but Pods it is tried again by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum FailureCause {
    /// Keylime gave no answers, or did not pass the node of the pod: tried again when it does.
    Keylime,
    /// A Secret could not be mounted.
    Secret,
    /// A quota, an admission policy or a webhook did not let a pod be created.
    PodNotCreated,
    /// A pod was not scheduled, or its image could not be had.
    Cluster,
    /// What the pods themselves say.
    Pods,
}

/// How far agents are that move in batches.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct BatchStatus {
    /// Nodes of the batch that is under way. Empty when there is nothing to be moved.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 500), extend("x-kubernetes-list-type" = "set"))]
    pub nodes: Vec<String>,

    /// How many of them are not done: their new agent is not ready, or SPIRE has not attested it.
    pub waiting: i32,

    /// Nodes on their old agent that Keylime knows and does not pass now. They are moved when it
    /// does.
    pub not_passed: i32,

    /// Nodes on their old agent that Keylime has no agent for. They stay there.
    pub not_enrolled: i32,

    /// The nodes of the last two counts, those that are not enrolled first; at most 50.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 50), extend("x-kubernetes-list-type" = "set"))]
    pub left: Vec<String>,
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
