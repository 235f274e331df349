//! Waiting for a condition, with a deadline.

use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};

const POLL: Duration = Duration::from_millis(20);

/// Asks until the answer is Ok, and gives it. An error means "not yet".
///
/// # Errors
/// When it has not come before the deadline; the last answer is the cause.
pub fn until<T>(what: &str, timeout: Duration, mut ask: impl FnMut() -> Result<T>) -> Result<T> {
    let deadline = Instant::now() + timeout;
    loop {
        match ask() {
            Err(_) if Instant::now() < deadline => thread::sleep(POLL),
            answer => return answer.with_context(|| format!("failed to see {what} within {timeout:?}")),
        }
    }
}
