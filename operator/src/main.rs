//! The operator: reconciles `KeylimeAttestor` resources into SPIRE's configuration and workloads.

mod apply;
mod build;
mod canary;
mod cli;
mod cluster;
mod contest;
mod events;
mod fight;
#[cfg(test)]
mod fixture;
mod gather;
mod http;
mod lease;
mod log;
mod memory;
mod metrics;
mod next;
mod node_metrics;
mod nodes;
mod plugins;
mod probe;
mod reconcile;
mod rollout;
mod run;
mod status;
mod strategy;
mod target;
mod validate;
mod watch;
mod withdraw;
mod workload;

use clap::Parser as _;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let args = cli::Args::parse();
    if let Some(cli::Command::Probe { url }) = &args.command {
        return probe::probe(url).await;
    }
    log::start(args.log_format, &args.log_level)?;
    tracing::info!(version = env!("CARGO_PKG_VERSION"), "the operator starts");
    run::run(args).await
}
