//! A big cluster on one machine: a real apiserver, kwok for the kubelets, SPIRE's objects with an
//! agent pod on each node, and a verifier that knows all nodes.

use std::fs;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use lab::apiserver::ApiServer;
use lab::fake_keylime::{FakeKeylime, Node, State};
use lab::ports::Port;
use lab::process::{Process, output};
use lab::{programs, wait};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::spire;

/// How long thousands of objects may take.
pub(crate) const TIMEOUT: Duration = Duration::from_secs(600);

const NAMESPACE: &str = "spire-system";
const MANAGER: &str = include_str!("../../../operator/testdata/controller-manager/chart.yaml");
/// kubectl makes one object after another: so many of it work at once.
const HANDS: usize = 8;
/// kwok's stages: its changes of nodes and pods.
const STAGES: [&str; 4] = [
    "node/fast/node-initialize.yaml",
    "node/heartbeat-with-lease/node-heartbeat-with-lease.yaml",
    "pod/fast/pod-delete.yaml",
    "pod/fast/pod-ready.yaml",
];

pub(crate) struct Site {
    // In the order in which they end.
    _kwok: Process,
    pub(crate) server: ApiServer,
    pub(crate) keylime: FakeKeylime,
    dir: TempDir,
    nodes: usize,
    started: usize,
}

/// The operator, as it comes in the image.
pub(crate) struct Operator {
    pub(crate) process: Process,
    pub(crate) metrics: Port,
    _health: Port,
}

impl Site {
    pub(crate) async fn start(aliases: bool) -> Result<Self> {
        let server = tokio::task::spawn_blocking(ApiServer::start).await??;
        let dir = TempDir::new()?;
        let kwok = start_kwok(&server, &dir)?;
        let keylime = FakeKeylime::start().await?;
        keylime.verifier.remember_requests(false);
        keylime.registrar.remember_requests(false);
        let site = Self { _kwok: kwok, server, keylime, dir, nodes: 0, started: 0 };
        if aliases {
            site.make_aliasing_possible()?;
        }
        site.prepare(aliases)?;
        Ok(site)
    }

    /// What lets agents prove their Nodes, and entries be made for these.
    fn make_aliasing_possible(&self) -> Result<()> {
        let kinds = programs::installed("spire-controller-manager/config/crd/bases")?;
        let kinds = kinds.to_str().context("a path that is not UTF-8")?;
        self.server.kubectl(&["create", "--filename", kinds])?;
        let account = format!("--serviceaccount={NAMESPACE}:default");
        self.server.kubectl(&[
            "create",
            "clusterrolebinding",
            "spire",
            "--clusterrole=cluster-admin",
            &account,
        ])?;
        Ok(())
    }

    /// SPIRE's objects, the kinds, the Secret and the resource.
    fn prepare(&self, aliases: bool) -> Result<()> {
        let crds = concat!(env!("CARGO_MANIFEST_DIR"), "/../crds");
        self.server.kubectl(&["create", "--filename", crds])?;
        self.server.kubectl(&["wait", "--for=condition=Established", "crd", "--all"])?;
        self.server.kubectl(&["create", "namespace", NAMESPACE])?;
        // What a controller would make; pods need it.
        self.kubectl(&["create", "serviceaccount", "default"])?;
        let files = self.keylime.ca.write_client(self.dir.path())?;
        let entry = |path| Ok::<_, anyhow::Error>(STANDARD.encode(fs::read(path)?));
        let secret = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "keylime-client", "namespace": NAMESPACE},
            "data": {"ca.crt": entry(files.ca)?, "tls.crt": entry(files.cert)?, "tls.key": entry(files.key)?}});
        let address = |server: &lab::fake_keylime::FakeServer| json!({"host": "127.0.0.1", "port": server.address().port()});
        let resource = json!({"apiVersion": "spire.keylime.dev/v1alpha1", "kind": "KeylimeAttestor",
        "metadata": {"name": "spire", "namespace": NAMESPACE},
        "spec": {
            "keylime": {"verifiers": [address(&self.keylime.verifier)], "registrar": address(&self.keylime.registrar),
                "tls": {"secretName": "keylime-client"}},
            "spire": {"server": {"name": "spire-server"}, "agents": [{"name": "spire-agent"}]},
        }});
        let mut all = spire::json(NAMESPACE);
        if aliases {
            all = spire::with_manager(all, MANAGER, json!({}))?;
            let mut pod = spire::pod(NAMESPACE, "spire-server-0", "spire-server", "0");
            pod["spec"]["automountServiceAccountToken"] = json!(true);
            all["items"].as_array_mut().context("no items")?.push(pod);
        }
        let mut objects = all["items"].as_array().cloned().unwrap_or_default();
        objects.extend([secret, resource]);
        self.create("site", &objects)
    }

    /// Adds nodes until there are so many, each with an agent that Keylime passes and a SPIRE
    /// agent's pod, and waits until they are Ready.
    pub(crate) fn grow(&mut self, nodes: usize) -> Result<()> {
        let new = self.nodes..nodes;
        for number in new.clone() {
            let state = State::pass().with("ip", json!(address(number)));
            self.keylime.add(Node::passing(&agent_id(number), &[]).with_states([state]));
        }
        let objects: Vec<Value> = new.flat_map(|number| [node(number), pod(number)]).collect();
        self.nodes = nodes;
        std::thread::scope(|scope| {
            let hands: Vec<_> = objects
                .chunks(objects.len().div_ceil(HANDS).max(1))
                .enumerate()
                .map(|(hand, objects)| {
                    let site = &*self;
                    scope.spawn(move || site.create(&format!("nodes-{hand}"), objects))
                })
                .collect();
            hands
                .into_iter()
                .try_for_each(|hand| hand.join().map_err(|_| anyhow::anyhow!("a thread ended"))?)
        })?;
        for (kind, namespace) in [("nodes", "default"), ("pods", NAMESPACE)] {
            wait::until(&format!("{kind} to be Ready"), TIMEOUT, || {
                let ready = "jsonpath={range .items[*]}{.status.conditions[?(@.type==\"Ready\")].status}{\"\\n\"}{end}";
                let answer =
                    self.server.kubectl(&["get", kind, "--namespace", namespace, "--output", ready])?;
                let ready = answer.lines().filter(|line| *line == "True").count();
                ensure!(ready >= nodes, "{ready} of {nodes} are");
                Ok(())
            })?;
        }
        Ok(())
    }

    /// Has Keylime say something about the first nodes.
    pub(crate) fn set(&self, nodes: usize, state: &State) {
        for number in 0..nodes {
            let state = state.clone().with("ip", json!(address(number)));
            self.keylime.change(&agent_id(number), |node| node.states = [state].into());
        }
    }

    /// Starts the operator.
    pub(crate) fn operator(&mut self) -> Result<Operator> {
        self.started += 1;
        let (metrics, health) = (Port::free()?, Port::free()?);
        let mut command = Command::new(programs::built("keylime-attestor-operator")?);
        command.env("KUBECONFIG", self.server.kubeconfig());
        command.args(["--metrics-address", &format!("127.0.0.1:{metrics}")]);
        command.args(["--health-address", &format!("127.0.0.1:{health}")]);
        command.args(["--plugin-image", "registry.example/keylime-attestor:1", "--log-format", "json"]);
        command.args(["--namespaces", NAMESPACE]);
        // Whatever they are: they are only hashed.
        let plugins = self.dir.path().join("plugins");
        fs::create_dir_all(&plugins)?;
        for plugin in ["keylime-attestor-agent", "keylime-attestor-server"] {
            fs::write(plugins.join(plugin), plugin)?;
        }
        command.arg("--plugins-dir").arg(&plugins);
        let process = Process::start(&format!("operator-{}", self.started), self.dir.path(), &mut command)?;
        Ok(Operator { process, metrics, _health: health })
    }

    /// Plays the controllers of the workloads until the resource is Ready.
    pub(crate) fn make_ready(&self, operator: &mut Operator) -> Result<()> {
        operator.process.wait_until("the resource to be Ready", TIMEOUT, || {
            self.roll_out("statefulset/spire-server", 3)?;
            self.roll_out("daemonset/spire-agent", self.nodes)?;
            let status = self.status()?;
            let conditions = status.get("conditions").and_then(Value::as_array);
            let ready = conditions.into_iter().flatten().find(|condition| condition["type"] == "Ready");
            ensure!(ready.is_some_and(|ready| ready["status"] == "True"), "its status is {status:#}");
            Ok(())
        })
    }

    fn roll_out(&self, workload: &str, pods: usize) -> Result<()> {
        let live: Value = serde_json::from_str(&self.kubectl(&["get", workload, "--output", "json"])?)?;
        let generation = live.pointer("/metadata/generation");
        let status = json!({"observedGeneration": generation,
            "replicas": pods, "readyReplicas": pods, "availableReplicas": pods, "updatedReplicas": pods,
            "currentRevision": "new", "updateRevision": "new",
            "desiredNumberScheduled": pods, "currentNumberScheduled": pods, "numberMisscheduled": 0, "numberReady": pods,
            "numberAvailable": pods, "updatedNumberScheduled": pods});
        let patch = json!({"status": status}).to_string();
        let args = ["patch", workload, "--subresource", "status", "--type", "merge", "--patch", &patch];
        self.kubectl(&args).map(drop)
    }

    /// The status of the resource.
    pub(crate) fn status(&self) -> Result<Value> {
        let resource: Value =
            serde_json::from_str(&self.kubectl(&["get", "kla/spire", "--output", "json"])?)?;
        Ok(resource.get("status").cloned().unwrap_or_default())
    }

    /// How many requests of the operator have changed something, so far. To ask for a review of
    /// somebody's rights is to create one, and changes nothing.
    pub(crate) fn writes(&self) -> Result<usize> {
        let audit = self.server.audit()?;
        let writes = audit.iter().filter(|entry| {
            let text = |path| entry.pointer(path).and_then(Value::as_str).unwrap_or_default();
            let agent = text("/userAgent");
            ["create", "update", "patch", "delete"].contains(&text("/verb"))
                && !agent.starts_with("kubectl")
                && !agent.starts_with("kwok")
                && !text("/objectRef/resource").ends_with("accessreviews")
        });
        Ok(writes.count())
    }

    fn create(&self, name: &str, objects: &[Value]) -> Result<()> {
        let file = self.dir.path().join(name).with_extension("json");
        fs::write(&file, json!({"apiVersion": "v1", "kind": "List", "items": objects}).to_string())?;
        let file = file.to_str().context("a path that is not UTF-8")?;
        self.server.kubectl(&["create", "--validate=false", "--filename", file]).map(drop)
    }

    fn kubectl(&self, args: &[&str]) -> Result<String> {
        self.server.kubectl(&[&["--namespace", NAMESPACE], args].concat())
    }
}

fn start_kwok(server: &ApiServer, dir: &TempDir) -> Result<Process> {
    let mut kwok = Command::new(programs::installed("kwok/kwok")?);
    kwok.arg("--kubeconfig").arg(server.kubeconfig());
    for stage in STAGES {
        kwok.arg("--config").arg(programs::installed("kwok/kustomize/stage")?.join(stage));
    }
    kwok.args(["--manage-nodes-with-annotation-selector", "kwok.x-k8s.io/node=fake"]);
    // No controller waits for the leases, and a real one's are not the operator's concern.
    kwok.args(["--node-lease-duration-seconds", "2400"]);
    kwok.env("HOME", dir.path());
    Process::start("kwok", dir.path(), &mut kwok)
}

fn node(number: usize) -> Value {
    json!({"apiVersion": "v1", "kind": "Node",
        "metadata": {"name": name(number), "annotations": {"kwok.x-k8s.io/node": "fake"},
            "labels": {"kubernetes.io/hostname": name(number), "kubernetes.io/os": "linux"}},
        "status": {"addresses": [{"type": "InternalIP", "address": address(number)}, {"type": "Hostname", "address": name(number)}],
            "nodeInfo": {"systemUUID": agent_id(number), "machineID": "", "bootID": "", "kernelVersion": "", "osImage": "",
                "containerRuntimeVersion": "", "kubeletVersion": "", "kubeProxyVersion": "", "operatingSystem": "linux",
                "architecture": "amd64"}}})
}

/// As the DaemonSet's controller would have made it.
fn pod(number: usize) -> Value {
    let mut pod = spire::pod(NAMESPACE, &format!("spire-agent-{number}"), "spire-agent", "0");
    pod["spec"]["nodeName"] = json!(name(number));
    pod["spec"]["hostNetwork"] = json!(true);
    pod
}

fn name(number: usize) -> String {
    format!("node-{number:05}")
}

fn agent_id(number: usize) -> String {
    format!("4c4c4544-0000-4000-8000-{number:012}")
}

fn address(number: usize) -> String {
    format!("10.{}.{}.{}", number >> 16, number >> 8 & 255, number & 255)
}

/// The machine that the numbers are of.
pub(crate) fn machine() -> Result<String> {
    let cpu = fs::read_to_string("/proc/cpuinfo")?;
    let model = cpu.lines().find_map(|line| line.strip_prefix("model name")?.split_once(':'));
    let cores = std::thread::available_parallelism()?;
    let memory = fs::read_to_string("/proc/meminfo")?;
    let memory = memory.split_whitespace().nth(1).and_then(|kib| kib.parse::<u64>().ok()).unwrap_or_default();
    let kernel = output(Command::new("uname").args(["-sr"]))?;
    let model = model.map_or("unknown processor", |(_, model)| model.trim());
    Ok(format!("{cores} cores of {model}, {} GiB, {}", memory >> 20, kernel.trim()))
}
