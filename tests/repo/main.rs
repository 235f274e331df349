//! The repository's own checks. They need nothing but the built programs and git.

mod blocks;
mod pinned;
mod programs;
mod readme;
mod version;
mod words;

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn read(file: &str) -> Result<String> {
    fs::read_to_string(root().join(file)).with_context(|| format!("failed to read {file}"))
}
