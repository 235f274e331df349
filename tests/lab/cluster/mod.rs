//! A real Kubernetes of two nodes on this machine, without Docker: `cluster.sh` beside this file
//! starts it in namespaces of its own. Root is required, and the kernel's br_netfilter; cgroup v1
//! or v2. A machine has one cluster at a time: a second start waits for the first's end.
//!
//! Beside Kubernetes there are Keylime's verifier and registrar in the control plane's namespaces,
//! reached from pods as `verifier.keylime.svc:8881` and `registrar.keylime.svc:8891`, and on each
//! node a Keylime agent with a software TPM of its own, reached from the node and its hostNetwork
//! pods at 127.0.0.1:9002. In push mode the agents open no port; the node's TPM is then also the
//! device /run/tpmrm0, of the group 59, and Keylime's files in /var/lib/keylime are those of the
//! user 985.

mod attestor;
mod keylime;
mod reach;
mod script;
mod spire;
mod world;

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result};
use tempfile::NamedTempFile;

pub use self::attestor::{OPERATOR, quick_start};
pub use self::keylime::Keylime;
pub use self::reach::Reach;
use self::script::Script;
pub use self::spire::{Helm, SpireAgent};
pub use self::world::World;
use crate::api::Api;
use crate::process::output;

/// How long something may take that takes seconds.
const TIMEOUT: Duration = Duration::from_secs(60);
/// Options of a cluster.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// The namespaces and the chart that SPIRE will have.
    pub world: World,
    /// True for an apiserver with the admission plugin NodeRestriction, as with kubeadm, kind and
    /// in the clouds.
    pub node_restriction: bool,
    /// Whether Keylime's agents open no port.
    pub push: bool,
}

impl Options {
    /// A cluster with NodeRestriction, and Keylime's agents at their ports.
    pub const fn of(world: World) -> Self {
        Self { world, node_restriction: true, push: false }
    }

    /// A cluster with NodeRestriction, and Keylime in push mode.
    pub const fn push(world: World) -> Self {
        Self { push: true, ..Self::of(world) }
    }
}

/// A node of the cluster.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Node {
    /// The name of its Node object, and its host name.
    pub name: &'static str,
    /// Its InternalIP, which is also what Keylime's verifier knows its agent by.
    pub address: &'static str,
}

/// The cluster's nodes.
pub const NODES: [Node; 2] =
    [Node { name: "node1", address: "10.90.0.11" }, Node { name: "node2", address: "10.90.0.12" }];

/// A program of the control plane, which a test can take away for a while.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Component {
    /// etcd.
    Etcd,
    /// kube-apiserver.
    Apiserver,
    /// kube-controller-manager.
    ControllerManager,
    /// kube-scheduler.
    Scheduler,
    /// Keylime's verifier.
    Verifier,
    /// Keylime's registrar.
    Registrar,
}

impl Component {
    const fn name(self) -> &'static str {
        match self {
            Self::Etcd => "etcd",
            Self::Apiserver => "kube-apiserver",
            Self::ControllerManager => "kube-controller-manager",
            Self::Scheduler => "kube-scheduler",
            Self::Verifier => "keylime-verifier",
            Self::Registrar => "keylime-registrar",
        }
    }
}

/// A running cluster. When it is dropped, or the process that holds it ends in whatever way, all of
/// it goes: processes, mounts, network interfaces, cgroups and files. A test that ends well calls
/// [`stop`](Self::stop); where a cluster is dropped instead, a test has failed, and the ends of the
/// cluster's logs are shown.
#[derive(Debug)]
pub struct Cluster {
    script: Script,
    api: Api,
    /// The namespaces and the chart of SPIRE.
    pub world: World,
    /// Whether Keylime is in push mode.
    push: bool,
    /// The cluster's files.
    state: PathBuf,
    /// The folder of helm3.
    programs: PathBuf,
    /// The folder of kubectl and helm4.
    tools: PathBuf,
}

impl Cluster {
    /// Starts a cluster and waits until its nodes are Ready, names are resolved, and the Keylime
    /// agents are enrolled. On a machine's first start everything is installed before that, which
    /// takes minutes.
    ///
    /// # Errors
    /// When something of it cannot be started; what that was is on standard error.
    pub fn start(options: &Options) -> Result<Self> {
        let (script, [state, programs, tools]) = Script::start(options)?;
        let api = Api::of(&kubeconfig(&state))?;
        Ok(Self { script, api, world: options.world, push: options.push, state, programs, tools })
    }

    /// Ends the cluster, and returns when nothing of it is left.
    ///
    /// # Errors
    /// When the cluster had not ended in order.
    pub fn stop(mut self) -> Result<()> {
        self.script.stop()
    }

    /// The administrator's kubeconfig, for programs on this machine: the apiserver is at a port of
    /// 127.0.0.1.
    pub fn kubeconfig(&self) -> PathBuf {
        kubeconfig(&self.state)
    }

    /// The API without kubectl, for what is asked often.
    pub const fn api(&self) -> &Api {
        &self.api
    }

    /// Runs kubectl to its end; its standard output.
    ///
    /// # Errors
    /// When it fails; the error holds the command and what it wrote.
    pub fn kubectl(&self, args: &[&str]) -> Result<String> {
        output(&mut self.kubectl_command(args))
    }

    /// Applies manifests, YAML or JSON.
    ///
    /// # Errors
    /// When the apiserver refuses them.
    pub fn apply(&self, manifests: &str) -> Result<String> {
        let mut file = NamedTempFile::new().context("failed to make a file for kubectl")?;
        file.write_all(manifests.as_bytes()).context("failed to write a file for kubectl")?;
        output(self.kubectl_command(&["apply", "--filename"]).arg(file.path()))
    }

    /// A kubectl that is not run yet, for those that go on until they are killed, as port-forward
    /// does.
    pub fn kubectl_command(&self, args: &[&str]) -> Command {
        let mut kubectl = Command::new(self.tools.join("kubectl"));
        // It ends before its memory matters: a third of its time is Go's collection.
        kubectl.env("GOGC", "off");
        kubectl.arg("--kubeconfig").arg(self.kubeconfig()).args(args);
        kubectl
    }

    /// Runs Helm to its end; its standard output.
    ///
    /// # Errors
    /// When it fails; the error holds the command and what it wrote.
    pub fn helm(&self, helm: Helm, args: &[&str]) -> Result<String> {
        let program = match helm {
            Helm::V3 => self.programs.join("helm3"),
            Helm::V4 => self.tools.join("helm4"),
        };
        // Helm's own files go with the cluster.
        output(
            Command::new(program)
                .arg("--kubeconfig")
                .arg(self.kubeconfig())
                .args(args)
                .env("HOME", self.state.join("helm")),
        )
    }

    /// Gives an image to every node, as a pull would: an OCI image archive that names its image in
    /// the index's annotation `io.containerd.image.name`. The archive must not lie below /run,
    /// /var/lib or /var/log, which the nodes have for themselves.
    ///
    /// # Errors
    /// When a node does not take it.
    pub fn load_image(&self, archive: &Path) -> Result<()> {
        let archive =
            archive.canonicalize().with_context(|| format!("failed to find {}", archive.display()))?;
        for node in NODES {
            let mut import = self.on_node(node)?;
            output(import.args(["ctr", "--namespace", "k8s.io", "images", "import"]).arg(&archive))?;
        }
        Ok(())
    }

    /// Ends a component, and keeps it down until [`release`](Self::release).
    ///
    /// # Errors
    /// When it does not run.
    pub fn hold(&self, component: Component) -> Result<()> {
        let name = component.name();
        let pid = self.pid(name)?;
        fs::write(self.held(name), "").with_context(|| format!("failed to hold {name}"))?;
        // With its children: it is a process group.
        kill_group(self.in_control_plane()?, &pid)?;
        Ok(())
    }

    /// Lets a held component start again. It is not waited for.
    ///
    /// # Errors
    /// When the component is not held.
    pub fn release(&self, component: Component) -> Result<()> {
        let name = component.name();
        fs::remove_file(self.held(name)).with_context(|| format!("failed to release {name}"))
    }

    /// The apiserver's audit log: a JSON object a line for each request, those of nodes and of the
    /// control plane left out.
    pub fn audit_log(&self) -> PathBuf {
        self.state.join("log/audit.jsonl")
    }

    /// The folder of the components' logs.
    pub fn logs(&self) -> PathBuf {
        self.state.join("log")
    }

    /// The TCP ports that programs on a node listen at, as `ss` lists them. Containers with a
    /// network of their own are not among these.
    ///
    /// # Errors
    /// When they cannot be listed.
    pub fn listening(&self, node: Node) -> Result<String> {
        output(self.on_node(node)?.args(["ss", "--no-header", "--listening", "--tcp", "--numeric"]))
    }

    /// The cluster's Keylime.
    pub fn keylime(&self) -> Keylime<'_> {
        Keylime::of(self)
    }

    /// A command that will run in the control plane's namespaces.
    fn in_control_plane(&self) -> Result<Command> {
        let pid = self.pid("control-plane")?;
        let mut command = Command::new("nsenter");
        command.args(["--target", &pid, "--pid", "--mount", "--net", "--"]);
        Ok(command)
    }

    /// A command that will run in a node's namespaces, which lie within those of the control plane.
    fn on_node(&self, node: Node) -> Result<Command> {
        let pid = self.pid(node.name)?;
        let mut command = self.in_control_plane()?;
        command.args(["nsenter", "--target", &pid, "--pid", "--mount", "--net", "--"]);
        Ok(command)
    }

    /// The file that keeps a component down.
    fn held(&self, component: &str) -> PathBuf {
        self.state.join("held").join(component)
    }

    /// A process of the cluster, by the number that it has where it was started.
    fn pid(&self, name: &str) -> Result<String> {
        let file = self.state.join("pid").join(name);
        let pid =
            fs::read_to_string(&file).with_context(|| format!("failed to find {name} in the cluster"))?;
        Ok(pid.trim().to_owned())
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        if self.script.is_running() {
            script::show_logs(&self.logs());
            for node in NODES {
                script::show_logs(&self.state.join(node.name).join("var/log/pods"));
            }
        }
    }
}

/// Kills a process group in namespaces, for which bash needs no program.
fn kill_group(mut within: Command, pid: &str) -> Result<()> {
    output(within.args(["bash", "-c", r#"kill -KILL -- "-$0""#, pid])).map(drop)
}

fn kubeconfig(state: &Path) -> PathBuf {
    state.join("pki/host.kubeconfig")
}
