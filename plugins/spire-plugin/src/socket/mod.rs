//! The socket on which the plugin listens.

use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use tempfile::TempDir;
use tokio::net::UnixListener;

/// No directory for the socket was found. Names every one that was tried, with what was wrong with
/// it.
#[derive(Debug, thiserror::Error)]
#[error(
    "failed to make a socket in any of the directories {}: set PLUGIN_UNIX_SOCKET_DIR to one that is writable",
    tried.join(", ")
)]
pub(crate) struct NoSocket {
    tried: Vec<String>,
}

/// A socket that only this user can open. Removed when dropped.
#[derive(Debug)]
pub(crate) struct Socket {
    path: PathBuf,
    _directory: TempDir,
}

impl Socket {
    /// Listens in the first directory where that is possible. Has to be called inside the runtime.
    pub(crate) fn listen(directories: &[PathBuf]) -> Result<(Self, UnixListener), NoSocket> {
        let mut tried = Vec::new();
        for directory in directories {
            match listen_in(directory) {
                Ok(listening) => return Ok(listening),
                Err(error) => tried.push(format!("{} ({error})", directory.display())),
            }
        }
        Err(NoSocket { tried })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }
}

/// The directories to try, in their order. Reads the environment by a function for tests to
/// replace.
pub(crate) fn directories(var: impl Fn(&str) -> Option<String>) -> Vec<PathBuf> {
    let set =
        ["PLUGIN_UNIX_SOCKET_DIR", "TMPDIR"].into_iter().filter_map(var).filter(|value| !value.is_empty());
    let mut directories: Vec<PathBuf> = set.chain(["/tmp".to_owned()]).map(PathBuf::from).collect();
    directories.dedup();
    directories
}

/// The socket gets its mode only after it is there. Until then a directory that nobody else may
/// enter protects it, and goes on to.
fn listen_in(directory: &Path) -> io::Result<(Socket, UnixListener)> {
    let directory = std::path::absolute(directory)?;
    let directory = tempfile::Builder::new()
        .prefix("spire-plugin-")
        .permissions(Permissions::from_mode(0o700))
        .tempdir_in(directory)?;
    let path = directory.path().join("socket");
    // Either would end the field of the handshake in which the path stands.
    if path.to_str().is_none_or(|path| path.contains(['|', '\n'])) {
        return Err(io::Error::other("its name has a character that SPIRE would misread"));
    }
    let listener = UnixListener::bind(&path)?;
    fs::set_permissions(&path, Permissions::from_mode(0o600))?;
    Ok((Socket { path, _directory: directory }, listener))
}

#[cfg(test)]
mod tests;
