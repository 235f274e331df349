//! Every state that SPIRE's workloads and pods come through while something happens to them.

use std::time::Duration;

use anyhow::{Result, ensure};
use lab::cluster::{Cluster, SPIRE_NAMESPACE};
use lab::process::Process;
use tempfile::TempDir;

const KINDS: [&str; 4] = ["statefulsets", "deployments", "daemonsets", "pods"];
const TIMEOUT: Duration = Duration::from_secs(30);
/// What a state must have.
const PLUGIN: &str = "keylime-attestor-install";

/// Follows SPIRE's workloads and pods from now on.
pub(crate) struct Watch<'a> {
    cluster: &'a Cluster,
    watches: Vec<(&'static str, Process)>,
    _folder: TempDir,
}

impl<'a> Watch<'a> {
    /// Begins with the states that they are in.
    pub(crate) fn start(cluster: &'a Cluster) -> Result<Self> {
        let folder = TempDir::new()?;
        let mut watch = Self { cluster, watches: Vec::new(), _folder: folder };
        for kind in KINDS {
            let mut kubectl = cluster.kubectl_command(&["get", kind, "--namespace", SPIRE_NAMESPACE]);
            kubectl.args(["--watch", "--output", &line(kind)]);
            watch.watches.push((kind, Process::start(kind, watch._folder.path(), &mut kubectl)?));
        }
        watch.catch_up()?;
        Ok(watch)
    }

    /// Ends when all is seen that has happened; every state had the plugin. How many states there were.
    pub(crate) fn end(mut self) -> Result<usize> {
        self.catch_up()?;
        let mut states = 0;
        for (kind, watch) in self.watches {
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
        for (kind, watch) in &mut self.watches {
            let list = [
                "get",
                kind,
                "--namespace",
                SPIRE_NAMESPACE,
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
