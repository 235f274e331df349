//! `AttestedNode`: what Keylime, Kubernetes and SPIRE say about one node.
#![expect(clippy::duplicated_attributes, reason = "every printer column says its type")]

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::schema;

/// The fields of an `AttestedNode`: a status, and an administrator's claim where there is one.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, CustomResource, JsonSchema)]
#[kube(
    group = "spire.keylime.dev",
    version = "v1alpha1",
    kind = "AttestedNode",
    no_spec,
    shortname = "an",
    category = "spire",
    category = "keylime",
    status = "AttestedNodeStatus",
    derive = "PartialEq",
    derive = "Default",
    doc = "An AttestedNode tells what Keylime, Kubernetes and SPIRE say about the node of the same name. The operator makes and keeps it for each node \
           that a KeylimeAttestor selects; it goes with the node, and with the KeylimeAttestor. Nothing needs to be set: spec.agentId is for a node whose agent \
           at Keylime is another than the one that was found, or was not found.",
    printcolumn(
        name = "Attested",
        type_ = "string",
        json_path = ".status.conditions[?(@.type==\"Attested\")].status",
        description = "Whether the node is what Keylime expects, and has its identity"
    ),
    printcolumn(
        name = "Reason",
        type_ = "string",
        json_path = ".status.reason",
        description = "Why it is attested or not"
    ),
    printcolumn(
        name = "Agent",
        type_ = "string",
        json_path = ".status.agentId",
        description = "The node's agent at Keylime"
    ),
    printcolumn(
        name = "Since",
        type_ = "date",
        json_path = ".status.since",
        description = "How long the node has been in this state"
    ),
    printcolumn(
        name = "Message",
        type_ = "string",
        json_path = ".status.message",
        description = "What is wrong and what to do",
        priority = 1
    ),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
pub struct AttestedNodeFields {
    /// What an administrator says about the node. The operator never writes it.
    #[serde(default)]
    pub spec: AttestedNodeSpec,
}

/// What an administrator says about the node. Whoever may write it decides by which machine's
/// attestation the node is assessed; a node's kubelet may not.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AttestedNodeSpec {
    /// Id of the node's agent at Keylime. It goes before every other way to find the agent, and
    /// takes it from a node that had it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::agent_id")]
    pub agent_id: Option<String>,
}

/// What is known about the node. Written when it changes, and never by anybody but the operator.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AttestedNodeStatus {
    /// Id of the node's agent at Keylime. Absent while none was found, or while it is not clear
    /// which one it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent_id: Option<String>,

    /// How the agent was found: named in spec.agentId, now or before (Spec), proven by an
    /// attestation (Proof), by an id that is the machine's system UUID (SystemUUID), by an id or a
    /// contact name that is the node's name or hostname (NodeName), or by the address that the
    /// verifier has of it (InternalIP).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub matched_by: Option<MatchedBy>,

    /// The pair of node and agent that an attestation proved, by the TPM's quote and the token of
    /// the SPIRE agent's pod. It stands until this Node is gone, or spec.agentId names the agent
    /// elsewhere.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub binding: Option<NodeBinding>,

    /// Host and port of the verifier that knows the agent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verifier: Option<String>,

    /// SPIFFE ID of the node's agent in SPIRE, as attested by Keylime, while SPIRE has it. Known
    /// only with spec.enforcement.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub spiffe_id: Option<String>,

    /// Attested (Keylime passes the node and nothing stands against it), Failing (Keylime fails it,
    /// or its last success is too old), Pending (Keylime has not decided yet, or SPIRE does not
    /// have it yet), Unknown (nobody can tell: Keylime gives no answer or does not hear of the
    /// node, or the agent is ambiguous),
    /// or NotEnrolled (Keylime has no agent for it).
    pub state: NodeState,

    /// Why it is in this state, in one word. It stays the same over versions.
    pub reason: String,

    /// What is wrong and what to do.
    pub message: String,

    /// Since when the node has been in this state.
    pub since: Time,

    /// When Keylime last found the node good, as of the last change of this status: a node that
    /// stays good is not written again and again. How long ago it is now, the metric
    /// keylime_attestor_node_last_success_by_node_seconds tells.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_success: Option<Time>,

    /// When the node was first Attested with a SPIRE agent that has the plugin. Only then
    /// spec.nodes.taint has an effect on it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first_attested: Option<Time>,

    /// UID of the SPIRE agent's pod that was asked to attest anew because SPIRE held it under its
    /// former attestor. A pod is asked once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reattested_pod: Option<String>,

    /// The other agents that fit what the node says of itself by now, where there are some. Its
    /// agent stays the one in agentId: only spec.agentId changes it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub conflict: Option<String>,

    /// The operator's marks on the Node, kept here because the Node is its kubelet's to write.
    #[serde(default, skip_serializing_if = "NodeMarks::is_none")]
    pub marks: NodeMarks,

    /// The nodes.selector of the KeylimeAttestor by which the node was selected, if it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub selector: Option<String>,

    /// What is so, in terms of Attested (Keylime passes the node and nothing stands against it),
    /// KeylimeHealthy (Keylime passes it) and IdentityIssued (SPIRE has an agent on it that was
    /// attested by Keylime).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"]))]
    pub conditions: Vec<Condition>,
}

/// A pair of node and agent that an attestation proved.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct NodeBinding {
    /// UID of the Node.
    #[serde(rename = "nodeUID")]
    pub node_uid: String,

    /// Id of the agent at Keylime.
    pub agent_id: String,

    /// SHA-256 of the AK that it attested with, in hexadecimal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ak_sha256: Option<String>,

    /// SHA-256 of the EK of its TPM, in hexadecimal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ek_sha256: Option<String>,

    /// Since when the operator has known it.
    pub since: Time,
}

/// The operator's marks on a Node.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct NodeMarks {
    /// Value of the label node-restriction.kubernetes.io/keylime-agent-id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,

    /// Value of the annotation spire.keylime.dev/spiffe-id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub spiffe_id: Option<String>,

    /// Whether it has the taint spire.keylime.dev/not-attested.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub tainted: bool,
}

/// How a node is.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
pub enum NodeState {
    /// Keylime passes it, and nothing stands against it.
    Attested,
    /// Keylime fails it, or its last success is too old.
    Failing,
    /// Keylime has not decided yet, or SPIRE does not have it yet.
    Pending,
    /// Nobody can tell.
    #[default]
    Unknown,
    /// Keylime has no agent for it.
    NotEnrolled,
}

/// How a node's agent was found, in the order in which it is tried. Once found it stays the node's:
/// what follows Proof, the node's kubelet writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub enum MatchedBy {
    /// Named by an administrator, in the spec of the `AttestedNode`.
    Spec,
    /// Proven by an attestation.
    Proof,
    /// The id is the machine's system UUID.
    #[serde(rename = "SystemUUID")]
    SystemUuid,
    /// The id, or the name by which the verifier reaches the agent, is the node's name or hostname.
    NodeName,
    /// The verifier's address of the agent is the node's.
    #[serde(rename = "InternalIP")]
    InternalIp,
}

impl NodeMarks {
    /// True where there is no mark.
    pub fn is_none(&self) -> bool {
        *self == Self::default()
    }
}

impl NodeState {
    /// All of them, in the order in which they are counted.
    pub const ALL: [Self; 5] =
        [Self::Attested, Self::Failing, Self::Pending, Self::Unknown, Self::NotEnrolled];

    /// The state as the resource has it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Attested => "Attested",
            Self::Failing => "Failing",
            Self::Pending => "Pending",
            Self::Unknown => "Unknown",
            Self::NotEnrolled => "NotEnrolled",
        }
    }
}
