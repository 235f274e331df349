//! Which tokens the server plugin takes, by the word of an apiserver, and what becomes of an agent
//! without one.

#![expect(clippy::indexing_slicing, reason = "what the tests share is test code too")]

use std::fs;

use anyhow::{Context as _, Result, anyhow, ensure};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use lab::fake_apiserver::{FakeApiserver, State, TOKEN};
use lab::fake_keylime::Fault;
use lab::site::Site;
use serde_json::{Value, json};
use tonic::{Code, Status};

/// A server plugin with an apiserver.
struct Cluster {
    site: Site,
    apiserver: FakeApiserver,
}

#[tokio::test]
async fn a_good_token_gives_the_nodes_selectors() -> Result<()> {
    let cluster = Cluster::start("allowed_node_label_keys = [\"zone\", \"rack\"]").await?;
    let selectors = cluster.attest(Some(TOKEN)).await?;
    let of_node: Vec<&String> = selectors.iter().filter(|selector| selector.starts_with("node_")).collect();
    assert_eq!(of_node, ["node_label:zone:a", "node_name:node-1", "node_uid:node-uid-1"]);
    ensure!(selectors.iter().any(|selector| selector.starts_with("ak_sha256:")), "{selectors:?}");
    let asked = cluster.apiserver.server.requests();
    let review: Value = serde_json::from_slice(&asked[0].body)?;
    assert_eq!(review["spec"], json!({"token": TOKEN, "audiences": ["keylime-attestor"]}));
    assert_eq!(asked.len(), 3, "{:?}", cluster.apiserver.server.targets());
    let proven = |entry: &Value| entry["node_uid"] == "node-uid-1" && entry["result"] == "accepted";
    cluster.site.host.log().wait_for(proven).await?;
    cluster.told_no_token()
}

#[tokio::test]
async fn no_token_and_each_bad_one_is_refused_without_a_challenge() -> Result<()> {
    for mode in ["require", "prefer"] {
        let cluster = Cluster::start(&format!("binding = \"{mode}\"")).await?;
        for (what, change) in wrongs() {
            cluster.apiserver.reset();
            cluster.apiserver.change(change);
            cluster.refused(Some(TOKEN), Code::PermissionDenied, what).await?;
        }
        cluster.apiserver.reset();
        cluster.refused(Some("another.pods.token"), Code::PermissionDenied, "token_rejected").await?;
        cluster.attest(Some(TOKEN)).await?;
        cluster.told_no_token()?;
    }
    Ok(())
}

#[tokio::test]
async fn an_agent_without_a_token_is_refused_or_let_in_and_logged() -> Result<()> {
    let cluster = Cluster::start("").await?;
    let asked = cluster.site.keylime.verifier.served() + cluster.apiserver.server.served();
    cluster.refused(None, Code::PermissionDenied, "no_token").await?;
    let now = cluster.site.keylime.verifier.served() + cluster.apiserver.server.served();
    assert_eq!(now, asked, "somebody was asked about it");

    cluster.configure("binding = \"prefer\"").await?;
    // What the Go plugin's agent sends, to the byte, is what ours sends without a token.
    let base64 = |text: &str| STANDARD.encode(text);
    let of_go = format!(
        r#"{{"AgentID":"{}","HashAlg":"{}"}}"#,
        base64(cluster.site.node.id().as_str()),
        base64("sha256")
    );
    assert_eq!(String::from_utf8(cluster.payload(None)?)?, of_go);
    let selectors = cluster.attest(None).await?;
    ensure!(!selectors.iter().any(|selector| selector.starts_with("node_")), "{selectors:?}");
    let id = cluster.site.node.id().as_str();
    let let_in = |entry: &Value| {
        entry["@level"] == "warn" && entry["agent_id"] == id && entry.to_string().contains("is let in")
    };
    cluster.site.host.log().wait_for(let_in).await?;
    Ok(())
}

#[tokio::test]
async fn without_the_block_a_token_is_not_looked_at() -> Result<()> {
    let cluster = Cluster::start("").await?;
    cluster.site.configure("").await?;
    let selectors = cluster.attest(Some("any.token.there")).await?;
    ensure!(!selectors.iter().any(|selector| selector.starts_with("node_")), "{selectors:?}");
    assert_eq!(cluster.apiserver.server.served(), 0);
    Ok(())
}

#[tokio::test]
async fn a_missing_right_is_named_and_is_no_refusal() -> Result<()> {
    let cluster = Cluster::start("").await?;
    for (resource, right) in [
        ("tokenreviews", "create tokenreviews.authentication.k8s.io"),
        ("nodes", "get nodes"),
        ("pods", "get pods in the namespace spire-system"),
    ] {
        cluster.apiserver.reset();
        cluster.apiserver.change(|state| state.forbidden = [resource].into());
        let status = cluster.refused(Some(TOKEN), Code::Unavailable, "apiserver_forbidden").await?;
        ensure!(status.message().contains(right), "{status:?}");
    }
    Ok(())
}

#[tokio::test]
async fn an_apiserver_that_is_ill_is_no_refusal() -> Result<()> {
    let mut cluster = Cluster::start("").await?;
    cluster.configure_with("request_timeout = \"3s\"\n", "").await?;
    for path in ["/tokenreviews", "/nodes/", "/pods/"] {
        for (fault, reason) in [
            (Fault::Hang, "apiserver_unreachable"),
            (Fault::HangUp, "apiserver_unreachable"),
            (Fault::CutShort, "apiserver_unreachable"),
            (Fault::Huge(10 * 1024 * 1024), "apiserver_unreachable"),
            (Fault::Redirect("/".to_owned()), "apiserver_malformed"),
            (Fault::Answer(lab::fake_keylime::Response::json(500, "{}")), "apiserver_malformed"),
            (Fault::Answer(lab::fake_keylime::Response::json(200, "{}")), "apiserver_malformed"),
            (Fault::Answer(lab::fake_keylime::Response::html(404, "")), "apiserver_malformed"),
        ] {
            cluster.apiserver.reset();
            cluster.apiserver.server.fault(path, fault);
            cluster.refused(Some(TOKEN), Code::Unavailable, reason).await?;
        }
    }
    cluster.apiserver.reset();
    cluster.apiserver.server.take_down().await;
    cluster.refused(Some(TOKEN), Code::Unavailable, "apiserver_unreachable").await?;
    cluster.apiserver.server.bring_up().await?;
    cluster.attest(Some(TOKEN)).await?;
    cluster.told_no_token()
}

#[tokio::test]
async fn an_answer_about_another_object_is_no_refusal() -> Result<()> {
    let cluster = Cluster::start("").await?;
    for kind in ["pod", "node"] {
        cluster.apiserver.reset();
        cluster.apiserver.change(|state| {
            let object = if kind == "pod" { &mut state.pod } else { &mut state.node };
            if let Some(object) = object {
                object["metadata"]["name"] = json!("another");
            }
        });
        cluster.refused(Some(TOKEN), Code::Unavailable, "apiserver_malformed").await?;
    }
    Ok(())
}

#[tokio::test]
async fn the_token_and_ca_of_the_server_are_those_of_the_moment() -> Result<()> {
    let cluster = Cluster::start("").await?;
    cluster.apiserver.change(|state| state.own_token = "renewed.own.token".to_owned());
    cluster.refused(Some(TOKEN), Code::Unavailable, "apiserver_unauthorized").await?;
    fs::write(&cluster.apiserver.token_file, "renewed.own.token")?;
    cluster.attest(Some(TOKEN)).await?;
    fs::remove_file(&cluster.apiserver.token_file)?;
    cluster.refused(Some(TOKEN), Code::Unavailable, "own_token").await?;
    Ok(())
}

#[tokio::test]
async fn another_ca_is_not_the_apiservers() -> Result<()> {
    let cluster = Cluster::start("").await?;
    fs::write(&cluster.apiserver.ca_file, cluster.site.keylime.ca.pem())?;
    cluster.configure("").await?;
    let status = cluster.refused(Some(TOKEN), Code::Unavailable, "apiserver_unreachable").await?;
    ensure!(status.message().contains("not signed by a CA of ca_file"), "{status:?}");
    Ok(())
}

/// The reason that is told, and what is wrong.
type Wrong = (&'static str, fn(&mut State));

/// What can be wrong with a token.
fn wrongs() -> Vec<Wrong> {
    fn object(object: &mut Option<Value>, pointer: &str, value: Value) {
        if let Some(found) = object.as_mut().and_then(|object| object.pointer_mut(pointer)) {
            *found = value;
        }
    }
    vec![
        ("token_expired", |state| state.review = json!({"error": "service account token has expired"})),
        ("wrong_audience", |state| state.review["audiences"] = json!(["spire-server"])),
        ("wrong_audience", |state| state.review["audiences"] = json!([])),
        ("wrong_service_account", |state| {
            state.review["user"]["username"] = json!("system:serviceaccount:spire-system:other");
        }),
        ("token_not_bound", |state| state.review["user"]["extra"] = json!({})),
        ("pod_gone", |state| state.pod = None),
        ("pod_gone", |state| object(&mut state.pod, "/metadata/uid", json!("pod-uid-2"))),
        ("pod_elsewhere", |state| object(&mut state.pod, "/spec/nodeName", json!("node-2"))),
        ("node_gone", |state| state.node = None),
        ("node_replaced", |state| object(&mut state.node, "/metadata/uid", json!("node-uid-2"))),
    ]
}

impl Cluster {
    async fn start(more: &str) -> Result<Self> {
        let cluster = Self { site: Site::start().await?, apiserver: FakeApiserver::start().await? };
        cluster.configure(more).await?;
        Ok(cluster)
    }

    async fn configure(&self, more: &str) -> Result<(), Status> {
        self.configure_with("", more).await
    }

    async fn configure_with(&self, keys: &str, more: &str) -> Result<(), Status> {
        self.site.configure(&format!("{keys}{}", self.apiserver.block(more))).await
    }

    fn payload(&self, token: Option<&str>) -> Result<Vec<u8>> {
        Ok(self.site.node.payload_with(token.map(str::parse).transpose()?))
    }

    /// Attests; the selectors.
    async fn attest(&self, token: Option<&str>) -> Result<Vec<String>> {
        let respond = |challenge: &[u8]| self.site.node.respond(challenge);
        Ok(self.site.attest_as(self.payload(token)?, respond).await?.selector_values)
    }

    /// Expects a refusal before the challenge, with this code, and this reason in the log.
    async fn refused(&self, token: Option<&str>, code: Code, reason: &str) -> Result<Status> {
        let challenged = |_: &[u8]| Err(anyhow!("it was challenged"));
        let refused = self.site.attest_as(self.payload(token)?, challenged).await;
        let status = refused.err().with_context(|| format!("{reason}: it was let in"))?;
        assert_eq!(status.code(), code, "{reason}: {status:?}");
        assert_eq!(self.site.reason().await?, reason);
        Ok(status)
    }

    fn told_no_token(&self) -> Result<()> {
        for line in self.site.host.log().lines() {
            ensure!(!line.contains("CLAIMS") && !line.contains("SIGNATURE"), "{line}");
            ensure!(!line.contains("own.account.token"), "{line}");
        }
        Ok(())
    }
}
