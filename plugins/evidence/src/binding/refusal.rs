//! The reasons why a token does not prove a node.

use super::names::{ObjectName, ServiceAccount};

/// The reason why the binding of an agent to its node is not proven. No text holds a token.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BindingRefusal {
    /// No token came.
    #[error(
        "the agent plugin sent no service account token, which the server requires; configure its service_account_token_file"
    )]
    NoToken,
    /// The token's time is over.
    #[error(
        "the service account token has expired; check the clocks, and that the agent plugin reads the file that the kubelet renews"
    )]
    TokenExpired,
    /// The token is for others than us.
    #[error(
        "the service account token is not for the audience {audience:?}; project one for it into the SPIRE agent's pod"
    )]
    WrongAudience {
        /// The audience expected.
        audience: String,
    },
    /// The account, pod or node that the token is bound to is gone, by the apiserver's word.
    #[error(
        "what the service account token is bound to is gone, says the apiserver; start the SPIRE agent's pod anew"
    )]
    TokenInvalidated,
    /// Not a token of this cluster.
    #[error(
        "the apiserver does not accept the service account token; check that the SPIRE agent runs in the cluster whose apiserver is asked"
    )]
    TokenRejected,
    /// The token of another account.
    #[error("the token is of {came}, which is none of service_accounts; add the SPIRE agents' account there")]
    WrongAccount {
        /// The account, or the user where it is none.
        came: String,
    },
    /// A token that names no pod or no node.
    #[error(
        "the service account token is not bound to a pod on a node; let the kubelet project one (Kubernetes 1.30 or later)"
    )]
    NotBound,
    /// The pod is there no more.
    #[error("the pod {pod} of the service account token is gone")]
    PodGone {
        /// The pod's name.
        pod: ObjectName,
    },
    /// The pod runs on another node than the token says.
    #[error("the pod {pod} of the service account token is not on the node {node}, which the token names")]
    PodElsewhere {
        /// The pod's name.
        pod: ObjectName,
        /// The node's name in the token.
        node: ObjectName,
    },
    /// The node is there no more.
    #[error("the node {node} of the service account token is gone")]
    NodeGone {
        /// The node's name.
        node: ObjectName,
    },
    /// Another node has the name now.
    #[error(
        "the node {node} of the service account token was replaced by another of its name; start the SPIRE agent's pod anew"
    )]
    NodeReplaced {
        /// The node's name.
        node: ObjectName,
    },
    /// The agent has proven another node before, which is still there.
    #[error(
        "the agent is bound to the node {node}, which is still there, and is attested from there alone; find out who attests elsewhere. If the machine was moved on purpose, delete that Node (kubectl delete node {node})"
    )]
    BoundElsewhere {
        /// The node's name.
        node: ObjectName,
    },
    /// The node has proven itself as another agent before.
    #[error(
        "the node {node} is bound to another agent ({other}); find out which of the two is in that machine. If it was enrolled anew on purpose, delete the Node (kubectl delete node {node}), so that it is made anew"
    )]
    NodeOfAnother {
        /// The node's name.
        node: ObjectName,
        /// The other agent's id, or its SPIFFE ID.
        other: String,
    },
}

impl BindingRefusal {
    /// The refusal of an account that is none of those allowed.
    pub(super) fn wrong_account(account: &ServiceAccount) -> Self {
        Self::WrongAccount { came: account.to_string() }
    }

    /// True where the evidence is good and against a pair of node and agent that was proven before.
    pub fn is_against_a_pair(&self) -> bool {
        matches!(self, Self::BoundElsewhere { .. } | Self::NodeOfAnother { .. })
    }

    pub(crate) fn reason(&self) -> &'static str {
        match self {
            Self::NoToken => "no_token",
            Self::TokenExpired => "token_expired",
            Self::WrongAudience { .. } => "wrong_audience",
            Self::TokenInvalidated => "token_invalidated",
            Self::TokenRejected => "token_rejected",
            Self::WrongAccount { .. } => "wrong_service_account",
            Self::NotBound => "token_not_bound",
            Self::PodGone { .. } => "pod_gone",
            Self::PodElsewhere { .. } => "pod_elsewhere",
            Self::NodeGone { .. } => "node_gone",
            Self::NodeReplaced { .. } => "node_replaced",
            Self::BoundElsewhere { .. } => "bound_elsewhere",
            Self::NodeOfAnother { .. } => "node_of_another",
        }
    }
}
