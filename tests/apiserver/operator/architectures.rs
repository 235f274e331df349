//! Nodes of several architectures: two builds of the plugins, made and written down as for an image,
//! with nodes that say to be of the one or the other.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use lab::fake_keylime::{Node, State};
use lab::process::output;
use lab::programs;
use serde_json::{Value, json};

use super::check::check_with;
use super::site::Site;
use super::{pods, spire};

const PLUGINS: [&str; 2] = ["keylime-attestor-server", "keylime-attestor-agent"];

/// The machines of the builds, as an ELF header names them.
const MACHINES: [(&str, u8); 2] = [("amd64", 62), ("arm64", 183)];

/// The programs of both architectures: those that were built here, with the header of each, and with
/// what the image's build writes down of them.
struct Builds(PathBuf);

impl Builds {
    fn make(dir: &Path) -> Result<Self> {
        let builds = Self(dir.join("builds"));
        for (architecture, machine) in MACHINES {
            fs::create_dir_all(builds.folder(architecture))?;
            for plugin in PLUGINS {
                let mut program = fs::read(programs::built(plugin)?)?;
                *program.get_mut(18).context("no header")? = machine;
                fs::write(builds.folder(architecture).join(plugin), program)?;
            }
        }
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../operator/image/checksums.sh");
        output(Command::new(script).args(MACHINES.map(|(architecture, _)| builds.folder(architecture))))?;
        Ok(builds)
    }

    fn folder(&self, architecture: &str) -> PathBuf {
        self.0.join(architecture)
    }

    /// The flags of an operator that runs on the first of them.
    fn flags(&self) -> Result<[String; 2]> {
        let folder = self.folder("amd64");
        Ok(["--plugins-dir".to_owned(), folder.to_str().context("a path that is not UTF-8")?.to_owned()])
    }

    fn checksum(&self, architecture: &str, plugin: &str) -> Result<String> {
        let sum = output(Command::new("sha256sum").arg(self.folder(architecture).join(plugin)))?;
        Ok(sum.split(' ').next().unwrap_or_default().to_owned())
    }
}

/// A site with an agent of SPIRE on a node of each of these architectures.
async fn site(namespace: &str, architectures: &[&str]) -> Result<Site> {
    let site = Site::start(namespace).await?;
    site.apply_with(&spire::json(namespace), &["--server-side"])?;
    for architecture in architectures {
        let node = format!("{namespace}-{architecture}");
        site.make_node(&node, "", "")?;
        site.kubectl(&["label", "node", &node, &format!("kubernetes.io/arch={architecture}")])?;
        pods::start_agent(&site, &format!("agent-{architecture}"), &node, None)?;
        pods::ready(&site, &format!("agent-{architecture}"))?;
        site.keylime.add(Node { id: node, ..Node::recorded() }.with_states([State::pass()]));
    }
    Ok(site)
}

fn pod(site: &Site, workload: &str) -> Result<Value> {
    site.get(workload)?.pointer("/spec/template/spec").cloned().context("no pod")
}

/// Expects a configuration for each architecture, with the checksum of its build, and pods that take
/// their own.
fn has_both(site: &Site, builds: &Builds, workload: &str, [name, key, plugin]: [&str; 3]) -> Result<()> {
    let map = site.get(&format!("configmap/{name}-keylime"))?;
    let data: BTreeMap<String, String> = serde_json::from_value(map["data"].clone())?;
    let keys = MACHINES.map(|(architecture, _)| format!("architecture-{architecture}.{key}"));
    ensure!(data.keys().eq(&keys), "{:?}", data.keys());
    for (architecture, _) in MACHINES {
        let text = &data[&format!("architecture-{architecture}.{key}")];
        let checksum = builds.checksum(architecture, plugin)?;
        ensure!(text.matches(&checksum).count() == 1, "{architecture}: {text}");
    }
    let pod = pod(site, workload)?;
    let install = json!([
        format!("/{plugin}"),
        "install",
        "--to",
        "/run/keylime-attestor/plugin",
        "--configurations",
        "/run/keylime-attestor/configuration"
    ]);
    ensure!(pod["initContainers"][0]["command"] == install, "{pod:#}");
    let config = format!("/run/keylime-attestor/plugin/configuration/{key}");
    ensure!(pod["containers"][0]["command"][3] == json!(config), "{pod:#}");
    let volumes = pod["volumes"].as_array().context("no volumes")?;
    let volume = volumes.iter().find(|volume| volume["name"] == "keylime-attestor-configuration");
    let paths = volume.and_then(|volume| volume.pointer("/configMap/items/1/path"));
    ensure!(paths == Some(&json!(format!("arm64/{key}"))), "{volumes:#?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn each_node_gets_the_checksum_of_its_own_build() -> Result<()> {
    let mut site = site("mixed", &["amd64", "arm64", "s390x"]).await?;
    let builds = Builds::make(site.dir.path())?;
    let flags = builds.flags()?;
    let flags = flags.each_ref().map(String::as_str);
    let before = site.spire()?;

    let report = check_with(&site, &flags, json!({}))?;
    let told = report.find("failure", "nodes", "ArchitectureUnknown")?;
    let nodes =
        "there are plugins for amd64, arm64, and 1 nodes are of another architecture: mixed-s390x (s390x)";
    ensure!(told["message"].as_str().is_some_and(|message| message.contains(nodes)), "{told:#}");

    site.attest(json!({"rollout": {"unattestable": "Proceed"}}))?;
    let operator = site.operator_with(&flags)?;
    site.wait_for("ServerRolledOut", "Progressing")?;
    has_both(&site, &builds, "statefulset/spire-server", ["spire-server", "server.conf", PLUGINS[0]])?;
    site.roll_out("statefulset/spire-server")?;

    // No plugin for one of the nodes: the agents stay as they are.
    let message = site.wait_for("AgentsRolledOut", "ArchitectureUnknown")?;
    ensure!(message.contains(nodes) && message.contains("Install an image that has it"), "{message}");
    ensure!(site.condition("Ready")?.0 == "ArchitectureUnknown");
    ensure!(site.hash("daemonset/spire-agent")?.is_none(), "the agents were changed");

    // Kept off that node, they go on.
    site.kubectl(&["delete", "pod", "agent-s390x", "--force", "--grace-period=0"])?;
    let report = check_with(&site, &flags, json!({}))?;
    ensure!(report.find("failure", "nodes", "ArchitectureUnknown").is_err(), "{:#}", report.json);
    site.wait_for("AgentsRolledOut", "Progressing")?;
    has_both(&site, &builds, "daemonset/spire-agent", ["spire-agent", "agent.conf", PLUGINS[1]])?;
    site.roll_out("daemonset/spire-agent")?;
    site.wait_for("Ready", "Ready")?;
    let sums = site.get("kla/spire")?["status"]["agents"][0]["pluginChecksums"].clone();
    let expected = json!({"amd64": builds.checksum("amd64", PLUGINS[1])?, "arm64": builds.checksum("arm64", PLUGINS[1])?});
    ensure!(sums == expected, "{sums:#}");

    site.delete()?;
    site.let_go()?;
    site.is_as(&before)?;
    operator.stop()
}

#[tokio::test(flavor = "multi_thread")]
async fn one_configuration_for_all_pods_is_for_the_architecture_that_is_told() -> Result<()> {
    for (namespace, mode) in [("told-in-place", "InPlace"), ("told-overlay", "Overlay")] {
        let mut site = site(namespace, &["arm64"]).await?;
        let builds = Builds::make(site.dir.path())?;
        let flags = builds.flags()?;
        let flags = flags.each_ref().map(String::as_str);
        let spire = |architecture: Option<&str>| {
            let mut spire = json!({"mode": mode, "server": {"name": "spire-server"}, "agents": [{"name": "spire-agent"}]});
            if let Some(architecture) = architecture {
                spire["server"]["architecture"] = json!("amd64");
                spire["agents"][0]["architecture"] = json!(architecture);
            }
            json!({"spire": spire, "rollout": {"unattestable": "Proceed"}})
        };
        if mode == "InPlace" {
            let report = check_with(&site, &flags, spire(None))?;
            report.find("failure", "configuration", "ArchitectureUnknown")?;
        }
        site.attest(spire((mode == "Overlay").then_some("riscv64")))?;
        let operator = site.operator_with(&flags)?;
        site.wait_for("ConfigurationApplied", "ArchitectureUnknown")?;
        ensure!(site.hash("statefulset/spire-server")?.is_none(), "the server was changed");

        site.attest(spire(Some("arm64")))?;
        site.wait_for("ServerRolledOut", "Progressing")?;
        site.roll_out("statefulset/spire-server")?;
        site.wait_for("AgentsRolledOut", "Progressing")?;
        let suffix = if mode == "InPlace" { "" } else { "-keylime" };
        for (name, key, architecture, plugin) in [
            ("spire-server", "server.conf", "amd64", PLUGINS[0]),
            ("spire-agent", "agent.conf", "arm64", PLUGINS[1]),
        ] {
            let text = site.text(&format!("{name}{suffix}"), key)?;
            ensure!(text.contains(&builds.checksum(architecture, plugin)?), "{text}");
        }
        let install = pod(&site, "daemonset/spire-agent")?["initContainers"][0]["command"].clone();
        ensure!(
            install == json!(["/keylime-attestor-agent", "install", "--to", "/run/keylime-attestor/plugin"])
        );
        operator.stop()?;
    }
    Ok(())
}
