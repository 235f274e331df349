//! The lab's cluster: it comes up, Keylime passes its nodes, SPIRE works in it in the shapes that
//! its users run, and it goes without a trace, also when it is killed.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, anyhow, ensure};
use lab::cluster::{Cluster, Helm, NODES, Options, World};
use lab::spire::Release;
use lab::wait;

const TIMEOUT: Duration = Duration::from_secs(60);
/// The cgroup of the nodes; a name of cgroups.sh.
const CGROUP: &str = "keylime-attestor-lab";
/// Held by every process of a cluster; a name of cluster.sh.
const LOCK: &str = "/run/lock/keylime-attestor-cluster";

/// The shapes of SPIRE that other tests have not, one after another on one cluster; with SPIRE's
/// older release, and an apiserver that is told nothing of NodeRestriction.
#[test]
fn runs_spire_in_every_shape_after_a_killed_cluster_and_leaves_no_trace() -> Result<()> {
    let before = Traces::before()?;
    start_and_kill_a_cluster()?;

    let clock = Instant::now();
    let world = World::BY_HAND.with(Release::V1_13);
    let cluster = Cluster::start(&Options { node_restriction: false, ..Options::of(world) })?;
    say(clock, "cluster");
    for node in NODES {
        assert_eq!(cluster.keylime().status(node)?, "PASS", "{}", node.name);
    }
    let by_a_user = "agent.runAsUser=1000";
    let shape = |values: &[&str]| {
        cluster.install_spire(Helm::V3, values)?;
        expect_psat_agents(&cluster)?;
        say(clock, &values.join(" "));
        anyhow::Ok(())
    };
    shape(&[by_a_user])?;
    shape(&[by_a_user, "agent.format=hcl", "server.format=hcl", "server.agentTTL=2m"])?;
    // The Deployment has data, and so a CA of its own. An agent reads the trust bundle once: it is
    // to start when that CA's is published.
    cluster.uninstall_spire(Helm::V3)?;
    shape(&["server.kind=Deployment"])?;

    stop_while_another_waits(cluster)?;
    assert_eq!(Traces::after()?, before);
    Ok(())
}

/// The next one's turn comes when this one is gone, whose starter does not wait for the next.
fn stop_while_another_waits(cluster: Cluster) -> Result<()> {
    let (stopped, is_stopped) = mpsc::channel();
    let next = thread::spawn(move || {
        let lock = File::create(LOCK)?;
        lock.lock()?;
        // However it ends: nobody is to wait for this one for ever.
        is_stopped.recv_timeout(TIMEOUT).ok();
        anyhow::Ok(())
    });
    let begun = Instant::now();
    cluster.stop()?;
    let took = begun.elapsed();
    stopped.send(()).context("the next one's turn was over before this one's end")?;
    next.join().map_err(|_| anyhow!("a thread ended"))??;
    ensure!(took < TIMEOUT / 2, "it took {took:?}");
    Ok(())
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
        // An apiserver without a cluster is told of the same policy for its audit log.
        let of_a_cluster = in_node
            || has(&["keylime-attestor/cluster/", "containerd-shim"])
            || has(&["lab/cluster/"]) && !has(&["lab/cluster/manifests/"]);
        if of_a_cluster && !has(&["lab/cluster/cluster.sh", "lab/cluster/install.sh"]) {
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
