//! The unix socket, and whose programs may use it.

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixStream as StdStream;
use std::path::{Path, PathBuf};

use tokio::net::{UnixListener, UnixStream};

/// Owner and group may connect, nobody else.
const MODE: u32 = 0o660;

/// The reason why the socket is not served.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SocketError {
    #[error(
        "failed to open the socket {path:?}: another quoter answers there; stop it, or name another file (--socket)"
    )]
    InUse { path: PathBuf },
    #[error(
        "failed to open the socket {path:?}: a file that is no socket is there; move it away, or name another (--socket)"
    )]
    NoSocket { path: PathBuf },
    #[error(
        "failed to open the socket {path:?}: {error}; make its folder, which this user has to be able to write"
    )]
    Io { path: PathBuf, error: io::Error },
}

/// The users whose programs are answered.
#[derive(Debug)]
pub(crate) struct Allowed(Vec<u32>);

/// The user of a program that is not answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "programs of the user with id {0} are not answered; add the id to the quoter's --allow-uid if it is that of the SPIRE agent"
)]
pub(crate) struct NotAllowed(pub(crate) u32);

/// Opens the socket in place of one that a killed quoter left behind. It has its mode before it has
/// its name.
pub(crate) fn open(path: &Path) -> Result<UnixListener, SocketError> {
    use std::os::unix::fs::FileTypeExt as _;
    let failed = |error| SocketError::Io { path: path.to_owned(), error };
    match fs::symlink_metadata(path) {
        Ok(found) if !found.file_type().is_socket() => {
            return Err(SocketError::NoSocket { path: path.to_owned() });
        }
        Ok(_) if StdStream::connect(path).is_ok() => {
            return Err(SocketError::InUse { path: path.to_owned() });
        }
        Ok(_) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(failed(error)),
    }
    let new = PathBuf::from(format!("{}.new", path.display()));
    match fs::remove_file(&new) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(failed(error)),
        _ => {}
    }
    let listener = UnixListener::bind(&new).map_err(failed)?;
    fs::set_permissions(&new, fs::Permissions::from_mode(MODE)).map_err(failed)?;
    fs::rename(&new, path).map_err(failed)?;
    Ok(listener)
}

/// Removes the socket, so that clients see at once that nobody is there.
pub(crate) fn remove(path: &Path) {
    if let Err(error) = fs::remove_file(path) {
        tracing::warn!(%error, "the socket was not removed");
    }
}

impl Allowed {
    /// Root, this program's own user, and these.
    pub(crate) fn new(more: Vec<u32>) -> Self {
        use std::os::unix::fs::MetadataExt as _;
        let own = fs::metadata("/proc/self").map(|process| process.uid());
        Self([vec![0], own.into_iter().collect(), more].concat())
    }

    /// Checks the user of the program at the other end, by the kernel's word.
    pub(crate) fn check(&self, stream: &UnixStream) -> io::Result<Result<u32, NotAllowed>> {
        let uid = stream.peer_cred()?.uid();
        Ok(if self.0.contains(&uid) { Ok(uid) } else { Err(NotAllowed(uid)) })
    }
}

#[cfg(test)]
mod tests;
