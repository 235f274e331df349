//! Every name that the operator writes into a cluster. They are part of the API: tests, charts,
//! alerts and scripts go by them.

/// The API group, also the prefix of our labels and annotations.
pub const GROUP: &str = "spire.keylime.dev";

/// Field manager of everything that the operator applies.
pub const FIELD_MANAGER: &str = "keylime-attestor-operator";

/// Finalizer on a `KeylimeAttestor`: SPIRE gets everything back before the resource is gone.
pub const FINALIZER: &str = "spire.keylime.dev/withdraw";

/// The suffix of a derived ConfigMap's name, behind the name of SPIRE's own.
pub const SUFFIX: &str = "-keylime";

/// Labels of the objects that the operator makes.
pub mod label {
    /// Kubernetes' own label for the tool that manages an object; the value is
    /// [`super::FIELD_MANAGER`].
    pub const MANAGED_BY: &str = "app.kubernetes.io/managed-by";
    /// Name of the `KeylimeAttestor` that an object belongs to.
    pub const ATTESTOR_NAME: &str = "spire.keylime.dev/attestor-name";
    /// Namespace of the `KeylimeAttestor` that an object belongs to.
    pub const ATTESTOR_NAMESPACE: &str = "spire.keylime.dev/attestor-namespace";
    /// Kubernetes' own label on a Node for its architecture, such as amd64.
    pub const ARCHITECTURE: &str = "kubernetes.io/arch";
    /// On a Node whose SPIRE agent attests by Keylime: the id of its agent at Keylime, where it is
    /// a valid label value. Its workloads hang on it. Below this prefix a kubelet cannot write its
    /// own Node.
    pub const NODE_AGENT_ID: &str = "node-restriction.kubernetes.io/keylime-agent-id";
}

/// Annotations.
pub mod annotation {
    /// On a workload's pod template: hash of the texts that the pods read through us, so that
    /// Kubernetes rolls them when one changes.
    pub const CONTENT_HASH: &str = "spire.keylime.dev/content-hash";
    /// On a workload, and on a ConfigMap that was edited in place: `namespace/name` of the
    /// `KeylimeAttestor` that changed it.
    pub const ATTESTOR: &str = "spire.keylime.dev/attestor";
    /// On a derived ConfigMap: name of the ConfigMap of SPIRE that it was derived from.
    pub const DERIVED_FROM: &str = "spire.keylime.dev/derived-from";
    /// On a Node whose SPIRE agent attests by Keylime: the SPIFFE ID of that agent, also while it
    /// is evicted.
    pub const SPIFFE_ID: &str = "spire.keylime.dev/spiffe-id";
}

/// Key of the taint on nodes that are not attested, with `spec.nodes.taint`; its effect is
/// `NoSchedule`.
pub const TAINT: &str = "spire.keylime.dev/not-attested";

/// Audience of the tokens by which SPIRE's agents prove their Node. No other server takes them.
pub const TOKEN_AUDIENCE: &str = "keylime-attestor";

/// The folder of each node with the quoter's socket. The chart's admission policy lets the operator
/// mount this one and no other.
pub const QUOTER_FOLDER: &str = "/run/keylime-attestor";

/// Paths in SPIRE's containers, in every mode. With `ConfigOnly` the user mounts the files there.
pub mod path {
    /// The derived configuration, in a file named like the key of SPIRE's ConfigMap.
    pub const CONFIGURATION: &str = "/run/keylime-attestor/configuration";
    /// The derived configuration of spire-controller-manager, in a file named like the key of its
    /// own ConfigMap.
    pub const CONTROLLER_MANAGER: &str = "/run/keylime-attestor/controller-manager";
    /// The plugin, installed by an init container.
    pub const PLUGIN: &str = "/run/keylime-attestor/plugin";
    /// Where there is a configuration for each architecture, in a folder of that name each: a link
    /// to the folder of the node's own, by the init container, which alone knows it.
    pub const OWN_CONFIGURATION: &str = "/run/keylime-attestor/plugin/configuration";
    /// The Secret for Keylime: `spec.keylime.tls` in the server, `spec.keylime.agent.tls` in the
    /// agents.
    pub const TLS: &str = "/run/keylime-attestor/tls";
    /// In the agents, the token of their own pod, in the file [`TOKEN_FILE`], with
    /// `spec.attestation.binding`.
    pub const TOKEN: &str = "/run/keylime-attestor/token";
    /// In the agents, the node's folder [`QUOTER_FOLDER`](super::QUOTER_FOLDER), with the socket of
    /// `spec.keylime.agent.socket`. Not at the same path: the other folders here lie below that.
    pub const QUOTER: &str = "/run/keylime-attestor/quoter";
    /// The token's file in its folder.
    pub const TOKEN_FILE: &str = "token";
    /// An empty folder for the sockets of the plugin and of SPIRE, named to them by
    /// `PLUGIN_UNIX_SOCKET_DIR`, and by `TMPDIR` where SPIRE has no other folder for temporary
    /// files.
    pub const SOCKET: &str = "/run/keylime-attestor/socket";
}

/// Keys of the Secrets, as cert-manager names them.
pub mod secret_key {
    /// The CA certificates that Keylime's servers are trusted by.
    pub const CA: &str = "ca.crt";
    /// The client certificate.
    pub const CERTIFICATE: &str = "tls.crt";
    /// The client certificate's key.
    pub const PRIVATE_KEY: &str = "tls.key";
    /// The certificate that every Keylime agent shows, with `pinServerCertificate`.
    pub const PINNED_CERTIFICATE: &str = "server.crt";
}

/// Reasons of the Kubernetes Events, besides the reason of each condition of a `KeylimeAttestor`
/// and of each state of a node that changes, which is an Event, too.
pub mod event {
    /// A configuration was written: SPIRE's changed, or the resource did.
    pub const CONFIGURATION_APPLIED: &str = "ConfigurationApplied";
    /// A workload was changed by somebody else and is right again.
    pub const DRIFT_CORRECTED: &str = "DriftCorrected";
    /// A workload's rollout began.
    pub const ROLLOUT_STARTED: &str = "RolloutStarted";
    /// A pod was deleted, so that Kubernetes makes it anew: its batch has come, or it is of an
    /// overlay that is no more.
    pub const POD_REPLACED: &str = "PodReplaced";
    /// A workload is out of the operator's hands again.
    pub const WITHDRAWN: &str = "Withdrawn";
    /// On a Node and its `AttestedNode`: what the node says of itself fits another agent than the
    /// one that it has.
    pub const AGENT_CHANGED: &str = "AgentChanged";
    /// On a Node and its `AttestedNode`: somebody else wrote the label that names the parent of the
    /// node's workloads, and it is right again.
    pub const LABEL_CORRECTED: &str = "LabelCorrected";
    /// The apiserver runs without the admission plugin NodeRestriction. Told each hour.
    pub const NODE_RESTRICTION_OFF: &str = "NodeRestrictionOff";
    /// On a Node and its `AttestedNode`: Keylime passes it again.
    pub const RECOVERED: &str = "KeylimeAttestationRecovered";
    /// On a Node and its `AttestedNode`: SPIRE's server evicted its agent.
    pub const EVICTED: &str = "Evicted";
    /// On a Node and its `AttestedNode`: SPIRE's server banned its agent.
    pub const BANNED: &str = "Banned";
    /// On a Node and its `AttestedNode`: its agent was evicted once, so that it attests by Keylime.
    pub const REATTESTED: &str = "Reattested";
    /// On Nodes and their `AttestedNode`s: SPIRE's server refused an attestation that proved
    /// another pair of node and agent than the one that is bound.
    pub const BOUND_ELSEWHERE: &str = "BoundElsewhere";
    /// On a Node and its `AttestedNode`: its agent was to be evicted or banned, and SPIRE did not
    /// do it.
    pub const ENFORCEMENT_FAILED: &str = "EnforcementFailed";
}
