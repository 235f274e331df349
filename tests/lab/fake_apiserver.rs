//! An apiserver that has tokens to review, pods and nodes, and rights that can be taken away.
//! Answers as kube-apiserver 1.34 does.

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use anyhow::Result;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::fake_keylime::pki::{Ca, Clients, Validity};
use crate::fake_keylime::{FakeServer, Request, Response};

/// The token of the account that asks.
pub const OWN_TOKEN: &str = "own.account.token";
/// The token of the pod of the SPIRE agent.
pub const TOKEN: &str = "header.podCLAIMS.podSIGNATURE";
/// The account of SPIRE's agents.
pub const ACCOUNT: &str = "spire-system:spire-agent";

/// The apiserver, with one pod on one node. It ends when it is dropped.
pub struct FakeApiserver {
    /// Its HTTP server, for faults and what was asked.
    pub server: FakeServer,
    /// Its CA's certificate.
    pub ca_file: PathBuf,
    /// The token of the account that asks.
    pub token_file: PathBuf,
    state: Arc<Mutex<State>>,
    _folder: TempDir,
}

/// What it has, in its own JSON.
pub struct State {
    /// `TokenReview.status` for [`TOKEN`].
    pub review: Value,
    /// The pod.
    pub pod: Option<Value>,
    /// The node.
    pub node: Option<Value>,
    /// The node that the pod is on by now, if it is another one.
    pub other_node: Option<Value>,
    /// The resources that may not be asked for.
    pub forbidden: BTreeSet<&'static str>,
    /// The token of the account that asks.
    pub own_token: String,
}

impl FakeApiserver {
    /// Starts it on a loopback port that the system chooses.
    ///
    /// # Errors
    /// When that cannot be done.
    pub async fn start() -> Result<Self> {
        let ca = Ca::new()?;
        let folder = TempDir::new()?;
        let (ca_file, token_file) = (folder.path().join("ca.crt"), folder.path().join("token"));
        fs::write(&ca_file, ca.pem())?;
        fs::write(&token_file, OWN_TOKEN)?;
        let state = Arc::new(Mutex::new(State::good()));
        let shared = Arc::clone(&state);
        let tls = ca.server(&["127.0.0.1"], Validity::Now)?.server_config(Clients::Optional(&ca))?;
        let server =
            FakeServer::start(Some(tls), Arc::new(move |request| lock(&shared).answer(request))).await?;
        Ok(Self { server, ca_file, token_file, state, _folder: folder })
    }

    /// Changes what it has.
    pub fn change(&self, change: impl FnOnce(&mut State)) {
        change(&mut lock(&self.state));
    }

    /// Gives it back what it had at its start.
    pub fn reset(&self) {
        *lock(&self.state) = State::good();
        self.server.heal();
    }

    /// The block of the server plugin's configuration.
    pub fn block(&self, more: &str) -> String {
        let files = self.files();
        format!(
            "kubernetes {{\nservice_accounts = [{ACCOUNT:?}]\napiserver = \"127.0.0.1:{}\"\n{files}{more}\n}}\n",
            self.server.port()
        )
    }

    /// The block's keys for its files.
    pub fn files(&self) -> String {
        format!("ca_file = {:?}\ntoken_file = {:?}\n", self.ca_file, self.token_file)
    }
}

impl State {
    fn good() -> Self {
        let extra = |name: &str| format!("authentication.kubernetes.io/{name}");
        let review = json!({
            "authenticated": true,
            "user": {
                "username": "system:serviceaccount:spire-system:spire-agent",
                "extra": {
                    extra("node-name"): ["node-1"], extra("node-uid"): ["node-uid-1"],
                    extra("pod-name"): ["spire-agent-x"], extra("pod-uid"): ["pod-uid-1"],
                },
            },
            "audiences": ["keylime-attestor"],
        });
        let pod = json!({"apiVersion": "v1", "kind": "Pod", "spec": {"nodeName": "node-1"},
            "metadata": {"name": "spire-agent-x", "namespace": "spire-system", "uid": "pod-uid-1"}});
        let labels = json!({"zone": "a", "kubernetes.io/hostname": "node-1"});
        let node = json!({"apiVersion": "v1", "kind": "Node",
            "metadata": {"name": "node-1", "uid": "node-uid-1", "labels": labels}});
        let (forbidden, own_token) = (BTreeSet::new(), OWN_TOKEN.to_owned());
        Self { review, pod: Some(pod), node: Some(node), other_node: None, forbidden, own_token }
    }

    /// Puts the pod on a second node, node-2 with the UID node-uid-2, as its token then says.
    pub fn move_pod(&mut self) {
        let extra = |name: &str| format!("authentication.kubernetes.io/{name}");
        if let Some(said) = self.review.pointer_mut("/user/extra").and_then(Value::as_object_mut) {
            said.insert(extra("node-name"), json!(["node-2"]));
            said.insert(extra("node-uid"), json!(["node-uid-2"]));
        }
        if let Some(on) = self.pod.as_mut().and_then(|pod| pod.pointer_mut("/spec/nodeName")) {
            *on = json!("node-2");
        }
        let metadata = json!({"name": "node-2", "uid": "node-uid-2"});
        self.other_node = Some(json!({"apiVersion": "v1", "kind": "Node", "metadata": metadata}));
    }

    fn answer(&self, request: &Request) -> Response {
        if request.token.as_deref() != Some(&self.own_token) {
            return failure(401, "Unauthorized");
        }
        let (resource, found) = match request.target.as_str() {
            "/apis/authentication.k8s.io/v1/tokenreviews" => {
                ("tokenreviews", Some(self.reviewed(&request.body)))
            }
            "/api/v1/nodes/node-1" => ("nodes", self.node.clone()),
            "/api/v1/nodes/node-2" => ("nodes", self.other_node.clone()),
            "/api/v1/namespaces/spire-system/pods/spire-agent-x" => ("pods", self.pod.clone()),
            _ => return Response::html(404, "404 page not found"),
        };
        match found {
            _ if self.forbidden.contains(resource) => failure(403, "Forbidden"),
            Some(found) => {
                Response::json(if resource == "tokenreviews" { 201 } else { 200 }, found.to_string())
            }
            None => failure(404, "NotFound"),
        }
    }

    fn reviewed(&self, body: &[u8]) -> Value {
        let mut review: Value = serde_json::from_slice(body).unwrap_or_default();
        let known = review.pointer("/spec/token").and_then(Value::as_str) == Some(TOKEN);
        let unknown = json!({"user": {}, "error": "[invalid bearer token]"});
        if let Some(review) = review.as_object_mut() {
            review.insert("status".to_owned(), if known { self.review.clone() } else { unknown });
        }
        review
    }
}

fn failure(status: u16, reason: &str) -> Response {
    let body =
        json!({"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": reason, "code": status});
    Response::json(status, body.to_string())
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
