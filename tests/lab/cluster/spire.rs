//! SPIRE in the cluster's pods, from the chart beside this file.

use std::time::Instant;

use anyhow::{Context as _, Result, bail, ensure};
use serde_json::Value;

use super::{Cluster, Node, TIMEOUT};
use crate::{programs, wait};

/// The namespace of Helm's record of the release `spire`, which is none of SPIRE's own, as with
/// SPIFFE's chart.
const RELEASE_NAMESPACE: &str = "spire-mgmt";

const TRUST_DOMAIN: &str = "spiffe://example.org";

/// A major version of Helm: the older merges on the client's side, the newer applies on the
/// server's.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Helm {
    /// Helm 3.
    V3,
    /// Helm 4.
    V4,
}

/// An agent as the SPIRE server lists it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct SpireAgent {
    /// Its SPIFFE ID.
    pub id: String,
    /// The node attestor that it came by, such as `k8s_psat`.
    pub attestation_type: String,
    /// When its SVID expires, in Unix seconds.
    pub expires_at: u64,
    /// True if the server would let it attest again.
    pub can_reattest: bool,
    /// `type:value` each, as the server's own output has them.
    pub selectors: Vec<String>,
}

impl Cluster {
    /// Installs SPIRE as the release `spire`, or upgrades it, and waits until the server and every
    /// agent are ready. `values` are as Helm's `--set` takes them, such as `agent.runAsUser=1000`,
    /// and change the cluster's world; those of an earlier call are forgotten. The chart's
    /// values.yaml has all of them.
    ///
    /// # Errors
    /// When Helm fails, or the pods are not ready in time.
    pub fn install_spire(&self, helm: Helm, values: &[&str]) -> Result<()> {
        self.apply(&self.world.manifests())?;
        if self.world.manages_entries {
            self.install_spire_kinds()?;
        }
        let chart = programs::source("cluster/charts/spire");
        let chart = chart.to_str().context("the chart's path is no text")?;
        let mut args = vec!["upgrade", "--install", "spire", chart, "--reset-values"];
        args.extend(["--namespace", RELEASE_NAMESPACE, "--create-namespace"]);
        let world = self.world.values();
        for value in world.iter().map(String::as_str).chain(values.iter().copied()) {
            args.extend(["--set", value]);
        }
        self.helm(helm, &args)?;
        self.wait_for_spire()
    }

    /// Takes SPIRE out again, and returns when its pods are gone.
    ///
    /// # Errors
    /// When Helm fails.
    pub fn uninstall_spire(&self, helm: Helm) -> Result<()> {
        let wait = ["--wait", "--cascade", "foreground"];
        let release = ["uninstall", "spire", "--namespace", RELEASE_NAMESPACE];
        self.helm(helm, &[&release[..], &wait].concat())?;
        Ok(())
    }

    /// Makes the kinds that spire-controller-manager reads, as SPIFFE's chart `spire-crds` does.
    fn install_spire_kinds(&self) -> Result<()> {
        let kinds = programs::installed("spire-controller-manager/config/crd/bases")?;
        let kinds = kinds.to_str().context("the path of the kinds is no text")?;
        self.kubectl(&["apply", "--server-side", "--filename", kinds])?;
        let established = ["wait", "--for=condition=Established", "--filename", kinds, "--timeout=60s"];
        self.kubectl(&established)?;
        Ok(())
    }

    /// Waits until the rollouts of SPIRE's workloads are through.
    ///
    /// # Errors
    /// When they are not in time.
    pub fn wait_for_spire(&self) -> Result<()> {
        let timeout = format!("--timeout={}s", TIMEOUT.as_secs());
        let kinds = "statefulset,deployment,daemonset";
        for (namespace, label) in
            [(self.world.server, "app=spire-server"), (self.world.agents, "app=spire-agent")]
        {
            let within = ["--namespace", namespace];
            let list = ["get", kinds, "--selector", label, "--output", "name"];
            for workload in self.kubectl(&[&within[..], &list].concat())?.lines() {
                self.kubectl(&[&within[..], &["rollout", "status", workload, &timeout]].concat())?;
            }
        }
        Ok(())
    }

    /// Runs a command of `spire-server` in the server's pod, such as `["bundle", "show"]`; its
    /// standard output.
    ///
    /// # Errors
    /// When no server runs, or the command fails.
    pub fn spire_server(&self, command: &[&str]) -> Result<String> {
        self.in_ready_pod(self.world.server, "spire-server", |pod| {
            let program = ["exec", pod, "--container", "spire-server", "--", "/opt/spire/bin/spire-server"];
            let socket = ["-socketPath", "/tmp/spire-server/private/api.sock"];
            self.at_server(&[&program[..], command, &socket].concat())
        })
    }

    /// Has SPIRE say, in the pods of its server and of an agent, whether it takes the
    /// configurations that it runs with. From 1.15 on the server asks its plugins, too.
    ///
    /// # Errors
    /// When it does not; the error holds what it wrote.
    pub fn validate_configurations(&self) -> Result<()> {
        for (namespace, part) in [(self.world.server, "spire-server"), (self.world.agents, "spire-agent")] {
            let program = format!("/opt/spire/bin/{part}");
            self.in_ready_pod(namespace, part, |pod| {
                let object = self.kubectl(&["get", pod, "--namespace", namespace, "--output", "json"])?;
                let object: Value = serde_json::from_str(&object).context("a pod that is no JSON")?;
                let mut args = vec!["exec", pod, "--namespace", namespace, "--container", part, "--"];
                args.extend([program.as_str(), "validate"]);
                let words = run_with(&object, part);
                args.extend(words.iter().map(String::as_str));
                self.kubectl(&args)
            })
            .with_context(|| format!("{part} does not take its configuration"))?;
        }
        Ok(())
    }

    /// Does something in a pod of SPIRE's, by its name. Where a rollout takes the pod away
    /// meanwhile, it is done once more in the one that comes: SPIRE's server is rolled by itself
    /// when tokens are demanded of all agents.
    fn in_ready_pod(
        &self,
        namespace: &str,
        part: &str,
        run: impl Fn(&str) -> Result<String>,
    ) -> Result<String> {
        let of_now = || self.ready_pod(namespace, part);
        let deadline = Instant::now() + TIMEOUT;
        loop {
            let pod = wait::until(&format!("a pod of {part}"), TIMEOUT, of_now)?;
            let answer = run(&pod.name);
            if answer.is_ok() || Instant::now() > deadline || of_now().is_ok_and(|now| now == pod) {
                return answer;
            }
        }
    }

    /// One that serves, and is not about to end.
    fn ready_pod(&self, namespace: &str, part: &str) -> Result<Pod> {
        let label = format!("app={part}");
        let pods = ["get", "pods", "--namespace", namespace, "--selector", &label, "--output", "json"];
        let pods: Value = serde_json::from_str(&self.kubectl(&pods)?).context("pods that are no JSON")?;
        let mut pods = pods.get("items").and_then(Value::as_array).into_iter().flatten();
        let ready = pods.find(|pod| is_ready(pod));
        let ready = ready.with_context(|| format!("failed to find a ready pod of {part}"))?;
        let text = |path| ready.pointer(path).and_then(Value::as_str).context("a pod without name or UID");
        Ok(Pod { name: format!("pod/{}", text("/metadata/name")?), uid: text("/metadata/uid")?.to_owned() })
    }

    /// The agents that the SPIRE server knows.
    ///
    /// # Errors
    /// When the server does not answer in the shape that is expected.
    pub fn agents(&self) -> Result<Vec<SpireAgent>> {
        let answer = self.spire_server(&["agent", "list", "-output", "json"])?;
        let answer: Value = serde_json::from_str(&answer).context("the SPIRE server's answer is no JSON")?;
        let agents = answer
            .pointer("/agents")
            .and_then(Value::as_array)
            .context("the SPIRE server's answer has no agents")?;
        agents
            .iter()
            .map(|agent| parse_agent(agent).with_context(|| format!("unexpected agent: {agent}")))
            .collect()
    }

    /// kubectl in the namespace of SPIRE's server, which is that of the resource.
    ///
    /// # Errors
    /// Like [`kubectl`](Self::kubectl).
    pub fn at_server(&self, args: &[&str]) -> Result<String> {
        self.kubectl(&[&["--namespace", self.world.server], args].concat())
    }

    /// kubectl in the namespace of SPIRE's agents.
    ///
    /// # Errors
    /// Like [`kubectl`](Self::kubectl).
    pub fn at_agents(&self, args: &[&str]) -> Result<String> {
        self.kubectl(&[&["--namespace", self.world.agents], args].concat())
    }

    /// The pod of a node's SPIRE agent, as `pod/NAME`.
    ///
    /// # Errors
    /// When there is none.
    pub fn agent_pod(&self, node: Node) -> Result<String> {
        let field = format!("spec.nodeName={}", node.name);
        let list =
            ["get", "pods", "--selector", "app=spire-agent", "--output", "name", "--field-selector", &field];
        let pods = self.at_agents(&list)?;
        Ok(pods.lines().next().with_context(|| format!("no SPIRE agent on {}", node.name))?.to_owned())
    }

    /// Creates an entry for workloads of one agent, the parent. Selectors are `type:value`, such as
    /// `k8s:pod-name:workload`.
    ///
    /// # Errors
    /// When the SPIRE server refuses it.
    pub fn create_entry(&self, parent: &str, spiffe_id: &str, selectors: &[&str]) -> Result<()> {
        let mut command = vec!["entry", "create", "-parentID", parent, "-spiffeID", spiffe_id];
        for selector in selectors {
            command.extend(["-selector", selector]);
        }
        self.spire_server(&command)?;
        Ok(())
    }

    /// Starts a pod on a node, in the namespace `default`, that can fetch its SVID. It runs SPIRE's
    /// agent as a client of the node's agent. Where spire-controller-manager runs, it makes the
    /// entry `spiffe://example.org/NAME` for it.
    ///
    /// # Errors
    /// When the pod is not running in time.
    pub fn start_workload(&self, name: &str, node: Node) -> Result<()> {
        self.apply(&format!(
            "apiVersion: v1
kind: Pod
metadata: {{name: {name}, namespace: default, labels: {{spiffe: enabled}}}}
spec:
  nodeName: {}
  terminationGracePeriodSeconds: 0
  securityContext: {{runAsUser: 1000, runAsNonRoot: true, seccompProfile: {{type: RuntimeDefault}}}}
  containers:
  - name: workload
    image: localhost/spire-agent:{}
    command: [/opt/spire/bin/spire-agent, api, watch, -socketPath, /spiffe/spire-agent.sock]
    securityContext: {{allowPrivilegeEscalation: false, readOnlyRootFilesystem: true, capabilities: {{drop: [ALL]}}}}
    volumeMounts: [{{name: spiffe, mountPath: /spiffe, readOnly: true}}]
  volumes: [{{name: spiffe, hostPath: {{path: /run/spire/agent-sockets}}}}]
",
            node.name, self.world.release
        ))?;
        wait::until(&format!("the pod {name} running"), TIMEOUT, || {
            let phase = self.kubectl(&[
                "get",
                "pod",
                name,
                "--namespace",
                "default",
                "--output",
                "jsonpath={.status.phase}",
            ])?;
            ensure!(phase == "Running", "it is {phase}");
            Ok(())
        })
    }

    /// The SPIFFE ID of the X.509 SVID that a workload gets just now.
    ///
    /// # Errors
    /// When its agent has none for it.
    pub fn workload_id(&self, name: &str) -> Result<String> {
        let fetch =
            ["/opt/spire/bin/spire-agent", "api", "fetch", "x509", "-socketPath", "/spiffe/spire-agent.sock"];
        let mut args = vec!["exec", name, "--namespace", "default", "--"];
        args.extend(fetch);
        let answer = self.kubectl(&args)?;
        let ids: Vec<_> =
            answer.lines().filter_map(|line| line.trim().strip_prefix("SPIFFE ID:")).map(str::trim).collect();
        match ids.as_slice() {
            [id] => Ok((*id).to_owned()),
            _ => bail!("expected one SVID for {name}, got: {answer}"),
        }
    }

    /// The name that the agent of `k8s_psat` on a node has.
    ///
    /// # Errors
    /// When the apiserver does not answer.
    pub fn psat_id(&self, node: Node) -> Result<String> {
        let uid = self.kubectl(&["get", "node", node.name, "--output", "jsonpath={.metadata.uid}"])?;
        Ok(format!("{TRUST_DOMAIN}/spire/agent/k8s_psat/lab/{uid}"))
    }
}

/// A pod, as `pod/NAME`; of a StatefulSet the next has the same name.
#[derive(Debug, Eq, PartialEq)]
struct Pod {
    name: String,
    uid: String,
}

fn is_ready(pod: &Value) -> bool {
    let conditions = pod.pointer("/status/conditions").and_then(Value::as_array);
    let is_ready = |condition: &Value| condition["type"] == "Ready" && condition["status"] == "True";
    pod.pointer("/metadata/deletionTimestamp").is_none() && conditions.into_iter().flatten().any(is_ready)
}

/// The flags that a container of SPIRE's runs it with: of what its command begins with, up to the
/// `--` before which the operator writes them, or else its arguments.
fn run_with(pod: &Value, container: &str) -> Vec<String> {
    let mut containers = pod.pointer("/spec/containers").and_then(Value::as_array).into_iter().flatten();
    let container = containers.find(|one| one.get("name").and_then(Value::as_str) == Some(container));
    let words = |key: &str| -> Vec<String> {
        let words = container.and_then(|one| one.get(key)).and_then(Value::as_array);
        words.into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect()
    };
    let command: Vec<_> = words("command").into_iter().skip(2).take_while(|word| word != "--").collect();
    if command.is_empty() { words("args") } else { command }
}

fn parse_agent(agent: &Value) -> Option<SpireAgent> {
    let text = |value: &Value, path: &str| Some(value.pointer(path)?.as_str()?.to_owned());
    let selectors = agent.get("selectors")?.as_array()?.iter();
    Some(SpireAgent {
        id: format!("spiffe://{}{}", text(agent, "/id/trust_domain")?, text(agent, "/id/path")?),
        attestation_type: text(agent, "/attestation_type")?,
        expires_at: text(agent, "/x509svid_expires_at")?.parse().ok()?,
        can_reattest: agent.get("can_reattest")?.as_bool()?,
        selectors: selectors
            .map(|selector| Some(format!("{}:{}", text(selector, "/type")?, text(selector, "/value")?)))
            .collect::<Option<_>>()?,
    })
}
