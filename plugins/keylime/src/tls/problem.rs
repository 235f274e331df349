//! The problems of a client's settings.

use std::fmt;
use std::path::{Path, PathBuf};

/// The longest path that is shown, in bytes. Longer ones are no paths of a person.
const MAX_PATH: usize = 1024;

/// A problem of a client's settings or of the files that they name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("failed to use the {setting}{}: {detail}", shown(.path))]
pub struct Problem {
    /// The setting.
    pub setting: Setting,
    /// The file, where the setting names one.
    pub path: Option<PathBuf>,
    /// The expected and the found content.
    pub detail: String,
}

/// A setting of a client, so that a program can name its own key for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Setting {
    /// The host or port of the verifier, of the registrar or of the agent.
    Endpoint,
    /// The CA certificates that sign the servers' certificates.
    CaFile,
    /// Our client certificate.
    CertFile,
    /// The key of our client certificate.
    KeyFile,
    /// The pinned certificate of the agent.
    PinnedFile,
    /// The name expected in the servers' certificates.
    ServerName,
    /// The longest time of a call.
    RequestTimeout,
}

impl Problem {
    pub(crate) fn new(setting: Setting, detail: impl fmt::Display) -> Problem {
        Problem { setting, path: None, detail: detail.to_string() }
    }

    pub(crate) fn in_file(setting: Setting, path: &Path, detail: impl fmt::Display) -> Problem {
        Problem { setting, path: Some(path.to_owned()), detail: detail.to_string() }
    }
}

impl fmt::Display for Setting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Setting::Endpoint => "host and port",
            Setting::CaFile => "CA file",
            Setting::CertFile => "certificate file",
            Setting::KeyFile => "key file",
            Setting::PinnedFile => "pinned certificate file",
            Setting::ServerName => "server name",
            Setting::RequestTimeout => "request timeout",
        })
    }
}

/// A path as it may be shown: content of a key file that was written in its place does not get into
/// a message.
fn shown(path: &Option<PathBuf>) -> String {
    let Some(path) = path else { return String::new() };
    let text = path.display().to_string();
    if text.len() > MAX_PATH || text.contains("-----") || text.chars().any(char::is_control) {
        return " (not shown: the setting holds no path but perhaps the content of a file)".to_owned();
    }
    format!(" {text}")
}
