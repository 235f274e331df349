//! `spec.rollout`: how a change gets into SPIRE's pods.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::schema::Rule;
use crate::{Duration, Share};

/// How far a rollout may go wrong.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Rollout {
    /// How long a workload's rollout may go without a pod becoming ready, at least 10s. Written
    /// like 90s, 5m or 1h. After that it has failed: nothing further is rolled out, and Degraded
    /// says what is wrong with the pods.
    #[schemars(extend("x-kubernetes-validations" = [PROGRESS_DEADLINE]))]
    pub progress_deadline: Duration,

    /// Whether a workload whose rollout failed gets its former configuration back by itself. With
    /// false it stays as it is, to be examined.
    pub rollback: bool,

    /// How many nodes get the new configuration at a time: a number, or a percentage like 10%.
    /// Agents then move in batches; each batch waits for its nodes to attest, and one that fails is
    /// rolled back and stops the rollout. Left out, the DaemonSet's own update strategy decides.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub batch_size: Option<Share>,

    /// What is done while Keylime would refuse a node whose agent is to change: because it is not
    /// enrolled, fails, or is not known yet, or because Keylime gives no answers. Wait: no agent
    /// changes, and AgentsRolledOut names the nodes. Proceed: all change, and those nodes lose
    /// their agent. Without effect with batchSize, where such a node keeps its agent and the
    /// others move, and for nodes whose agent already attests by Keylime.
    pub unattestable: Unattestable,
}

/// What is done about nodes that Keylime would refuse.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Unattestable {
    /// No agent changes until Keylime passes them.
    #[default]
    Wait,
    /// All agents change, and theirs are lost.
    Proceed,
}

const PROGRESS_DEADLINE: Rule =
    Rule { rule: "duration(self) >= duration('10s')", message: "progressDeadline must be at least 10s" };

impl Default for Rollout {
    fn default() -> Self {
        Self {
            progress_deadline: Duration::from_secs(5 * 60),
            rollback: true,
            batch_size: None,
            unattestable: Unattestable::Wait,
        }
    }
}
