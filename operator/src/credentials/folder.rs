//! The folder in which the credentials are kept between runs: certificates, and keys that only
//! their owner can read.

use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{ErrorKind, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, ensure};

use super::issue::Pair;
use super::keylime_ca::read;

/// A folder that only its owner can enter.
pub(super) struct Folder(PathBuf);

impl Folder {
    /// Makes it where it is not there.
    ///
    /// # Errors
    /// Also for one that others may write, who could put a CA of their own there.
    pub(super) fn open(path: &Path) -> Result<Self> {
        let about = || format!("failed to make the folder {}", path.display());
        match DirBuilder::new().mode(0o700).create(path) {
            Err(error) if error.kind() != ErrorKind::AlreadyExists => return Err(error).with_context(about),
            _ => {}
        }
        let mode = fs::metadata(path).with_context(about)?.permissions().mode();
        ensure!(mode & 0o022 == 0, "others may write to the folder {}: chmod go-w it first", path.display());
        Ok(Self(path.to_owned()))
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    /// A certificate with its key, if both are there.
    pub(super) fn pair(&self, name: &str) -> Result<Option<Pair>> {
        let [certificate, key] = self.files(name);
        match (certificate.exists(), key.exists()) {
            (false, false) => Ok(None),
            _ => Ok(Some(Pair { certificate: read(&certificate)?, key: read(&key)? })),
        }
    }

    /// Keeps a certificate with its key, the key first: without its certificate it is of no use to
    /// anybody, and is told of.
    pub(super) fn keep(&self, name: &str, pair: &Pair) -> Result<()> {
        let [certificate, key] = self.files(name);
        write(&key, &pair.key, 0o600)?;
        write(&certificate, &pair.certificate, 0o644)
    }

    /// Keeps a file with keys in it.
    pub(super) fn keep_secret(&self, name: &str, text: &str) -> Result<PathBuf> {
        let path = self.path(name);
        write(&path, text, 0o600)?;
        Ok(path)
    }

    fn files(&self, name: &str) -> [PathBuf; 2] {
        ["crt", "key"].map(|ending| self.path(&format!("{name}.{ending}")))
    }
}

/// Replaces a file as a whole: who reads it meanwhile gets the old one or the new one.
fn write(path: &Path, text: &str, mode: u32) -> Result<()> {
    let about = || format!("failed to write {}", path.display());
    let mut beside = path.as_os_str().to_owned();
    beside.push(".new");
    match fs::remove_file(&beside) {
        Err(error) if error.kind() != ErrorKind::NotFound => return Err(error).with_context(about),
        _ => {}
    }
    let mut file =
        OpenOptions::new().write(true).create_new(true).mode(mode).open(&beside).with_context(about)?;
    file.write_all(text.as_bytes()).and_then(|()| file.sync_all()).with_context(about)?;
    fs::rename(&beside, path).with_context(about)
}
