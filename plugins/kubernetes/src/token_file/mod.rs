//! The file that holds a service account token.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use evidence::{InvalidServiceAccountToken, ServiceAccountToken};

/// The longest file that is read, in bytes: the longest token, and a line's end.
const MAX_FILE: usize = ServiceAccountToken::MAX_LEN + 2;

/// The path of a token's file. Read anew for each use: the kubelet renews the token long before it
/// expires, by a symbolic link.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenFile(PathBuf);

/// The reason why a file gives no token. Never repeats a part of the file.
#[derive(Debug, thiserror::Error)]
#[error("failed to read the service account token{}: {cause}", shown(path))]
pub struct TokenFileError {
    path: PathBuf,
    cause: Cause,
}

#[derive(Debug, thiserror::Error)]
enum Cause {
    #[error("{0}; check that the volume with the token is mounted there")]
    Read(#[from] io::Error),
    #[error("expected an absolute path")]
    Relative,
    #[error("expected a regular file")]
    NotAFile,
    #[error("expected at most {} bytes, got more", ServiceAccountToken::MAX_LEN)]
    TooLarge,
    #[error("expected a token, got something else: {0}")]
    Invalid(#[from] InvalidServiceAccountToken),
    #[error("reading it was broken off")]
    BrokenOff,
}

impl TokenFile {
    /// The file at `path`, which is not read yet.
    pub fn at(path: impl Into<PathBuf>) -> Self {
        Self(path.into())
    }

    /// The token that the file holds now. White space around it does not count.
    ///
    /// # Errors
    /// The reason why there is none.
    pub async fn token(&self) -> Result<ServiceAccountToken, TokenFileError> {
        let file = self.clone();
        let read = tokio::task::spawn_blocking(move || file.read()).await;
        read.unwrap_or_else(|_panicked| Err(self.error(Cause::BrokenOff)))
    }

    /// The same, while the thread waits: for the reading of a configuration.
    ///
    /// # Errors
    /// The reason why there is none.
    pub fn read(&self) -> Result<ServiceAccountToken, TokenFileError> {
        read(&self.0).map_err(|cause| self.error(cause))
    }

    fn error(&self, cause: Cause) -> TokenFileError {
        TokenFileError { path: self.0.clone(), cause }
    }
}

fn read(path: &Path) -> Result<ServiceAccountToken, Cause> {
    if !path.is_absolute() {
        return Err(Cause::Relative);
    }
    // Before it is opened: reading a pipe or a device might never end.
    if !std::fs::metadata(path)?.is_file() {
        return Err(Cause::NotAFile);
    }
    let mut bytes = Vec::new();
    File::open(path)?.take(MAX_FILE as u64 + 1).read_to_end(&mut bytes)?;
    if bytes.len() > MAX_FILE {
        return Err(Cause::TooLarge);
    }
    let text = std::str::from_utf8(bytes.trim_ascii()).map_err(|_| InvalidServiceAccountToken::Form)?;
    Ok(text.parse()?)
}

/// The path as it may be shown: a token that was written in its place does not get into a message.
fn shown(path: &Path) -> String {
    if path.is_absolute() { format!(" {}", path.display()) } else { String::new() }
}

#[cfg(test)]
mod tests;
