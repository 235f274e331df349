//! The reports of SPIRE's servers at the operator: the plugins are real, their SPIRE and
//! Keylime are played.

use anyhow::{Context as _, Result, ensure};
use keylime_attestor_proto::api::types::Agent;
use lab::fake_keylime::pki::Files;
use lab::fake_keylime::{Node, State};
use lab::fake_spire::{Call, FakeSpire, agent, keylime_agent, with_selector};
use lab::host::Host;
use lab::ports::Port;
use lab::site::{SERVER_PLUGIN, TRUST_DOMAIN};
use lab::{programs, wait};
use serde_json::{Value, json};

use super::nodes::{annotation, expect, passing};
use super::report_secret::pinned;
use super::site::{Operator, Site, TIMEOUT};
use super::{pods, spire};

/// A site whose SPIRE is rolled out, and where the plugins report.
pub(super) struct Reporting {
    pub(super) site: Site,
    pub(super) operator: Operator,
    port: Port,
    action: &'static str,
}

/// One pod of SPIRE's server.
pub(super) struct Server {
    pub(super) spire: FakeSpire,
    /// Ends with it.
    _plugin: Host,
}

impl Reporting {
    pub(super) async fn start(namespace: &str, nodes: &[&str], action: &'static str) -> Result<Self> {
        let mut site = Site::start_alone(namespace).await?;
        for name in nodes {
            site.make_node(name, name, "")?;
            site.keylime.add(passing(name));
        }
        site.apply(&spire::json(namespace))?;
        let port = Port::free()?;
        let operator = site.operator()?;
        let reporting = Self { site, operator, port, action };
        reporting.attest(json!({}))?;
        reporting.site.make_ready()?;
        Ok(reporting)
    }

    /// Applies the resource, with its spec changed as asked for.
    pub(super) fn attest(&self, mut changes: Value) -> Result<()> {
        changes["enforcement"] =
            json!({"action": self.action, "interval": "1s", "reportPort": self.port.number()});
        changes["nodes"] = json!({"grace": "0"});
        self.site.attest(changes)
    }

    /// Starts a pod of SPIRE's server, with the certificate of the Secret.
    pub(super) async fn server(&self, pod: &str, ip: &str, agents: Vec<Agent>) -> Result<Server> {
        let dir = self.site.dir.path();
        let [ca, cert, key] =
            ["cacert.crt", "client-cert.crt", "client-private.pem"].map(|name| dir.join(name));
        self.server_with(pod, ip, &Files { ca, cert, key }, agents).await
    }

    async fn server_with(&self, pod: &str, ip: &str, files: &Files, agents: Vec<Agent>) -> Result<Server> {
        let spire = FakeSpire::start(agents)?;
        let plugin = Host::start(programs::built(SERVER_PLUGIN)?).start().await?;
        let keylime = &self.site.keylime;
        let configuration = json!({
            "keylime_verifier_port": keylime.verifier.port(),
            "keylime_registrar_port": keylime.registrar.port(),
            "keylime_tls_ca_cert_file": files.ca, "keylime_tls_cert_file": files.cert, "keylime_tls_key_file": files.key,
            "enforcement": {"action": self.action.to_lowercase(), "interval": "1s", "spire_socket_path": spire.socket(),
                "report_address": format!("{ip}:{}", self.port), "report_client_key_sha256": pinned(&self.site)?},
        });
        plugin.plugin().configure(TRUST_DOMAIN, &configuration.to_string()).await?;
        plugin.log().wait_for_message("report is served").await?;
        let hash = self.site.hash("statefulset/spire-server")?.context("no overlay")?;
        self.site.apply(&spire::pod(&self.site.namespace, pod, "spire-server", &hash))?;
        pods::ready(&self.site, pod)?;
        pods::address(&self.site, pod, ip)?;
        Ok(Server { spire, _plugin: plugin })
    }

    /// Waits until IdentityIssued of a node has a status and a reason; its AttestedNode.
    fn identity(&self, node: &str, status: &str, reason: &str) -> Result<Value> {
        wait::until(&format!("IdentityIssued of {node} to be {status}, {reason}"), TIMEOUT, || {
            let attested = self.site.get(&format!("attestednode/{node}"))?;
            let conditions = attested.pointer("/status/conditions").and_then(Value::as_array);
            let issued =
                conditions.into_iter().flatten().find(|condition| condition["type"] == "IdentityIssued");
            let issued = issued.context("no such condition")?;
            ensure!(issued["status"] == status && issued["reason"] == reason, "it is {issued}");
            Ok(attested)
        })
    }

    /// How often something was told of a node: on the Node, and on its AttestedNode.
    fn told(&self, node: &str, reason: &str) -> Result<[u64; 2]> {
        let args = ["get", "events", "--namespace", "default", "--output", "json"];
        let events: Value = serde_json::from_str(&self.site.server.kubectl(&args)?)?;
        let of = |kind: &str| {
            let all = events["items"].as_array().into_iter().flatten();
            let ours = all.filter(|event| {
                let about = &event["involvedObject"];
                about["kind"] == kind && about["name"] == node && event["reason"] == reason
            });
            ours.map(|event| event["series"]["count"].as_u64().unwrap_or(1)).sum()
        };
        Ok([of("Node"), of("AttestedNode")])
    }

    /// Waits for polls of the nodes that begin from now on.
    pub(super) fn polls(&self) -> Result<()> {
        let count = || -> Result<u64> {
            let metrics = self.operator.get(&self.operator.metrics, "/metrics")?;
            let lines = metrics.lines();
            let mut counts =
                lines.filter(|line| line.starts_with("keylime_attestor_poll_duration_seconds_count"));
            Ok(counts.next().and_then(|line| line.rsplit(' ').next()).unwrap_or("0").parse()?)
        };
        // One that has just started does not answer yet.
        let before = wait::until("the metrics", TIMEOUT, count)?;
        wait::until("two polls", TIMEOUT, || {
            ensure!(count()? > before + 1);
            Ok(())
        })
    }

    /// Makes the pod of the agent on a node, ready and with our overlay.
    pub(super) fn agent(&self, pod: &str, node: &str) -> Result<()> {
        let hash = self.site.hash("daemonset/spire-agent")?;
        pods::start_agent(&self.site, pod, node, hash.as_deref())?;
        pods::ready(&self.site, pod)
    }

    /// The agent of a node as its former attestor has it.
    pub(super) fn of_psat(&self, node: &str) -> Result<Agent> {
        let node = self.site.get(&format!("node/{node}"))?;
        let uid = node.pointer("/metadata/uid").and_then(Value::as_str).context("no uid")?;
        let agent = agent("k8s_psat", &format!("production/{uid}"));
        Ok(with_selector(agent, "k8s_psat", &format!("agent_node_uid:{uid}")))
    }
}

pub(super) fn failing(name: &str) -> Node {
    passing(name).with_states([State::fail()])
}

fn id(name: &str) -> String {
    format!("spiffe://example.org/spire/agent/keylime/{name}")
}

/// The changes of agents that SPIRE was asked for.
pub(super) fn acts(spire: &FakeSpire) -> Vec<Call> {
    spire.calls().into_iter().filter(|call| *call != Call::List).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_spire_holds_is_shown_of_each_node_and_what_it_does_is_told_once() -> Result<()> {
    let mut reporting = Reporting::start("reports", &["good", "none", "banned", "bad"], "Evict").await?;
    reporting.identity("good", "Unknown", "NotObserved")?;
    let (unseen, _) = reporting.site.condition("Enforcing")?;
    ensure!(unseen == "NotObserved", "{unseen}");
    let agents =
        vec![keylime_agent("good"), keylime_agent("bad"), Agent { banned: true, ..keylime_agent("banned") }];
    let server = reporting.server("spire-server-0", "127.0.0.1", agents).await?;

    let good = reporting.identity("good", "True", "Issued")?;
    ensure!(good["status"]["spiffeId"] == id("good") && good["status"]["reason"] == "Attested", "{good}");
    reporting.site.wait("the SPIFFE ID on the node", |site| {
        Ok(annotation(site, "good", "spiffe-id")?.as_deref() == Some(id("good").as_str()))
    })?;
    let none = reporting.identity("none", "False", "IdentityNotIssued")?;
    ensure!(
        none["status"]["reason"] == "IdentityNotIssued" && none["status"]["spiffeId"].is_null(),
        "{none}"
    );
    ensure!(annotation(&reporting.site, "none", "spiffe-id")?.is_none());
    let banned = reporting.identity("banned", "False", "Banned")?;
    ensure!(banned["status"]["reason"] == "Banned", "{banned}");
    reporting.site.wait_for("Enforcing", "Enforcing")?;

    reporting.site.keylime.add(failing("bad"));
    expect(&reporting.site, "bad", "KeylimeAttestationFailed")?;
    reporting.identity("bad", "False", "IdentityNotIssued")?;
    let told = |reporting: &Reporting| {
        wait::until("the event", TIMEOUT, || {
            let told = reporting.told("bad", "Evicted")?;
            ensure!(told == [1, 1], "{told:?}");
            Ok(())
        })
    };
    told(&reporting)?;
    reporting.site.wait("the number of the last action", |site| {
        Ok(site.get("kla/spire")?["status"]["enforcement"][0]["lastAction"] == 1)
    })?;
    // An operator that starts anew tells it no second time.
    reporting.operator.process.kill()?;
    reporting.operator = reporting.site.operator()?;
    reporting.polls()?;
    told(&reporting)?;
    ensure!(acts(&server.spire) == [Call::Evict(id("bad"))]);

    // What was known stays while nobody tells.
    drop(server);
    let good = reporting.identity("good", "Unknown", "NotObserved")?;
    ensure!(good["status"]["spiffeId"] == id("good") && good["status"]["reason"] == "Attested", "{good}");
    ensure!(annotation(&reporting.site, "good", "spiffe-id")?.as_deref() == Some(id("good").as_str()));
    let message = reporting.site.wait_for("Enforcing", "NotObserved")?;
    ensure!(message.contains("spire-server-0"), "{message}");
    reporting.operator.stop()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_of_another_attestor_attests_anew_once_for_each_of_its_pods() -> Result<()> {
    let reporting = Reporting::start("reattest", &["moved", "waits"], "Observe").await?;
    let agents = vec![reporting.of_psat("moved")?, reporting.of_psat("waits")?];
    let evicted = Call::Evict(lab::fake_spire::spiffe_id(&agents[0]));
    let server = reporting.server("spire-server-0", "127.0.0.1", agents).await?;
    for node in ["moved", "waits"] {
        reporting.identity(node, "False", "IdentityOfOtherAttestor")?;
    }
    // Neither of them runs our plugin.
    reporting.polls()?;
    ensure!(acts(&server.spire).is_empty(), "{:?}", acts(&server.spire));

    reporting.agent("agent-1", "moved")?;
    server.spire.wait_for(|calls| calls.contains(&evicted)).await?;
    reporting.identity("moved", "False", "IdentityNotIssued")?;
    wait::until("the event", TIMEOUT, || {
        let told = reporting.told("moved", "Reattested")?;
        ensure!(told == [1, 1], "{told:?}");
        Ok(())
    })?;
    // It comes back as it was: that is not for us to revert.
    server.spire.add(reporting.of_psat("moved")?);
    reporting.identity("moved", "False", "IdentityOfOtherAttestor")?;
    reporting.polls()?;
    ensure!(acts(&server.spire) == [evicted.clone()], "{:?}", acts(&server.spire));
    reporting.site.kubectl(&["delete", "pod", "agent-1"])?;
    reporting.agent("agent-2", "moved")?;
    server.spire.wait_for(|calls| calls.iter().filter(|call| **call == evicted).count() == 2).await?;
    reporting.polls()?;
    ensure!(acts(&server.spire) == [evicted.clone(), evicted], "{:?}", acts(&server.spire));
    server.spire.add(keylime_agent("moved"));
    reporting.identity("moved", "True", "Issued")?;
    reporting.operator.stop()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ban_is_told_and_so_is_that_too_many_fail() -> Result<()> {
    let reporting = Reporting::start("held", &["a", "b", "c"], "Ban").await?;
    let server =
        reporting.server("spire-server-0", "127.0.0.1", ["a", "b", "c"].map(keylime_agent).into()).await?;
    for node in ["a", "b", "c"] {
        reporting.identity(node, "True", "Issued")?;
    }
    reporting.site.keylime.add(failing("a"));
    reporting.identity("a", "False", "Banned")?;
    wait::until("the event", TIMEOUT, || {
        let told = reporting.told("a", "Banned")?;
        ensure!(told == [1, 1], "{told:?}");
        Ok(())
    })?;
    ensure!(acts(&server.spire) == [Call::Ban(id("a"))]);

    // Both of those that are left begin to fail between two polls.
    server.spire.take_down().await;
    for node in ["b", "c"] {
        reporting.site.keylime.add(failing(node));
    }
    server.spire.bring_up()?;
    let message = reporting.site.wait_for("Enforcing", "Held")?;
    ensure!(message.contains("spire-server-0") && message.contains("50%"), "{message}");
    ensure!(acts(&server.spire) == [Call::Ban(id("a"))]);
    reporting.operator.stop()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_reports_of_all_servers_count_together_and_only_those_of_servers_with_the_certificate()
-> Result<()> {
    let reporting = Reporting::start("merged", &["a", "b"], "Observe").await?;
    let other = reporting.site.keylime.ca.write_client(&reporting.site.dir.path().join("other"))?;
    let stranger =
        reporting.server_with("spire-server-0", "127.0.0.1", &other, vec![keylime_agent("a")]).await?;
    reporting.polls()?;
    reporting.identity("a", "Unknown", "NotObserved")?;
    let one = reporting.server("spire-server-1", "127.0.0.2", vec![keylime_agent("a")]).await?;
    reporting.identity("a", "True", "Issued")?;
    reporting.identity("b", "False", "IdentityNotIssued")?;
    let two = reporting.server("spire-server-2", "127.0.0.3", vec![keylime_agent("b")]).await?;
    reporting.identity("b", "True", "Issued")?;
    reporting.identity("a", "True", "Issued")?;
    // Of one that is gone nothing counts any longer, and the other still tells.
    reporting.site.kubectl(&["delete", "pod", "spire-server-1"])?;
    reporting.identity("a", "False", "IdentityNotIssued")?;
    reporting.identity("b", "True", "Issued")?;
    drop((stranger, one, two));
    reporting.operator.stop()
}
