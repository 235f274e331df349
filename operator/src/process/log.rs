//! The log, on standard error.

use anyhow::{Context as _, Result, anyhow};
use tracing_subscriber::EnvFilter;

use crate::process::cli::LogFormat;

/// Sends all later events to standard error. To be called once.
pub(crate) fn start(format: LogFormat, level: &str) -> Result<()> {
    let filter = EnvFilter::try_new(level).context("failed to read the log level: expected such as info")?;
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    match format {
        LogFormat::Json => log.json().flatten_event(true).try_init(),
        LogFormat::Text => log.with_ansi(false).try_init(),
    }
    .map_err(|error| anyhow!("failed to start the log: {error}"))
}
