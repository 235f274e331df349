//! A plugin's log, which it writes to stderr.

use std::io::{self, Write};
use std::sync::Arc;

use anyhow::{Context, Result};
use serde_json::Value;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::ChildStderr;
use tokio::sync::watch;
use tokio::time::timeout;

use super::PATIENCE;

/// The lines so far. Clones see the same.
#[derive(Clone, Debug)]
pub struct Log(Arc<watch::Receiver<Vec<String>>>);

impl Log {
    pub(super) fn read(stderr: ChildStderr) -> Self {
        let (sender, receiver) = watch::channel(Vec::new());
        tokio::spawn(async move {
            let mut lines = BufReader::new(stderr).lines();
            while let Ok(Some(line)) = lines.next_line().await {
                sender.send_modify(|log| log.push(line));
            }
        });
        Self(Arc::new(receiver))
    }

    /// The lines, as they are.
    #[must_use]
    pub fn lines(&self) -> Vec<String> {
        self.0.borrow().clone()
    }

    /// The lines as JSON; `null` stands for a line that is none.
    #[must_use]
    pub fn entries(&self) -> Vec<Value> {
        self.0.borrow().iter().map(|line| entry(line)).collect()
    }

    /// Waits for an entry, which may be there already.
    ///
    /// # Errors
    /// When it does not come in time or the log ends before it.
    pub async fn wait_for(&self, wanted: impl Fn(&Value) -> bool) -> Result<Value> {
        self.wait_for_nth(1, wanted).await
    }

    /// Waits for the n-th of such entries, counted from 1.
    ///
    /// # Errors
    /// Like [`wait_for`](Self::wait_for).
    pub async fn wait_for_nth(&self, number: usize, wanted: impl Fn(&Value) -> bool) -> Result<Value> {
        let skipped = number.saturating_sub(1);
        let find = |lines: &[String]| {
            lines.iter().map(|line| entry(line)).filter(|entry| wanted(entry)).nth(skipped)
        };
        let mut log = (*self.0).clone();
        let lines = timeout(PATIENCE, log.wait_for(|lines| find(lines).is_some()));
        let lines =
            lines.await.context("the log entry did not come")?.context("the log ended without the entry")?;
        find(&lines).context("the log entry is gone")
    }

    /// Waits for an entry by its `@message`.
    ///
    /// # Errors
    /// Like [`wait_for`](Self::wait_for).
    pub async fn wait_for_message(&self, message: &str) -> Result<Value> {
        self.wait_for(|entry| entry.get("@message").and_then(Value::as_str) == Some(message)).await
    }

    /// Waits until all is read. To be called when the process has ended.
    pub(super) async fn complete(&self) -> Result<()> {
        let mut log = (*self.0).clone();
        while log.changed().await.is_ok() {}
        Ok(())
    }
}

impl Drop for Log {
    /// Shows the log of a test that fails.
    fn drop(&mut self) {
        if std::thread::panicking() && Arc::strong_count(&self.0) == 1 {
            let _ = writeln!(io::stderr(), "the plugin's log:\n{}", self.lines().join("\n"));
        }
    }
}

fn entry(line: &str) -> Value {
    serde_json::from_str(line).unwrap_or_default()
}
