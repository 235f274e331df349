//! A value that all tests of a program share, because it takes long to start.

use std::sync::LazyLock;

use anyhow::{Result, anyhow};

/// Started by the test that comes first. It is never dropped: the janitor ends it with the test
/// process.
pub struct Shared<T>(LazyLock<Result<T>>);

impl<T> Shared<T> {
    /// For a static; nothing is started yet.
    pub const fn new(start: fn() -> Result<T>) -> Self {
        Self(LazyLock::new(start))
    }

    /// The running value.
    ///
    /// # Errors
    /// In every test when it could not be started.
    pub fn get(&self) -> Result<&T> {
        self.0.as_ref().map_err(|error| anyhow!("{error:#}"))
    }
}
