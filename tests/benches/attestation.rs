//! A whole attestation through the real server plugin: gRPC over its socket, TLS to a Keylime in
//! this process, a quote by a software key.
//!
//! Criterion measures how long attestations take, with both sides on this machine. The table
//! printed after it tells what the plugin itself needs: CPU time, requests, TLS handshakes, memory,
//! and the time from its start to its first configuration.

#![expect(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a bench is a test that prints"
)]

use std::fs;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use criterion::{Criterion, Throughput};
use futures_util::future::try_join_all;
use lab::fake_apiserver::{FakeApiserver, TOKEN};
use lab::fake_keylime::FakeServer;
use lab::host::Host;
use lab::programs;
use lab::site::{SERVER_PLUGIN, Site, TRUST_DOMAIN};
use tokio::runtime::Runtime;

const AT_ONCE: [usize; 3] = [1, 16, 64];
/// Batches of which the median is taken.
const BATCHES: usize = 21;

/// A server plugin with a Keylime, and with an apiserver where agents send a token.
struct World {
    site: Site,
    apiserver: Option<FakeApiserver>,
}

fn main() -> Result<()> {
    let runtime = Runtime::new()?;
    let mut world = World { site: runtime.block_on(Site::start())?, apiserver: None };
    let idle_kib = world.site.host.resident_kib()?;
    world.site.keylime.verifier.remember_requests(false);
    world.site.keylime.registrar.remember_requests(false);

    let mut criterion = Criterion::default().configure_from_args();
    let mut rows = Vec::new();
    for with_token in [false, true] {
        if with_token {
            runtime.block_on(world.ask_for_tokens())?;
        }
        measure(&runtime, &world, &mut criterion, &mut rows)?;
    }
    criterion.final_summary();

    println!(
        "\n| attestations at once | CPU time of the plugin, each (median) | requests, each | new TLS handshakes, each |"
    );
    println!("| --- | --- | --- | --- |");
    for (what, Cost { cpu, requests, handshakes }) in rows {
        println!("| {what} | {:.3} ms | {requests:.2} | {handshakes:.2} |", cpu.as_secs_f64() * 1000.0);
    }
    let site = &world.site;
    println!("\n| | |\n| --- | --- |");
    println!("| resident memory, idle | {:.1} MiB |", idle_kib as f64 / 1024.0);
    println!("| resident memory, after 64 at once | {:.1} MiB |", site.host.resident_kib()? as f64 / 1024.0);
    let started = runtime.block_on(start_to_configured(site))?;
    println!("| start to configured (median) | {:.1} ms |", started.as_secs_f64() * 1000.0);
    Ok(())
}

fn measure(
    runtime: &Runtime,
    world: &World,
    criterion: &mut Criterion,
    rows: &mut Vec<(String, Cost)>,
) -> Result<()> {
    let with = if world.apiserver.is_some() { ", with a token" } else { "" };
    let mut group = criterion.benchmark_group(format!("attestation{with}"));
    for at_once in AT_ONCE {
        group.throughput(Throughput::Elements(at_once as u64));
        group.bench_function(format!("{at_once} at once"), |bencher| {
            bencher.to_async(runtime).iter(|| attest(world, at_once));
        });
    }
    group.finish();
    for at_once in AT_ONCE {
        rows.push((format!("{at_once}{with}"), runtime.block_on(cost(world, at_once))?));
    }
    Ok(())
}

async fn attest(world: &World, at_once: usize) {
    let World { site, apiserver } = world;
    let token = apiserver.as_ref().map(|_| TOKEN.parse().expect("a token"));
    let payload = site.node.payload_with(token);
    let respond = |challenge: &[u8]| site.node.respond(challenge);
    let attestations = (0..at_once).map(|_| site.attest_as(payload.clone(), respond));
    try_join_all(attestations).await.expect("an attestation failed");
}

impl World {
    async fn ask_for_tokens(&mut self) -> Result<()> {
        let apiserver = FakeApiserver::start().await?;
        apiserver.server.remember_requests(false);
        self.site.configure(&apiserver.block("")).await?;
        self.apiserver = Some(apiserver);
        Ok(())
    }

    fn servers(&self) -> impl Iterator<Item = &FakeServer> {
        let keylime = &self.site.keylime;
        let apiserver = self.apiserver.as_ref().map(|apiserver| &apiserver.server);
        [&keylime.verifier, &keylime.registrar].into_iter().chain(apiserver)
    }
}

struct Cost {
    cpu: Duration,
    requests: f64,
    handshakes: f64,
}

/// The cost of one attestation, once the connections that so many at once need are open.
async fn cost(world: &World, at_once: usize) -> Result<Cost> {
    attest(world, at_once).await;
    let (requests, handshakes) = (requests(world), handshakes(world));
    let rounds = 64_usize.div_ceil(at_once);
    let mut batches = Vec::with_capacity(BATCHES);
    for _ in 0..BATCHES {
        let before = cpu_time(&world.site)?;
        for _ in 0..rounds {
            attest(world, at_once).await;
        }
        batches.push((cpu_time(&world.site)? - before) / u32::try_from(rounds * at_once)?);
    }
    let attestations = (BATCHES * rounds * at_once) as f64;
    Ok(Cost {
        cpu: median(batches),
        requests: (self::requests(world) - requests) as f64 / attestations,
        handshakes: (self::handshakes(world) - handshakes) as f64 / attestations,
    })
}

fn requests(world: &World) -> usize {
    world.servers().map(FakeServer::served).sum()
}

fn handshakes(world: &World) -> usize {
    world.servers().map(FakeServer::handshakes).sum()
}

/// The time that the plugin's threads have spent on a core.
fn cpu_time(site: &Site) -> Result<Duration> {
    let threads = fs::read_dir(format!("/proc/{}/task", site.host.pid()?))?;
    threads
        .map(|thread| {
            let statistics = fs::read_to_string(thread?.path().join("schedstat"))?;
            let nanoseconds = statistics.split(' ').next().context("an empty schedstat")?;
            Ok(Duration::from_nanos(nanoseconds.parse()?))
        })
        .sum()
}

async fn start_to_configured(site: &Site) -> Result<Duration> {
    let configuration = site.configuration("");
    let mut times = Vec::with_capacity(BATCHES);
    for _ in 0..BATCHES {
        let started = Instant::now();
        let host = Host::start(programs::built(SERVER_PLUGIN)?).start().await?;
        host.plugin().configure(TRUST_DOMAIN, &configuration).await?;
        times.push(started.elapsed());
    }
    Ok(median(times))
}

fn median(mut values: Vec<Duration>) -> Duration {
    values.sort_unstable();
    values[values.len() / 2]
}
