//! Where the programs are: those under test, and those that `make setup` installs.

use std::env;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};

/// A program of this workspace, as cargo built it beside the running test.
///
/// # Errors
/// When it has not been built.
pub fn built(name: &str) -> Result<PathBuf> {
    find(name, "run `make test`, or `cargo build --workspace --bins` before the tests")
}

/// A program or folder that the set-up installed, such as `cluster-tools/kubectl`.
///
/// # Errors
/// When it is not there.
pub fn installed(path: &str) -> Result<PathBuf> {
    find(&format!("lab/{path}"), "run `make setup`")
}

/// A file of the lab's own sources.
pub(crate) fn source(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("lab").join(path)
}

/// Looks in the folders above the running program: cargo's profile folder, then its target folder.
fn find(path: &str, advice: &str) -> Result<PathBuf> {
    let program = env::current_exe().context("failed to find the running program")?;
    let found =
        program.ancestors().skip(1).take(4).map(|folder| folder.join(path)).find(|path| path.exists());
    let Some(found) = found else {
        bail!("failed to find {path} in the folders above {}: {advice}", program.display())
    };
    Ok(found)
}
