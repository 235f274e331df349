//! The apiserver's statements about a token, its pod and its node, checked against rules and one
//! another.

use std::collections::BTreeMap;

use super::names::{LabelKey, ObjectName, ServiceAccount, Uid};
use super::refusal::BindingRefusal;

/// The apiserver's word on a token (`TokenReview.status`), not checked yet.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Review {
    /// True for a token that it accepts.
    pub authenticated: bool,
    /// The reason why it does not.
    pub error: String,
    /// The user that the token stands for.
    pub username: String,
    /// Those of the audiences asked for that the token has.
    pub audiences: Vec<String>,
    /// The pod that the token is bound to.
    pub pod: Option<ObjectRef>,
    /// The node that this pod is on.
    pub node: Option<ObjectRef>,
}

/// One object, and no later one of its name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ObjectRef {
    /// Its name.
    pub name: ObjectName,
    /// Its UID.
    pub uid: Uid,
}

/// What has to be true of a token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenRules {
    /// The accounts of SPIRE's agents.
    pub service_accounts: Vec<ServiceAccount>,
    /// The audience that the token must be for.
    pub audience: String,
}

/// A token that the apiserver accepts and the rules allow, with what it is bound to. Pod and node
/// may be gone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BoundToken {
    /// The account, in whose namespace the pod is.
    pub account: ServiceAccount,
    /// The pod.
    pub pod: ObjectRef,
    /// The node.
    pub node: ObjectRef,
}

/// A pod as the apiserver has it now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pod {
    /// Its UID.
    pub uid: Uid,
    /// The node that it is on.
    pub node_name: Option<String>,
}

/// A node as the apiserver has it now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Node {
    /// Its UID.
    pub uid: Uid,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
}

/// The node of Kubernetes that the agent is proven to run on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProvenNode {
    /// Its name.
    pub name: ObjectName,
    /// Its UID.
    pub uid: Uid,
    labels: BTreeMap<String, String>,
}

impl Review {
    /// The token's account, pod and node, where the rules allow it.
    ///
    /// # Errors
    /// The rule that it breaks.
    pub fn check(self, rules: &TokenRules) -> Result<BoundToken, BindingRefusal> {
        if !self.authenticated {
            return Err(of_rejection(&self.error, rules));
        }
        // An apiserver that does not know audiences names none.
        if !self.audiences.contains(&rules.audience) {
            return Err(wrong_audience(rules));
        }
        let account = ServiceAccount::of_user(&self.username)
            .map_err(|error| BindingRefusal::WrongAccount { came: error.to_string() })?;
        if !rules.service_accounts.contains(&account) {
            return Err(BindingRefusal::wrong_account(&account));
        }
        let (Some(pod), Some(node)) = (self.pod, self.node) else { return Err(BindingRefusal::NotBound) };
        Ok(BoundToken { account, pod, node })
    }
}

impl BoundToken {
    /// The node, where it and the pod are still those of the token. [`None`] stands for an object
    /// that the apiserver does not have.
    ///
    /// # Errors
    /// The object that is gone, or another one.
    pub fn check(self, pod: Option<Pod>, node: Option<Node>) -> Result<ProvenNode, BindingRefusal> {
        let Self { pod: bound_pod, node: bound_node, .. } = self;
        let Some(node) = node else { return Err(BindingRefusal::NodeGone { node: bound_node.name }) };
        if node.uid != bound_node.uid {
            return Err(BindingRefusal::NodeReplaced { node: bound_node.name });
        }
        let Some(pod) = pod.filter(|pod| pod.uid == bound_pod.uid) else {
            return Err(BindingRefusal::PodGone { pod: bound_pod.name });
        };
        if pod.node_name.as_deref() != Some(bound_node.name.as_str()) {
            return Err(BindingRefusal::PodElsewhere { pod: bound_pod.name, node: bound_node.name });
        }
        Ok(ProvenNode { name: bound_node.name, uid: bound_node.uid, labels: node.labels })
    }
}

impl ProvenNode {
    /// The value of a label.
    pub fn label(&self, key: &LabelKey) -> Option<&str> {
        self.labels.get(key.as_str()).map(String::as_str)
    }
}

/// The apiserver's reason in our words: a foreign text is not passed on.
fn of_rejection(error: &str, rules: &TokenRules) -> BindingRefusal {
    if error.contains("expired") {
        BindingRefusal::TokenExpired
    } else if error.contains("audience") {
        wrong_audience(rules)
    } else if error.contains("invalidated") {
        BindingRefusal::TokenInvalidated
    } else {
        BindingRefusal::TokenRejected
    }
}

fn wrong_audience(rules: &TokenRules) -> BindingRefusal {
    BindingRefusal::WrongAudience { audience: rules.audience.clone() }
}

#[cfg(test)]
mod tests;
