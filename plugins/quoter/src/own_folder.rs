//! The folder of the socket, where no service manager makes it: Kubernetes makes a node's folders
//! root's.

use std::fs;
use std::os::unix::fs::chown;
use std::path::Path;

use anyhow::{Context as _, ensure};

/// Gives the folder, and nothing in it, to a user and a group.
///
/// # Errors
/// When it is no folder, or this process may not.
pub(crate) fn own_folder(folder: &Path, uid: u32, gid: u32) -> anyhow::Result<()> {
    let failed = || format!("failed to give {folder:?} to {uid}:{gid}");
    let found = fs::symlink_metadata(folder).with_context(failed)?;
    ensure!(found.is_dir(), "expected a folder, {folder:?} is none");
    chown(folder, Some(uid), Some(gid)).with_context(failed)
}
