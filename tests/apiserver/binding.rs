//! The server plugin with tokens that a real apiserver made and reviews, and the faults of both.

use std::fs;
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow, bail, ensure};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use lab::apiserver::ApiServer;
use lab::site::Site;
use lab::wait::until;
use rcgen::KeyPair;
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::runtime::Runtime;
use tonic::{Code, Status};

const NAMESPACE: &str = "spire";
const NODE: &str = "node-1";
const POD: &str = "spire-agent-x";
/// The rights of the account of SPIRE's server, as the README of the plugin names them, in the
/// order in which one that is missing is told.
const RIGHTS: [(&str, &str, &str); 3] = [
    ("tokenreviews.authentication.k8s.io", "create", "create tokenreviews.authentication.k8s.io"),
    ("pods", "get", "get pods in the namespace spire"),
    ("nodes", "get", "get nodes"),
];

/// How long a change of rights or of an object may take to be seen by the apiserver itself.
const PATIENCE: Duration = Duration::from_secs(60);

/// A server plugin, a Keylime that passes its node, and a real apiserver.
struct Cluster {
    site: Site,
    server: ApiServer,
    folder: TempDir,
    /// The apiserver has one of its own, so that no test may run in one.
    runtime: Runtime,
}

#[test]
fn a_pods_real_token_proves_its_node_until_pod_or_node_are_gone() -> Result<()> {
    let cluster = Cluster::start()?;
    cluster.grant(&RIGHTS)?;
    cluster.make_node()?;
    cluster.make_pod(NODE)?;
    let token = cluster.token("spire-agent", "keylime-attestor")?;

    let uid = cluster.uid(&format!("node/{NODE}"))?;
    let selectors = cluster.accepted(&token)?;
    for expected in [format!("node_name:{NODE}"), format!("node_uid:{uid}"), "node_label:zone:a".to_owned()] {
        ensure!(selectors.contains(&expected), "{expected} is not in {selectors:?}");
    }

    cluster.refused(&expired(&token, &cluster.server.service_account_key()?)?, &["token_expired"])?;
    let foreign = KeyPair::generate()?.serialize_pem();
    cluster.refused(&resigned(&token, &foreign, |_| {})?, &["token_rejected"])?;
    let elsewhere = cluster.token("spire-agent", "spire-server")?;
    cluster.refused(&elsewhere, &["wrong_audience"])?;
    cluster.kubectl(&["create", "serviceaccount", "other"])?;
    cluster.kubectl(&["create", "--filename", &cluster.pod("other-x", "other", NODE)?])?;
    let other = cluster.token_of("other", "other-x", "keylime-attestor")?;
    cluster.refused(&other, &["wrong_service_account"])?;
    let unbound = cluster.kubectl(&["create", "token", "spire-agent", "--audience=keylime-attestor"])?;
    cluster.refused(unbound.trim(), &["token_not_bound"])?;

    cluster.kubectl(&["delete", "node", NODE])?;
    cluster.refused(&token, &["node_gone"])?;
    cluster.make_node()?;
    cluster.refused(&token, &["node_replaced"])?;
    let renewed = cluster.token("spire-agent", "keylime-attestor")?;
    let selectors = cluster.accepted(&renewed)?;
    ensure!(!selectors.contains(&format!("node_uid:{uid}")), "{selectors:?}");

    cluster.delete_pod()?;
    cluster.refused(&renewed, &["pod_gone", "token_invalidated"])?;
    cluster.make_pod(NODE)?;
    cluster.refused(&renewed, &["pod_gone", "token_invalidated"])?;
    cluster.told_nothing_of(&[&token, &renewed])
}

#[test]
fn a_right_that_is_missing_is_named_and_an_apiserver_that_is_down_is_no_refusal() -> Result<()> {
    let mut cluster = Cluster::start()?;
    cluster.make_node()?;
    cluster.make_pod(NODE)?;
    let token = cluster.token("spire-agent", "keylime-attestor")?;
    for granted in 0..RIGHTS.len() {
        let (_, _, missing) = RIGHTS[granted];
        cluster.grant(&RIGHTS[..granted])?;
        let status = cluster.until(&token, "apiserver_forbidden", missing)?;
        ensure!(status.code() == Code::Unavailable, "{status:?}");
    }
    cluster.grant(&RIGHTS)?;
    cluster.until_accepted(&token)?;

    cluster.server.go_down()?;
    let status = cluster.until(&token, "apiserver_unreachable", "failed to ask the apiserver")?;
    ensure!(status.code() == Code::Unavailable, "{status:?}");
    cluster.server.come_up()?;
    cluster.until_accepted(&token)?;

    fs::write(
        cluster.folder.path().join("token"),
        expired(&cluster.own_token()?, &cluster.server.service_account_key()?)?,
    )?;
    let status = cluster.until(&token, "apiserver_unauthorized", "token_file")?;
    ensure!(status.code() == Code::Unavailable, "{status:?}");
    cluster.told_nothing_of(&[&token])
}

impl Cluster {
    fn start() -> Result<Self> {
        let runtime = Runtime::new()?;
        let site = runtime.block_on(Site::start())?;
        let cluster = Self { site, server: ApiServer::start()?, folder: TempDir::new()?, runtime };
        cluster.server.kubectl(&["create", "namespace", NAMESPACE])?;
        for account in ["spire-server", "spire-agent"] {
            cluster.kubectl(&["create", "serviceaccount", account])?;
        }
        let token_file = cluster.folder.path().join("token");
        fs::write(&token_file, cluster.own_token()?)?;
        let block = format!(
            "kubernetes {{\nservice_accounts = [\"{NAMESPACE}:spire-agent\"]\nallowed_node_label_keys = [\"zone\"]\n\
             apiserver = {:?}\nca_file = {:?}\ntoken_file = {token_file:?}\n}}\n",
            cluster.server.address(),
            cluster.server.ca_file()
        );
        cluster.runtime.block_on(cluster.site.configure(&block))?;
        Ok(cluster)
    }

    fn kubectl(&self, args: &[&str]) -> Result<String> {
        self.server.kubectl(&[&["--namespace", NAMESPACE], args].concat())
    }

    fn own_token(&self) -> Result<String> {
        Ok(self.kubectl(&["create", "token", "spire-server"])?.trim().to_owned())
    }

    /// Gives the account of SPIRE's server these rights and no others.
    fn grant(&self, rights: &[(&str, &str, &str)]) -> Result<()> {
        let rules: Vec<Value> = rights
            .iter()
            .map(|(resource, verb, _)| {
                let (resource, group) = resource.split_once('.').unwrap_or((resource, ""));
                json!({"apiGroups": [group], "resources": [resource], "verbs": [verb]})
            })
            .collect();
        let role = json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole",
            "metadata": {"name": "attestor"}, "rules": rules});
        let account = json!({"kind": "ServiceAccount", "name": "spire-server", "namespace": NAMESPACE});
        let binding = json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding",
            "metadata": {"name": "attestor"}, "subjects": [account],
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "attestor"}});
        for object in [role, binding] {
            self.kubectl(&["apply", "--server-side", "--filename", &self.file(&object)?])?;
        }
        Ok(())
    }

    fn make_node(&self) -> Result<()> {
        let node =
            json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": NODE, "labels": {"zone": "a"}}});
        self.kubectl(&["create", "--filename", &self.file(&node)?]).map(drop)
    }

    fn make_pod(&self, node: &str) -> Result<()> {
        self.kubectl(&["create", "--filename", &self.pod(POD, "spire-agent", node)?]).map(drop)
    }

    /// The file of a pod.
    fn pod(&self, name: &str, account: &str, node: &str) -> Result<String> {
        self.file(&json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name},
            "spec": {"serviceAccountName": account, "nodeName": node,
                "containers": [{"name": "agent", "image": "registry.example/agent:1"}]}}))
    }

    fn delete_pod(&self) -> Result<()> {
        self.kubectl(&["delete", "pod", POD, "--force", "--grace-period=0"]).map(drop)
    }

    fn uid(&self, object: &str) -> Result<String> {
        self.kubectl(&["get", object, "--output=jsonpath={.metadata.uid}"])
    }

    fn file(&self, object: &Value) -> Result<String> {
        let file = self.folder.path().join("object.json");
        fs::write(&file, object.to_string())?;
        Ok(file.display().to_string())
    }

    /// A token of the agent's pod, as the kubelet gets it.
    fn token(&self, account: &str, audience: &str) -> Result<String> {
        self.token_of(account, POD, audience)
    }

    fn token_of(&self, account: &str, pod: &str, audience: &str) -> Result<String> {
        let (pod, audience) = (format!("--bound-object-name={pod}"), format!("--audience={audience}"));
        let args = ["create", "token", account, "--bound-object-kind=Pod", &pod, &audience, "--duration=10m"];
        Ok(self.kubectl(&args)?.trim().to_owned())
    }

    fn attest(&self, token: &str) -> Result<Result<Vec<String>, Status>> {
        let payload = self.site.node.payload_with(Some(token.parse()?));
        let attest = self.site.attest_as(payload, |challenge| self.site.node.respond(challenge));
        let attested = self.runtime.block_on(attest);
        Ok(attested.map(|attributes| attributes.selector_values))
    }

    fn accepted(&self, token: &str) -> Result<Vec<String>> {
        self.attest(token)?.map_err(|status| anyhow!("{status:?}"))
    }

    /// Expects a refusal with one of these reasons.
    fn refused(&self, token: &str, reasons: &[&str]) -> Result<()> {
        let status = self.attest(token)?.err().with_context(|| format!("{reasons:?}: let in"))?;
        let reason = self.runtime.block_on(self.site.reason())?;
        ensure!(reasons.contains(&reason.as_str()), "{reasons:?} expected, got {reason}: {status:?}");
        ensure!(status.code() == Code::PermissionDenied, "{reason}: {status:?}");
        Ok(())
    }

    /// Attests until the apiserver has seen a change.
    fn until(&self, token: &str, reason: &str, text: &str) -> Result<Status> {
        until(text, PATIENCE, || {
            let outcome = self.attest(token)?;
            let last = self.runtime.block_on(self.site.reason())?;
            match outcome {
                Err(status) if last == reason && status.message().contains(text) => Ok(status),
                other => bail!("{reason} did not come: {other:?}"),
            }
        })
    }

    fn until_accepted(&self, token: &str) -> Result<()> {
        until("an identity", PATIENCE, || self.accepted(token).map(drop))
    }

    fn told_nothing_of(&self, tokens: &[&str]) -> Result<()> {
        let secrets: Vec<&str> = tokens.iter().flat_map(|token| token.split('.').skip(1)).collect();
        for line in self.site.host.log().lines() {
            ensure!(!secrets.iter().any(|secret| line.contains(secret)), "{line}");
        }
        Ok(())
    }
}

/// The token of an hour ago, signed again by the apiserver's key.
fn expired(token: &str, key: &str) -> Result<String> {
    resigned(token, key, |claims| {
        for time in ["iat", "nbf", "exp"] {
            claims[time] = json!(claims[time].as_i64().unwrap_or_default() - 2 * 60 * 60);
        }
    })
}

/// A token with other claims, signed by a key (PEM, PKCS#8).
fn resigned(token: &str, key: &str, change: impl FnOnce(&mut Value)) -> Result<String> {
    let (header, rest) = token.split_once('.').context("no token")?;
    let mut claims: Value =
        serde_json::from_slice(&URL_SAFE_NO_PAD.decode(rest.split('.').next().unwrap_or_default())?)?;
    change(&mut claims);
    let signed = format!("{header}.{}", URL_SAFE_NO_PAD.encode(claims.to_string()));
    let (random, der) = (SystemRandom::new(), KeyPair::from_pem(key)?.serialize_der());
    let key = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &der, &random);
    let key = key.map_err(|error| anyhow!("failed to read the key: {error}"))?;
    let signature = key.sign(&random, signed.as_bytes()).map_err(|_| anyhow!("failed to sign"))?;
    Ok(format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature.as_ref())))
}
