//! `keylime-attestor-quoter`: on a node whose Keylime agent opens no port (push model), it quotes
//! nonces with the TPM for the SPIRE agent beside it, on a unix socket.
//!
//! One thread has the TPM ([`worker`]); requests wait for it in a short queue, in the order in which
//! they came. Whoever may connect is known by his user ([`socket`]), and what he asks is parsed
//! into a [`request::Request`] before anything else sees it.

mod agent_id;
mod answer;
mod check;
mod cli;
mod notify;
mod own_folder;
mod request;
mod serve;
mod socket;
mod worker;

use std::time::Duration;

use anyhow::Context as _;
use clap::Parser as _;
use cli::Command;
use tokio::signal::unix::{SignalKind, signal};

/// The longest time for what waits when the program is asked to end.
const GRACE: Duration = Duration::from_secs(5);

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let args = cli::Args::parse();
    match &args.command {
        Some(Command::Check) => check::check(&args.socket),
        Some(Command::OwnFolder { folder, uid, gid }) => own_folder::own_folder(folder, *uid, *gid),
        None => quote(args).await,
    }
}

/// Serves the socket until the process is asked to end.
async fn quote(args: cli::Args) -> anyhow::Result<()> {
    tracing_subscriber::fmt().with_ansi(false).with_writer(std::io::stderr).init();
    tracing::info!(version = env!("CARGO_PKG_VERSION"), "the quoter starts");
    let mut terminate = signal(SignalKind::terminate()).context("failed to listen to SIGTERM")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("failed to listen to SIGINT")?;
    let source = agent_id::Source::read(args.agent_id, &args.agent_conf)?;
    let listener = socket::open(&args.socket)?;
    let quoter = tpm::Quoter::new(args.tpm, args.agent_data);
    let (worker, mut ended) = worker::start(quoter, source).context("failed to start the TPM's thread")?;
    let allowed = socket::Allowed::new(args.allow_uid);
    notify::ready();
    let serve = serve::serve(listener, allowed, worker.clone());
    let outcome = tokio::select! {
        never = serve => match never {},
        _ = terminate.recv() => Ok(()),
        _ = interrupt.recv() => Ok(()),
        // Nobody else can quote: to be started again is better than to fail each request.
        _ = &mut ended => Err(anyhow::anyhow!("the TPM's thread ended: this is a bug; the log says where")),
    };
    notify::stopping();
    socket::remove(&args.socket);
    // Those that are connected still get their answers.
    let done = async {
        worker.end().await;
        let _ = ended.await;
    };
    if tokio::time::timeout(GRACE, done).await.is_err() {
        tracing::warn!("the TPM did not answer in time; its resource manager takes the key out of it");
    }
    tracing::info!("the quoter ends");
    outcome
}
