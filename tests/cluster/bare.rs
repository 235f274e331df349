//! The lab's cluster: it comes up, SPIRE works in it as its users run it, Keylime passes its nodes,
//! and it goes without a trace, also when it is killed.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use lab::cluster::{Cluster, Component, Helm, NODES, Options, World};
use lab::process::output;
use lab::spire::Release;
use lab::wait;

const TIMEOUT: Duration = Duration::from_secs(60);
/// The cgroup of the nodes; a name of cgroups.sh.
const CGROUP: &str = "keylime-attestor-lab";
/// Held by every process of a cluster; a name of cluster.sh.
const LOCK: &str = "/run/lock/keylime-attestor-cluster";

#[test]
fn attests_nodes_and_workloads_and_leaves_no_trace() -> Result<()> {
    let _turn = turn();
    let before = Traces::before()?;
    let clock = Instant::now();
    let cluster = Cluster::start(&Options::of(World::SPIFFE))?;
    say(clock, "cluster");
    for node in NODES {
        assert_eq!(cluster.keylime().status(node)?, "PASS", "{}", node.name);
    }

    cluster.install_spire(Helm::V4, &[])?;
    say(clock, "SPIRE by Helm 4");
    expect_psat_agents(&cluster)?;
    for node in NODES {
        let workload = format!("workload-{}", node.name);
        cluster.start_workload(&workload, node)?;
        wait::until(&format!("an SVID for {workload}"), TIMEOUT, || {
            let got = cluster.workload_id(&workload)?;
            ensure!(got == format!("spiffe://example.org/{workload}"), "it is {got}");
            Ok(())
        })?;
    }
    say(clock, "workloads have SVIDs by spire-controller-manager");

    cluster.hold(Component::Verifier)?;
    ensure!(cluster.keylime().status(NODES[0]).is_err(), "a held verifier answers");
    cluster.release(Component::Verifier)?;
    wait::until("the verifier's return", TIMEOUT, || cluster.keylime().status(NODES[0]))?;
    say(clock, "the verifier went and came");

    cluster.keylime().create_secrets()?;
    let names = ["get", "secrets", "--output", "jsonpath={.items[*].metadata.name}"];
    assert_eq!(cluster.at_server(&names)?, "keylime-admin-client");
    assert_eq!(cluster.at_agents(&names)?, "keylime-node-client");
    let audited = fs::read_to_string(cluster.audit_log())?;
    ensure!(audited.contains("keylime-node-client"), "the audit log does not have the Secret's making");

    let [failing, passing] = NODES;
    cluster.keylime().fail(failing)?;
    assert_eq!(cluster.keylime().status(passing)?, "PASS");
    cluster.keylime().repair(failing)?;
    say(clock, "a node failed and repaired");

    cluster.stop()?;
    say(clock, "gone");
    assert_eq!(Traces::after()?, before);
    Ok(())
}

/// The other shapes of SPIRE, one after another on one cluster, by the other Helm; with SPIRE's
/// older release, and an apiserver that is told nothing of NodeRestriction.
#[test]
fn runs_spire_in_every_shape_after_a_killed_cluster() -> Result<()> {
    let _turn = turn();
    let before = Traces::before()?;
    start_and_kill_a_cluster()?;

    let clock = Instant::now();
    let cluster = Cluster::start(&Options {
        keylime: false,
        node_restriction: false,
        world: World::BY_HAND.with(Release::V1_13),
    })?;
    say(clock, "cluster without Keylime");
    for values in [
        &["agent.runAsUser=1000"][..],
        &["agent.runAsUser=1000", "agent.format=hcl", "server.format=hcl", "server.agentTTL=2m"],
        &["server.kind=Deployment"],
    ] {
        cluster.install_spire(Helm::V3, values)?;
        expect_psat_agents(&cluster)?;
        say(clock, &values.join(" "));
        // The Deployment has data, and so a CA of its own. An agent reads the trust bundle once: it
        // is to start when that CA's is published.
        cluster.uninstall_spire(Helm::V3)?;
    }

    run_own_image(&cluster)?;
    say(clock, "an own image ran");

    cluster.hold(Component::Apiserver)?;
    ensure!(cluster.kubectl(&["get", "nodes"]).is_err(), "a held apiserver answers");
    cluster.release(Component::Apiserver)?;
    wait::until("the apiserver's return", TIMEOUT, || cluster.kubectl(&["get", "nodes"]))?;
    say(clock, "the apiserver went and came");

    cluster.stop()?;
    assert_eq!(Traces::after()?, before);
    Ok(())
}

/// Gives the nodes an image that they have not had, and runs it on both.
fn run_own_image(cluster: &Cluster) -> Result<()> {
    let folder = tempfile::tempdir()?;
    let archive = folder.path().join("own.tar");
    let program = Release::V1_15.program("spire-agent")?;
    output(
        Command::new(concat!(env!("CARGO_MANIFEST_DIR"), "/lab/cluster/image.py"))
            .arg("localhost/own:1")
            .arg(&archive)
            .args(["--entrypoint=/own", "--entrypoint=--version"])
            .arg(format!("{}:/own", program.display())),
    )?;
    cluster.load_image(&archive)?;
    for node in NODES {
        let spec = format!(
            r#"{{"spec": {{"nodeName": "{}", "containers": [{{"name": "own", "image": "localhost/own:1"}}]}}}}"#,
            node.name
        );
        let overrides = format!("--overrides={spec}");
        cluster.kubectl(&["run", node.name, "--image=localhost/own:1", "--restart=Never", &overrides])?;
        let pod = format!("pod/{}", node.name);
        cluster.kubectl(&["wait", "--for=jsonpath={.status.phase}=Succeeded", "--timeout=60s", &pod])?;
        let version = cluster.kubectl(&["logs", &pod])?;
        ensure!(version.starts_with(Release::V1_15.version()), "it wrote {version}");
    }
    Ok(())
}

/// The traces of one test's cluster are not to be seen by the other test.
fn turn() -> MutexGuard<'static, ()> {
    static TURN: Mutex<()> = Mutex::new(());
    TURN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Kills the process that holds a cluster up, though nobody has closed its standard input.
fn start_and_kill_a_cluster() -> Result<()> {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/lab/cluster/cluster.sh");
    let mut script =
        Command::new(script).env("KEYLIME", "no").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
    let mut ready = String::new();
    BufReader::new(script.stdout.take().context("no standard output")?).read_line(&mut ready)?;
    ensure!(!ready.is_empty(), "the cluster did not start: {}", script.wait()?);
    let ours = cluster_processes()?;
    ensure!(!ours.is_empty(), "a cluster has no processes");
    script.kill()?;
    wait::until("the end of all its processes", TIMEOUT, || {
        let now = cluster_processes()?;
        let left: Vec<_> = ours.intersection(&now).collect();
        ensure!(left.is_empty(), "there are {left:?}");
        Ok(())
    })?;
    script.wait()?;
    Ok(())
}

fn expect_psat_agents(cluster: &Cluster) -> Result<()> {
    let expected = NODES.map(|node| cluster.psat_id(node)).into_iter().collect::<Result<BTreeSet<_>>>()?;
    wait::until("both nodes attested", TIMEOUT, || {
        let agents = cluster.agents()?;
        let ids: BTreeSet<_> = agents.iter().map(|agent| agent.id.clone()).collect();
        ensure!(ids == expected, "the agents are {agents:?}");
        Ok(())
    })
}

/// Traces that a cluster could leave on the machine.
#[derive(Debug, PartialEq, Eq)]
struct Traces {
    processes: BTreeSet<String>,
    mounts: Vec<String>,
    interfaces: BTreeSet<String>,
    cgroups: BTreeSet<String>,
    settings: Vec<String>,
    folders: Vec<bool>,
}

impl Traces {
    /// Before a test, without the lab's cgroup: that of a killed cluster goes with the next one.
    fn before() -> Result<Self> {
        let mut before = Self::after()?;
        before.cgroups.remove(CGROUP);
        Ok(before)
    }

    /// While there is no cluster, as others on this machine, who start theirs when they like, wait
    /// for that as well.
    fn after() -> Result<Self> {
        let lock = File::create(LOCK)?;
        lock.lock()?;
        Self::now()
    }

    fn now() -> Result<Self> {
        let mut cgroups = names("/sys/fs/cgroup")?;
        for hierarchy in cgroups.clone() {
            cgroups.extend(names(&format!("/sys/fs/cgroup/{hierarchy}")).unwrap_or_default());
        }
        let settings =
            ["vm/overcommit_memory", "kernel/panic", "kernel/panic_on_oops", "net/ipv4/ip_forward"];
        let folders = [
            "/var/lib/kubelet",
            "/var/lib/cni",
            "/var/log/pods",
            "/var/log/containers",
            "/run/cni-addresses",
        ];
        let mounts = fs::read_to_string("/proc/self/mounts")?;
        Ok(Self {
            processes: cluster_processes()?,
            mounts: mounts
                .lines()
                .filter(|line| line.contains("cgroup") || line.contains("keylime-attestor"))
                .map(str::to_owned)
                .collect(),
            interfaces: names("/sys/class/net")?,
            cgroups: cgroups.into_iter().filter(|name| name.contains("lab")).collect(),
            settings: settings
                .map(|setting| fs::read_to_string(format!("/proc/sys/{setting}")).unwrap_or_default())
                .to_vec(),
            folders: folders.map(|folder| Path::new(folder).exists()).to_vec(),
        })
    }
}

/// The command lines of everything that only a cluster runs, by its folder and its nodes' cgroup.
/// Its programs are others' too: other tests run an apiserver at the same time. Not of who starts
/// one: others may be waiting to.
fn cluster_processes() -> Result<BTreeSet<String>> {
    let mut found = BTreeSet::new();
    for pid in names("/proc")? {
        // A process may end meanwhile.
        let line = fs::read(Path::new("/proc").join(&pid).join("cmdline")).unwrap_or_default();
        let line = String::from_utf8_lossy(&line).replace('\0', " ");
        let has = |parts: &[&str]| parts.iter().any(|part| line.contains(part));
        let cgroup = fs::read_to_string(Path::new("/proc").join(&pid).join("cgroup"));
        let in_node = cgroup.is_ok_and(|cgroup| cgroup.contains(CGROUP));
        if (in_node || has(&["keylime-attestor/cluster/", "lab/cluster/", "containerd-shim"]))
            && !has(&["lab/cluster/cluster.sh", "lab/cluster/install.sh"])
        {
            found.insert(format!("{pid} {line}"));
        }
    }
    Ok(found)
}

fn names(folder: &str) -> Result<BTreeSet<String>> {
    let entries = fs::read_dir(folder)?.collect::<Result<Vec<_>, _>>()?;
    Ok(entries.iter().map(|entry| entry.file_name().to_string_lossy().into_owned()).collect())
}

#[expect(clippy::print_stderr, reason = "the measured times are for who runs the tests")]
fn say(clock: Instant, what: &str) {
    eprintln!("{:5.1} s: {what}", clock.elapsed().as_secs_f32());
}
