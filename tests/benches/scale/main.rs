//! The operator's cost on clusters of many nodes: the time of a poll of all of them, what it
//! writes when nodes fail and when nothing happens, and what it needs of its own node. The sizes of
//! the clusters can be given as arguments, and `aliases` for workloads whose parents are node aliases.
//!
//! Everything but the operator stands in for something: kwok for the kubelets, this process for
//! Keylime. They share the machine with the operator, which is the real one against a real
//! apiserver. It runs without leader election, whose Lease is renewed every few seconds.

#![expect(clippy::print_stdout, clippy::indexing_slicing, reason = "a bench is a test that prints")]

mod site;

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use lab::fake_keylime::State;
use lab::process::memory_kib;
use lab::spire::objects as spire;
use lab::wait;
use serde_json::Value;

use crate::site::{Operator, Site, TIMEOUT, machine};

const SIZES: [usize; 3] = [2, 1000, 5000];
const IDLE: Duration = Duration::from_secs(60);
/// So long without a write, and nothing is going on any more: longer than the interval of the
/// polls.
const QUIET: Duration = Duration::from_secs(40);

const HEADER: &str = "| nodes | all known after | a poll | writes, idle minute | CPU time, idle minute | 1 % fail: known after, writes | resident memory, idle | at most |
| --- | --- | --- | --- | --- | --- | --- | --- |";

fn main() -> Result<()> {
    // cargo gives flags of its own.
    let given: Vec<usize> = std::env::args().skip(1).filter_map(|size| size.parse().ok()).collect();
    let sizes = if given.is_empty() { SIZES.to_vec() } else { given };
    let runtime = tokio::runtime::Runtime::new()?;
    let aliases = std::env::args().any(|word| word == "aliases");
    let mut site = runtime.block_on(Site::start(aliases))?;
    let mut rows = Vec::new();
    for nodes in sizes {
        site.grow(nodes)?;
        println!("{nodes} nodes are Ready");
        rows.push(measure(&mut site, nodes)?);
    }
    println!("\nOn {}:\n\n{HEADER}\n{}", machine()?, rows.join("\n"));
    Ok(())
}

/// One row of the table: an operator that starts on a cluster of so many nodes.
fn measure(site: &mut Site, nodes: usize) -> Result<String> {
    let mut operator = site.operator()?;
    let begun = Instant::now();
    site.make_ready(&mut operator)?;
    wait_for(site, &mut operator, "attested", nodes)?;
    let known = begun.elapsed();
    wait_until_quiet(site)?;

    let (writes, cpu, polls) = (site.writes()?, cpu_time(&operator)?, polls(&operator)?);
    thread::sleep(IDLE);
    let (idle_writes, idle_cpu) = (site.writes()? - writes, cpu_time(&operator)? - cpu);
    let polls = self::polls(&operator)? - polls;
    let idle_kib = memory_kib(operator.process.id(), "VmRSS")?;

    let failing = nodes.div_ceil(100);
    let (writes, begun) = (site.writes()?, Instant::now());
    site.set(failing, &State::fail());
    wait_for(site, &mut operator, "failing", failing)?;
    let failed = begun.elapsed();
    wait_until_quiet(site)?;
    let fail_writes = site.writes()? - writes;
    site.set(failing, &State::pass());

    let most_kib = operator.process.peak_kib()?;
    operator.process.stop()?;
    Ok(format!(
        "| {nodes} | {:.1} s | {:.0} ms | {idle_writes} | {:.2} s | {:.1} s, {fail_writes} | {:.1} MiB | {:.1} MiB |",
        known.as_secs_f64(),
        polls.mean().as_secs_f64() * 1000.0,
        idle_cpu.as_secs_f64(),
        failed.as_secs_f64(),
        idle_kib as f64 / 1024.0,
        most_kib as f64 / 1024.0,
    ))
}

fn wait_for(site: &Site, operator: &mut Operator, state: &str, nodes: usize) -> Result<()> {
    operator.process.wait_until(&format!("{nodes} nodes {state}"), TIMEOUT, || {
        let status = site.status()?;
        let nodes_status = status.get("nodes").context("it has no nodes yet")?;
        let count = nodes_status.get(state).and_then(Value::as_u64).context("no count")?;
        ensure!(usize::try_from(count)? == nodes, "they are {nodes_status:#}");
        Ok(())
    })
}

fn wait_until_quiet(site: &Site) -> Result<()> {
    let (mut writes, mut since) = (site.writes()?, Instant::now());
    wait::until("the operator to have nothing to write", TIMEOUT, || {
        thread::sleep(Duration::from_secs(1));
        let now = site.writes()?;
        if now != writes {
            (writes, since) = (now, Instant::now());
        }
        ensure!(since.elapsed() >= QUIET, "it wrote {:?} ago", since.elapsed());
        Ok(())
    })
}

/// How many polls there were, and how long they took together.
struct Polls {
    count: u32,
    seconds: f64,
}

impl Polls {
    fn mean(&self) -> Duration {
        Duration::from_secs_f64(self.seconds / f64::from(self.count.max(1)))
    }
}

impl std::ops::Sub for Polls {
    type Output = Self;

    fn sub(self, before: Self) -> Self {
        Self { count: self.count - before.count, seconds: self.seconds - before.seconds }
    }
}

fn polls(operator: &Operator) -> Result<Polls> {
    let mut stream = TcpStream::connect(("127.0.0.1", operator.metrics.number()))?;
    write!(stream, "GET /metrics HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")?;
    let mut text = String::new();
    stream.read_to_string(&mut text)?;
    let sum = |metric: &str| {
        let lines = text.lines().filter_map(|line| line.strip_prefix(metric)?.rsplit_once(' '));
        lines.map(|(_, value)| Ok(value.parse::<f64>()?)).sum::<Result<f64>>()
    };
    let count = sum("keylime_attestor_poll_duration_seconds_count")?;
    let seconds = sum("keylime_attestor_poll_duration_seconds_sum")?;
    // Exact: a count of polls is far below 2^32.
    Ok(Polls { count: count as u32, seconds })
}

/// The time that the operator has spent on a core, of which the kernel counts hundredths of
/// seconds.
fn cpu_time(operator: &Operator) -> Result<Duration> {
    let stat = fs::read_to_string(format!("/proc/{}/stat", operator.process.id()))?;
    // Behind the program's name, which may hold anything.
    let (_, fields) = stat.rsplit_once(')').context("no program's name")?;
    let fields: Vec<&str> = fields.split_whitespace().collect();
    let ticks = fields[11].parse::<u64>()? + fields[12].parse::<u64>()?;
    Ok(Duration::from_millis(ticks * 10))
}
