//! A site of the operator's tests: an apiserver, a Keylime that answers, the operator as a process,
//! and a hand that plays the controllers.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::Command;
use std::sync::{Arc, Weak};
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use lab::apiserver::ApiServer;
use lab::fake_keylime::FakeKeylime;
use lab::ports::Port;
use lab::process::Process;
use lab::{programs, wait};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::sync::Mutex;

use super::account::{self, ACCOUNT, IMAGE};

/// How long the operator may take for what it does within seconds, on a busy machine.
pub(crate) const TIMEOUT: Duration = Duration::from_secs(60);

/// The apiserver of the tests that run at the moment.
static SHARED: Mutex<Weak<ApiServer>> = Mutex::const_new(Weak::new());

/// What one test has of its own: a namespace, and an operator that manages that namespace
/// alone.
pub(crate) struct Site {
    pub(crate) server: Arc<ApiServer>,
    pub(crate) keylime: FakeKeylime,
    pub(crate) namespace: String,
    pub(crate) dir: TempDir,
    started: u32,
}

/// The operator as a process, with the ports it serves.
pub(crate) struct Operator {
    pub(crate) process: Process,
    pub(crate) metrics: Port,
    pub(crate) health: Port,
}

/// An apiserver with the CRDs and the chart's admission policies.
async fn start(apiserver: fn() -> Result<ApiServer>) -> Result<ApiServer> {
    let server = tokio::task::spawn_blocking(apiserver).await??;
    let crds = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../crds");
    for crds in [crds, programs::installed("spire-controller-manager/config/crd/bases")?] {
        server.kubectl(&["create", "--filename", crds.to_str().context("a path that is not UTF-8")?])?;
    }
    server.kubectl(&["wait", "--for=condition=Established", "crd", "--all"])?;
    account::install(&server)?;
    Ok(server)
}

impl Operator {
    /// How often it has reconciled a resource, to any end.
    pub(crate) fn reconciles(&self) -> Result<u64> {
        let text = self.get(&self.metrics, "/metrics")?;
        let lines =
            text.lines().filter(|line| line.starts_with("keylime_attestor_operator_reconciles_total{"));
        lines.map(|line| Ok(line.rsplit(' ').next().unwrap_or_default().parse::<u64>()?)).sum()
    }

    /// Its answer on one of its ports.
    pub(crate) fn get(&self, port: &Port, path: &str) -> Result<String> {
        let mut stream = TcpStream::connect(("127.0.0.1", port.number()))?;
        write!(stream, "GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        Ok(answer)
    }

    /// Asks it to end.
    pub(crate) fn stop(self) -> Result<()> {
        self.process.stop()
    }
}

impl Site {
    /// A namespace with the Secret for Keylime, at an apiserver that other tests may use, too.
    pub(crate) async fn start(namespace: &str) -> Result<Self> {
        let mut shared = SHARED.lock().await;
        let server = match shared.upgrade() {
            Some(server) => server,
            None => Arc::new(start(ApiServer::start).await?),
        };
        *shared = Arc::downgrade(&server);
        drop(shared);
        Self::at(server, namespace).await
    }

    /// A namespace at an apiserver of its own.
    pub(crate) async fn start_alone(namespace: &str) -> Result<Self> {
        Self::at(Arc::new(start(ApiServer::start).await?), namespace).await
    }

    /// The same, where the apiserver is without NodeRestriction.
    pub(crate) async fn start_without_node_restriction(namespace: &str) -> Result<Self> {
        let server = start(ApiServer::start_without_node_restriction).await?;
        Self::at(Arc::new(server), namespace).await
    }

    async fn at(server: Arc<ApiServer>, namespace: &str) -> Result<Self> {
        let keylime = FakeKeylime::start().await?;
        let site =
            Self { server, keylime, namespace: namespace.to_owned(), dir: TempDir::new()?, started: 0 };
        site.server.kubectl(&["create", "namespace", namespace])?;
        // What a controller would make; pods need it.
        site.kubectl(&["create", "serviceaccount", "default"])?;
        site.apply(&site.secret("keylime-client")?)?;
        Ok(site)
    }

    /// A Secret that Keylime accepts.
    pub(crate) fn secret(&self, name: &str) -> Result<Value> {
        let files = self.keylime.ca.write_client(self.dir.path())?;
        let entry = |path: &PathBuf| Ok::<_, anyhow::Error>(STANDARD.encode(fs::read(path)?));
        Ok(
            json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name, "namespace": self.namespace},
            "data": {"ca.crt": entry(&files.ca)?, "tls.crt": entry(&files.cert)?, "tls.key": entry(&files.key)?}}),
        )
    }

    /// Starts the operator.
    pub(crate) fn operator(&mut self) -> Result<Operator> {
        self.operator_with(&[])
    }

    /// Starts the operator as this user of the cluster.
    pub(crate) fn operator_as(&mut self, user: &str) -> Result<Operator> {
        self.start_operator(user, &[])
    }

    /// Starts the operator with more flags.
    pub(crate) fn operator_with(&mut self, flags: &[&str]) -> Result<Operator> {
        self.start_operator(ACCOUNT, flags)
    }

    /// The kubeconfig of a user.
    pub(crate) fn kubeconfig(&self, user: &str) -> Result<PathBuf> {
        let config = fs::read_to_string(self.server.kubeconfig())?;
        let mut config: Value = serde_json::from_str(&config)?;
        config["users"][0]["user"]["as"] = json!(user);
        let file = self.dir.path().join("kubeconfig");
        fs::write(&file, config.to_string())?;
        Ok(file)
    }

    fn start_operator(&mut self, user: &str, flags: &[&str]) -> Result<Operator> {
        self.started += 1;
        let (metrics, health) = (Port::free()?, Port::free()?);
        let program = programs::built("keylime-attestor-operator")?;
        let mut command = Command::new(&program);
        command.env("KUBECONFIG", self.kubeconfig(user)?).env("POD_NAMESPACE", &self.namespace);
        command.args(["--metrics-address", &format!("127.0.0.1:{metrics}")]);
        command.args(["--health-address", &format!("127.0.0.1:{health}")]);
        command.args([
            "--plugin-image",
            IMAGE,
            "--log-level",
            "debug,hyper=info,hyper_util=info,tower=info,kube_client=info",
        ]);
        command.args(["--namespaces", &self.namespace]).args(flags);
        let process = Process::start(&format!("operator-{}", self.started), self.dir.path(), &mut command)?;
        Ok(Operator { process, metrics, health })
    }

    /// Brings SPIRE and its operator to where everything is rolled out.
    pub(crate) fn make_ready(&self) -> Result<()> {
        self.make_rolled_out()?;
        self.wait_for("Ready", "Ready").map(drop)
    }

    /// Brings SPIRE to where its pods run with the plugins.
    pub(crate) fn make_rolled_out(&self) -> Result<()> {
        self.wait_for("ServerRolledOut", "Progressing")?;
        self.roll_out("statefulset/spire-server")?;
        self.wait_for("AgentsRolledOut", "Progressing")?;
        self.roll_out("daemonset/spire-agent")?;
        self.wait_for("AgentsRolledOut", "RolledOut").map(drop)
    }

    /// Plays the controllers until a condition has a reason.
    pub(crate) fn roll_out_until(&self, type_: &str, reason: &str) -> Result<()> {
        wait::until(&format!("{type_} to be {reason}"), TIMEOUT, || {
            for workload in ["statefulset/spire-server", "daemonset/spire-agent"] {
                self.roll_out(workload)?;
            }
            let (came, message) = self.condition(type_)?;
            ensure!(came == reason, "it is {came}: {message}");
            Ok(())
        })
    }

    /// Says what a kubelet says of a container that cannot be started.
    pub(crate) fn report_failure(&self, pod: &str, container: &str, message: &str) -> Result<()> {
        let status = json!({"name": container, "image": "x", "imageID": "", "ready": false, "restartCount": 0,
            "state": {"waiting": {"reason": "CreateContainerError", "message": message}}});
        self.patch_status(&format!("pod/{pod}"), &json!({"containerStatuses": [status]}))
    }

    /// Plays the controllers until the resource is gone.
    pub(crate) fn let_go(&self) -> Result<()> {
        self.wait("the resource to go", |site| {
            for workload in ["daemonset/spire-agent", "statefulset/spire-server"] {
                if site.exists(workload)? {
                    site.roll_out(workload)?;
                }
            }
            Ok(!site.exists("kla/spire")?)
        })
    }

    /// An entry of a ConfigMap.
    pub(crate) fn text(&self, config_map: &str, key: &str) -> Result<String> {
        let map = self.get(&format!("configmap/{config_map}"))?;
        let text = map.get("data").and_then(|data| data.get(key)).and_then(Value::as_str);
        Ok(text.with_context(|| format!("{config_map} has no {key}: {map}"))?.to_owned())
    }

    /// Makes a Node of this site with its status, as a kubelet does.
    pub(crate) fn make_node(&self, name: &str, uuid: &str, address: &str) -> Result<()> {
        let node = json!({
            "apiVersion": "v1", "kind": "Node", "metadata": {"name": name, "labels": {"site": self.namespace}},
            "status": {
                "addresses": [{"type": "InternalIP", "address": address}, {"type": "Hostname", "address": format!("{name}.example")}],
                "nodeInfo": {"systemUUID": uuid, "architecture": "", "bootID": "", "containerRuntimeVersion": "",
                    "kernelVersion": "", "kubeProxyVersion": "", "kubeletVersion": "", "machineID": "", "operatingSystem": "", "osImage": ""},
            },
        });
        self.apply_with(&node, &["--server-side", "--field-manager=kubelet"])?;
        self.apply_with(&node, &["--server-side", "--field-manager=kubelet", "--subresource=status"])
    }

    /// Patches an object as somebody else.
    pub(crate) fn patch(&self, object: &str, patch: &Value) -> Result<()> {
        self.kubectl(&[
            "patch",
            object,
            "--type",
            "merge",
            "--field-manager",
            "somebody",
            "--patch",
            &patch.to_string(),
        ])
        .map(drop)
    }

    /// The operator's writes in this namespace so far, without those of a kubectl in its name.
    pub(crate) fn writes(&self) -> Result<Vec<String>> {
        let writes = self.server.audit()?.into_iter().filter(|entry| {
            let text = |path| entry.pointer(path).and_then(Value::as_str).unwrap_or_default();
            text("/objectRef/namespace") == self.namespace
                && ["create", "update", "patch", "delete"].contains(&text("/verb"))
                && text("/impersonatedUser/username") == ACCOUNT
                && !text("/userAgent").starts_with("kubectl")
        });
        Ok(writes.map(|entry| format!("{} {}", entry["verb"], entry["requestURI"])).collect())
    }

    /// Applies objects as their owner does, with kubectl's client-side apply.
    pub(crate) fn apply(&self, objects: &Value) -> Result<()> {
        self.apply_with(objects, &[])
    }

    pub(crate) fn apply_with(&self, objects: &Value, flags: &[&str]) -> Result<()> {
        let file = self.dir.path().join("apply.json");
        fs::write(&file, objects.to_string())?;
        let mut args = vec!["apply", "--filename", file.to_str().context("a path that is not UTF-8")?];
        args.extend(flags);
        self.kubectl(&args).map(drop)
    }

    /// The resource of this site, with its spec changed as asked for.
    pub(crate) fn resource(&self, name: &str, changes: Value) -> Value {
        let address = |server: &lab::fake_keylime::FakeServer| json!({"host": "127.0.0.1", "port": server.address().port()});
        let mut spec = json!({
            "keylime": {
                "verifiers": [address(&self.keylime.verifier)],
                "registrar": address(&self.keylime.registrar),
                "tls": {"secretName": "keylime-client"},
            },
            "spire": {"server": {"name": "spire-server"}, "agents": [{"name": "spire-agent"}]},
            // Nodes are the cluster's, and other tests have some, too.
            "nodes": {"interval": "5s", "selector": {"matchLabels": {"site": self.namespace}}},
        });
        merge(&mut spec, changes);
        json!({"apiVersion": "spire.keylime.dev/v1alpha1", "kind": "KeylimeAttestor",
            "metadata": {"name": name, "namespace": self.namespace}, "spec": spec})
    }

    pub(crate) fn attest(&self, changes: Value) -> Result<()> {
        self.apply_with(&self.resource("spire", changes), &["--server-side"])
    }

    pub(crate) fn delete(&self) -> Result<()> {
        self.kubectl(&["delete", "kla", "spire", "--wait=false"]).map(drop)
    }

    /// kubectl in the site's namespace.
    pub(crate) fn kubectl(&self, args: &[&str]) -> Result<String> {
        self.server.kubectl(&[&["--namespace", &self.namespace], args].concat())
    }

    pub(crate) fn get(&self, object: &str) -> Result<Value> {
        self.server.api().get(&self.namespace, object)?.with_context(|| format!("there is no {object}"))
    }

    pub(crate) fn exists(&self, object: &str) -> Result<bool> {
        Ok(self.server.api().get(&self.namespace, object)?.is_some())
    }

    /// Writes an object's status, as its controller does.
    pub(crate) fn patch_status(&self, object: &str, status: &Value) -> Result<()> {
        self.server.api().patch_status(&self.namespace, object, status)
    }

    /// The hash of the overlay that a workload carries.
    pub(crate) fn hash(&self, workload: &str) -> Result<Option<String>> {
        let live = self.get(workload)?;
        let hash = live.pointer("/spec/template/metadata/annotations/spire.keylime.dev~1content-hash");
        Ok(hash.and_then(Value::as_str).map(str::to_owned))
    }

    /// Everything in the namespace that is SPIRE's or could be made for it, without what changes
    /// with every write.
    pub(crate) fn spire(&self) -> Result<Vec<Value>> {
        let kinds = "statefulsets,daemonsets,configmaps";
        let list = self.kubectl(&["get", kinds, "--output", "json", "--show-managed-fields"])?;
        let mut list: Value = serde_json::from_str(&list)?;
        let mut all = list["items"].as_array_mut().map(std::mem::take).context("no list")?;
        ensure!(!all.is_empty(), "where is SPIRE?");
        for live in &mut all {
            for path in ["resourceVersion", "generation"] {
                live.pointer_mut("/metadata")
                    .and_then(Value::as_object_mut)
                    .context("no metadata")?
                    .remove(path);
            }
            // The apiserver counts a DaemonSet's templates there.
            if let Some(annotations) =
                live.pointer_mut("/metadata/annotations").and_then(Value::as_object_mut)
            {
                annotations.remove("deprecated.daemonset.template.generation");
            }
            // What a controller writes.
            live.as_object_mut().context("no object")?.remove("status");
            let fields = live.pointer_mut("/metadata/managedFields").and_then(Value::as_array_mut);
            if let Some(fields) = fields {
                fields.retain(|entry| entry.get("subresource").is_none());
                fields
                    .iter_mut()
                    .for_each(|entry| drop(entry.as_object_mut().map(|entry| entry.remove("time"))));
            }
        }
        Ok(all)
    }

    /// Expects every object of SPIRE as it was.
    pub(crate) fn is_as(&self, before: &[Value]) -> Result<()> {
        let all = self.spire()?;
        ensure!(all.len() == before.len(), "expected {} objects, got\n{:#}", before.len(), json!(all));
        for (now, before) in all.iter().zip(before) {
            ensure!(now == before, "expected\n{before:#}\ngot\n{now:#}");
        }
        Ok(())
    }

    /// Says what a controller says when all pods run with the present template and are ready.
    pub(crate) fn roll_out(&self, workload: &str) -> Result<()> {
        self.pods(workload, 3, 3)
    }

    /// Says what a controller says of three pods.
    pub(crate) fn pods(&self, workload: &str, updated: u32, ready: u32) -> Result<()> {
        let generation = self.get(workload)?.pointer("/metadata/generation").cloned();
        let old = 3 - updated;
        let status = if workload.starts_with("daemonset") {
            json!({"observedGeneration": generation, "desiredNumberScheduled": 3, "currentNumberScheduled": 3,
                "numberMisscheduled": 0, "numberReady": ready, "numberAvailable": ready, "updatedNumberScheduled": updated})
        } else if workload.starts_with("statefulset") {
            let (current, update) = if old == 0 { ("new", "new") } else { ("old", "new") };
            json!({"observedGeneration": generation, "replicas": 3, "readyReplicas": ready, "availableReplicas": ready,
                "updatedReplicas": updated, "currentRevision": current, "updateRevision": update})
        } else {
            json!({"observedGeneration": generation, "replicas": 3, "updatedReplicas": updated, "readyReplicas": ready,
                "availableReplicas": ready})
        };
        self.patch_status(workload, &status)
    }

    /// The reason of a condition, with its message. One that is about an earlier state of the
    /// resource has none.
    pub(crate) fn condition(&self, type_: &str) -> Result<(String, String)> {
        let resource = self.get("kla/spire")?;
        let generation = &resource["metadata"]["generation"];
        let conditions = resource.pointer("/status/conditions").and_then(Value::as_array);
        let mut conditions = conditions.into_iter().flatten();
        let condition = conditions
            .find(|condition| condition["type"] == type_ && condition["observedGeneration"] == *generation);
        let text = |key: &str| {
            condition.and_then(|condition| condition[key].as_str()).unwrap_or_default().to_owned()
        };
        Ok((text("reason"), text("message")))
    }

    /// Waits until a condition has a reason; its message.
    pub(crate) fn wait_for(&self, type_: &str, reason: &str) -> Result<String> {
        wait::until(&format!("{type_} to be {reason}"), TIMEOUT, || {
            let (came, message) = self.condition(type_)?;
            ensure!(came == reason, "it is {came}: {message}\n{}", self.get("kla/spire")?["status"]);
            Ok(message)
        })
    }

    pub(crate) fn wait(&self, what: &str, is_so: impl Fn(&Self) -> Result<bool>) -> Result<()> {
        wait::until(what, TIMEOUT, || if is_so(self)? { Ok(()) } else { bail!("not yet") })
    }
}

fn merge(into: &mut Value, changes: Value) {
    match (into, changes) {
        (Value::Object(into), Value::Object(changes)) => {
            for (key, value) in changes {
                merge(into.entry(key).or_insert(Value::Null), value);
            }
        }
        (into, value) => *into = value,
    }
}
