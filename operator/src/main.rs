//! The operator: reconciles `KeylimeAttestor` resources into SPIRE's configuration and workloads.

mod cli;
mod log;

use clap::Parser as _;

fn main() -> anyhow::Result<()> {
    let args = cli::Args::parse();
    log::start(args.log_format, &args.log_level)?;
    tracing::info!(version = env!("CARGO_PKG_VERSION"), "the operator starts");
    Ok(())
}
