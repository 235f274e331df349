//! Copies the running program to where SPIRE can start it: what an init container does, in an image
//! that has no shell.

use std::fmt;
use std::fs::{self, File, Permissions};
use std::io::{self, Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use ring::digest::{Context, Digest, SHA256};

/// Everybody may read and start it; SPIRE often runs as another user than the init container.
const MODE: u32 = 0o755;

/// A program that is in its place.
#[derive(Debug)]
pub(crate) struct Installed {
    path: PathBuf,
    sha256: Digest,
}

/// The reason why a program cannot be copied.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error("failed to read this program: {0}")]
    Read(#[source] io::Error),
    #[error("failed to write {}: {cause}; expected a directory that exists and can be written", path.display())]
    Write { path: PathBuf, cause: io::Error },
    #[error("failed to verify {}: what is on disk is not what was written; check the volume", path.display())]
    Different { path: PathBuf },
}

/// Puts a copy of the running program into `directory` under the name `name`, readable and
/// executable for all.
///
/// The copy appears whole or not at all, and only after what is on disk was read again and found
/// the same by its SHA-256. A file that is the same already stays untouched, so that a program
/// which SPIRE has started is never replaced without need.
pub(crate) fn install(name: &str, directory: &Path) -> Result<Installed, Error> {
    let program = running_program().map_err(Error::Read)?;
    let sha256 = ring::digest::digest(&SHA256, &program);
    let path = directory.join(name);
    if !is_installed(&path, &sha256) {
        write(&program, &sha256, directory, &path)?;
    }
    Ok(Installed { path, sha256 })
}

impl fmt::Display for Installed {
    /// As `sha256sum` prints it.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.sha256.as_ref().iter().try_for_each(|byte| write!(formatter, "{byte:02x}"))?;
        write!(formatter, "  {}", self.path.display())
    }
}

fn running_program() -> io::Result<Vec<u8>> {
    fs::read("/proc/self/exe").or_else(|_no_proc| fs::read(std::env::current_exe()?))
}

fn is_installed(path: &Path, sha256: &Digest) -> bool {
    let is_plain = fs::symlink_metadata(path)
        .is_ok_and(|file| file.is_file() && file.permissions().mode() & 0o777 == MODE);
    is_plain && hash(path).is_ok_and(|found| found.as_ref() == sha256.as_ref())
}

fn write(program: &[u8], sha256: &Digest, directory: &Path, path: &Path) -> Result<(), Error> {
    let failed = |cause| Error::Write { path: path.to_owned(), cause };
    let mut copy = tempfile::NamedTempFile::new_in(directory).map_err(failed)?;
    copy.write_all(program).map_err(failed)?;
    copy.as_file().set_permissions(Permissions::from_mode(MODE)).map_err(failed)?;
    copy.as_file().sync_all().map_err(failed)?;
    if hash(copy.path()).map_err(failed)?.as_ref() != sha256.as_ref() {
        return Err(Error::Different { path: path.to_owned() });
    }
    copy.persist(path).map_err(|error| failed(error.error))?;
    Ok(())
}

fn hash(path: &Path) -> io::Result<Digest> {
    let mut file = File::open(path)?;
    let mut context = Context::new(&SHA256);
    let mut buffer = vec![0; 64 * 1024];
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok(context.finish()),
            length => context.update(buffer.get(..length).unwrap_or_default()),
        }
    }
}
