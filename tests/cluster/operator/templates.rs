//! Every state that SPIRE's workloads and pods come through while something happens to them.

use std::collections::BTreeSet;
use std::time::Duration;

use anyhow::{Result, ensure};
use lab::cluster::Cluster;
use lab::process::Process;
use tempfile::TempDir;

/// Kinds of objects of the server and of the agents, each with the kind of their pods.
const SERVER: [&str; 3] = ["statefulsets", "deployments", "pods"];
const AGENTS: [&str; 2] = ["daemonsets", "pods"];
const TIMEOUT: Duration = Duration::from_secs(30);
/// In every state of a pod that has the plugin.
const PLUGIN: &str = "keylime-attestor-install";

/// Follows SPIRE's workloads and pods from now on.
pub(crate) struct Watch<'a> {
    cluster: &'a Cluster,
    watches: Vec<Followed>,
    _folder: TempDir,
}

/// Objects of one kind in a namespace, and the kubectl that writes down each state of them.
struct Followed {
    namespace: &'static str,
    kind: &'static str,
    watch: Process,
}

impl<'a> Watch<'a> {
    /// Begins with the states that they are in.
    pub(crate) fn start(cluster: &'a Cluster) -> Result<Self> {
        let folder = TempDir::new()?;
        let mut watch = Self { cluster, watches: Vec::new(), _folder: folder };
        let world = cluster.world;
        let of_server = SERVER.map(|kind| (world.server, kind));
        let of_agents = AGENTS.map(|kind| (world.agents, kind));
        let all: BTreeSet<_> = of_server.into_iter().chain(of_agents).collect();
        for (namespace, kind) in all {
            let mut kubectl = cluster.kubectl_command(&["get", kind, "--namespace", namespace]);
            kubectl.args(["--watch", "--output", &line(kind)]);
            let name = format!("{namespace}-{kind}");
            let process = Process::start(&name, watch._folder.path(), &mut kubectl)?;
            watch.watches.push(Followed { namespace, kind, watch: process });
        }
        watch.catch_up()?;
        Ok(watch)
    }

    /// Ends when all is seen that has happened; every state had the plugin. How many states there
    /// were.
    pub(crate) fn end(mut self) -> Result<usize> {
        self.catch_up()?;
        let mut states = 0;
        for Followed { kind, watch, .. } in self.watches {
            let log = watch.log()?;
            for state in log.lines() {
                ensure!(state.contains(PLUGIN), "one of the {kind} was without the plugin: {state}");
                states += 1;
            }
            watch.stop()?;
        }
        Ok(states)
    }

    /// Waits until the last state of everything is seen.
    fn catch_up(&mut self) -> Result<()> {
        for Followed { namespace, kind, watch } in &mut self.watches {
            let list = [
                "get",
                kind,
                "--namespace",
                namespace,
                "--output",
                "jsonpath={range .items[*]}{.metadata.resourceVersion}{\" \"}{end}",
            ];
            for version in self.cluster.kubectl(&list)?.split_whitespace() {
                watch.wait_for_log(&format!("version={version} "), TIMEOUT)?;
            }
        }
        Ok(())
    }
}

/// One line a state: its version, its name, its init containers.
fn line(kind: &str) -> String {
    let pod = if kind == "pods" { ".spec" } else { ".spec.template.spec" };
    format!(
        "jsonpath=version={{.metadata.resourceVersion}} {{.metadata.name}} {{{pod}.initContainers[*].name}}{{\"\\n\"}}"
    )
}
