//! The apiserver's JSON. A TokenReview repeats the token, so that no text of it gets into an error.

use std::collections::BTreeMap;

use evidence::ServiceAccountToken;
use evidence::binding::{Node, ObjectName, ObjectRef, Pod, Review};
use keylime::HttpsAnswer;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::json;

/// The extra of a user that a pod's token brings (Kubernetes 1.30 and later).
const EXTRA: &str = "authentication.kubernetes.io/";

/// The meaning of an answer, apart from its content.
pub(crate) enum Outcome<T> {
    Good(T),
    /// The object is not there, by the apiserver's own word.
    NotFound,
    Unauthorized,
    Forbidden,
    Malformed,
}

/// The body of a request for a review.
pub(crate) fn review_request(token: &ServiceAccountToken, audience: &str) -> Vec<u8> {
    let spec = json!({"token": token.as_str(), "audiences": [audience]});
    json!({"apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview", "spec": spec})
        .to_string()
        .into_bytes()
}

pub(crate) fn review(answer: &HttpsAnswer) -> Outcome<Review> {
    read(answer, "TokenReview", |review: ReviewWire| Some(review.status.into()))
}

/// The pod of this name, and no other.
pub(crate) fn pod(answer: &HttpsAnswer, name: &ObjectName) -> Outcome<Pod> {
    read(answer, "Pod", |pod: PodWire| {
        let uid = pod.metadata.of(name)?.uid.parse().ok()?;
        Some(Pod { uid, node_name: pod.spec.node_name })
    })
}

/// The node of this name, and no other.
pub(crate) fn node(answer: &HttpsAnswer, name: &ObjectName) -> Outcome<Node> {
    read(answer, "Node", |node: NodeWire| {
        let metadata = node.metadata.of(name)?;
        Some(Node { uid: metadata.uid.parse().ok()?, labels: metadata.labels })
    })
}

fn read<W: DeserializeOwned, T>(
    answer: &HttpsAnswer,
    kind: &str,
    take: impl FnOnce(W) -> Option<T>,
) -> Outcome<T> {
    let is = |kind: &str| of_json::<Kind>(answer).is_some_and(|of| of.kind == kind);
    match answer.status {
        200 | 201 if is(kind) => of_json(answer).and_then(take).map_or(Outcome::Malformed, Outcome::Good),
        401 => Outcome::Unauthorized,
        403 => Outcome::Forbidden,
        // A 404 of another form says nothing about an object: such as a proxy's.
        404 if is("Status")
            && of_json::<Status>(answer).is_some_and(|status| status.reason == "NotFound") =>
        {
            Outcome::NotFound
        }
        _ => Outcome::Malformed,
    }
}

fn of_json<T: DeserializeOwned>(answer: &HttpsAnswer) -> Option<T> {
    serde_json::from_slice(&answer.body).ok()
}

#[derive(Deserialize)]
struct Kind {
    kind: String,
}

#[derive(Deserialize)]
struct Status {
    #[serde(default)]
    reason: String,
}

#[derive(Deserialize)]
struct ReviewWire {
    status: ReviewStatus,
}

#[derive(Deserialize)]
struct ReviewStatus {
    #[serde(default)]
    authenticated: bool,
    #[serde(default)]
    error: String,
    #[serde(default)]
    user: User,
    #[serde(default)]
    audiences: Vec<String>,
}

#[derive(Default, Deserialize)]
struct User {
    #[serde(default)]
    username: String,
    #[serde(default)]
    extra: BTreeMap<String, Vec<String>>,
}

#[derive(Deserialize)]
struct PodWire {
    metadata: Metadata,
    spec: PodSpec,
}

#[derive(Deserialize)]
struct PodSpec {
    #[serde(rename = "nodeName")]
    node_name: Option<String>,
}

#[derive(Deserialize)]
struct NodeWire {
    metadata: Metadata,
}

#[derive(Deserialize)]
struct Metadata {
    name: String,
    uid: String,
    #[serde(default)]
    labels: BTreeMap<String, String>,
}

impl Metadata {
    fn of(self, name: &ObjectName) -> Option<Self> {
        Some(self).filter(|metadata| metadata.name == name.as_str())
    }
}

impl From<ReviewStatus> for Review {
    fn from(status: ReviewStatus) -> Self {
        let ReviewStatus { authenticated, error, user: User { username, extra }, audiences } = status;
        let (pod, node) = (bound_to(&extra, "pod"), bound_to(&extra, "node"));
        Self { authenticated, error, username, audiences, pod, node }
    }
}

/// The object of this kind that a token is bound to; [`None`] also where more than one is told.
fn bound_to(extra: &BTreeMap<String, Vec<String>>, kind: &str) -> Option<ObjectRef> {
    let one = |what: &str| match extra.get(&format!("{EXTRA}{kind}-{what}"))?.as_slice() {
        [value] => Some(value),
        _ => None,
    };
    Some(ObjectRef { name: one("name")?.parse().ok()?, uid: one("uid")?.parse().ok()? })
}

#[cfg(test)]
mod tests;
