//! The operator: reconciles `KeylimeAttestor` resources into SPIRE's configuration and workloads.
//!
//! [`process::run`] starts two loops over the resources, side by side. [`reconcile`] brings SPIRE
//! to what a resource asks for, when something changes, and hands the other loop its
//! [`nodes::Inputs`]: a client of Keylime, whose pods to follow, and whether Nodes may be marked.
//! [`nodes`] finds out at each interval how every node is, and hands back a [`nodes::View`], which
//! the status tells of and agents' rollouts wait for. `ARCHITECTURE.md` draws both.

mod apply;
mod build;
mod certificate;
mod check;
mod cluster;
mod configuration;
mod credentials;
mod discover;
mod events;
#[cfg(test)]
mod fixture;
mod gather;
mod keylime_client;
mod metrics;
mod model;
mod nodes;
mod plugins;
mod process;
mod reconcile;
mod report_identity;
mod rollout;
mod status;
mod uninstall;
mod validate;

use std::process::ExitCode;

use clap::Parser as _;
use process::cli::{Args, Command};

#[tokio::main]
async fn main() -> anyhow::Result<ExitCode> {
    let args = Args::parse();
    match &args.command {
        Some(Command::Probe { url }) => process::probe::probe(url).await?,
        Some(Command::Credentials(asked)) => credentials::credentials(asked)?,
        Some(Command::Uninstall { attestors }) => uninstall::uninstall(&args, *attestors).await?,
        Some(Command::Check(asked)) => return check::check(&args, asked).await,
        None => {
            process::log::start(args.log_format, &args.log_level)?;
            tracing::info!(version = env!("CARGO_PKG_VERSION"), "the operator starts");
            process::run::run(args).await?;
        }
    }
    Ok(ExitCode::SUCCESS)
}
