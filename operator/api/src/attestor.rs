//! The resource as a whole, and the rules that tie its parts together.
#![expect(unreachable_pub, reason = "KubeSchema repeats the struct, with its `pub`, inside of a function")]

use kube::{CustomResource, KubeSchema};
use serde::{Deserialize, Serialize};

use crate::schema::Rule as SpecRule;
use crate::{Attestation, Enforcement, Keylime, KeylimeAttestorStatus, Nodes, Rollout, Spire};

/// What should be: where Keylime is, which SPIRE attests by it, and how. The operator makes it so
/// and keeps it so; deleting the resource withdraws everything.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, CustomResource, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[kube(
    group = "spire.keylime.dev",
    version = "v1alpha1",
    kind = "KeylimeAttestor",
    namespaced,
    shortname = "kla",
    category = "spire",
    category = "keylime",
    status = "KeylimeAttestorStatus",
    derive = "PartialEq",
    doc = "A KeylimeAttestor makes the nodes of one SPIRE prove their identity and integrity through Keylime and \
           their TPM: it puts a node attestor into the configuration of SPIRE's server and agents, installs the \
           plugins into their pods, and shows the state of it. Whoever may write this resource may change SPIRE's \
           workloads and mount Secrets of their namespaces into them.",
    printcolumn(
        name = "Ready",
        type_ = "string",
        json_path = ".status.conditions[?(@.type==\"Ready\")].status",
        description = "Whether SPIRE attests through Keylime as this resource asks for"
    ),
    printcolumn(
        name = "Reason",
        type_ = "string",
        json_path = ".status.conditions[?(@.type==\"Ready\")].reason",
        description = "Why it is ready or not"
    ),
    printcolumn(
        name = "Mode",
        type_ = "string",
        json_path = ".spec.spire.mode",
        description = "How the operator changes SPIRE"
    ),
    printcolumn(
        name = "Nodes",
        type_ = "integer",
        json_path = ".status.nodes.total",
        description = "Nodes that the resource selects"
    ),
    printcolumn(
        name = "Attested",
        type_ = "integer",
        json_path = ".status.nodes.attested",
        description = "Nodes among them that Keylime passes"
    ),
    printcolumn(
        name = "Failing",
        type_ = "integer",
        json_path = ".status.nodes.failing",
        description = "Nodes among them that Keylime fails"
    ),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
    printcolumn(
        name = "Message",
        type_ = "string",
        json_path = ".status.conditions[?(@.type==\"Ready\")].message",
        description = "What is missing and what to do"
    ),
    validation = Rule::new("self.metadata.name.size() <= 63").message(
        "metadata.name must have at most 63 characters: the operator labels the objects it makes with it"
    )
)]
#[schemars(extend("x-kubernetes-validations" = [NO_ROLLOUT_WITHOUT_PODS, EXCLUSIVE_IS_OBSERVED, NO_ADMIN_ON_SOME_NODES]))]
pub struct KeylimeAttestorSpec {
    /// Where Keylime's servers and agents listen, and how they are spoken to.
    pub keylime: Keylime,

    /// The SPIRE whose agents attest by Keylime: its server and its agents, and how they are
    /// changed.
    pub spire: Spire,

    /// What a node must show to be attested, and the identity it then gets.
    #[serde(default)]
    pub attestation: Attestation,

    /// How the operator follows what Keylime says about the nodes.
    #[serde(default)]
    pub nodes: Nodes,

    /// What SPIRE's server does about agents whose node Keylime no longer passes. Left out, nothing
    /// is done, no port is opened for it, and the operator does not know which agents SPIRE holds;
    /// {} turns on the latter alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub enforcement: Option<Enforcement>,

    /// How far a rollout may go wrong. Left out, it has five minutes to progress and is rolled back
    /// when it fails. Not with mode ConfigOnly.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rollout: Option<Rollout>,

    /// True to have the operator leave everything as it is: nothing of SPIRE, of Nodes and of
    /// AttestedNodes is written, and no node is polled, until it is false again. What runs goes on,
    /// the plugins in SPIRE's pods and their enforcement too. A resource that is deleted is
    /// withdrawn all the same.
    #[serde(default)]
    pub suspend: bool,
}

const EXCLUSIVE_IS_OBSERVED: SpecRule = SpecRule {
    rule: "self.spire.attestors != 'Exclusive' || has(self.enforcement)",
    message: "spire.attestors Exclusive needs enforcement, by which SPIRE's server tells which agents it holds: set \
        enforcement, or enforcement: {} to be told and do nothing else",
};

const NO_ADMIN_ON_SOME_NODES: SpecRule = SpecRule {
    rule: "self.spire.agents.all(a, !has(a.keylimeAgent) || !has(a.keylimeAgent.tls) || \
        a.keylimeAgent.tls.secretName != self.keylime.tls.secretName)",
    message: "keylimeAgent.tls.secretName of spire.agents must not be keylime.tls.secretName: that Secret would be \
        mounted on their nodes, and who holds it may change every node's policy at the verifier; issue the agents \
        a client certificate of their own",
};

const NO_ROLLOUT_WITHOUT_PODS: SpecRule = SpecRule {
    rule: "self.spire.mode != 'ConfigOnly' || !has(self.rollout)",
    message: "rollout has no effect with spire.mode ConfigOnly, which changes no workload: remove it, or choose \
        Overlay or InPlace",
};
