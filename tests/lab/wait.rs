//! Waiting for a condition, with a deadline.

use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};

/// The shortest and the longest pause.
const PAUSES: [Duration; 2] = [Duration::from_millis(50), Duration::from_millis(500)];

/// Asks until the answer is Ok, and gives it. An error means "not yet". What is dear to ask, such
/// as a program that is run, is asked less often: many tests wait at a time.
///
/// # Errors
/// When it has not come before the deadline; the last answer is the cause.
pub fn until<T>(what: &str, timeout: Duration, mut ask: impl FnMut() -> Result<T>) -> Result<T> {
    let [shortest, longest] = PAUSES;
    let deadline = Instant::now() + timeout;
    loop {
        let asked = Instant::now();
        match ask() {
            Err(_) if Instant::now() < deadline => {
                thread::sleep((asked.elapsed() * 2).clamp(shortest, longest));
            }
            answer => return answer.with_context(|| format!("failed to see {what} within {timeout:?}")),
        }
    }
}
