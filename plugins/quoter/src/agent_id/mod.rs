//! The node's id in Keylime: given, or the one of Keylime's own configuration.

use std::fs::{self, File};
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use evidence::{AgentId, InvalidAgentId};
use tpm::AgentData;

/// Largest file of Keylime's configuration in bytes, and the most files in its folder.
const MAX_LEN: u64 = 256 * 1024;
const MAX_FILES: usize = 100;

/// Where the id comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Source {
    /// The command line, or Keylime's configuration.
    Given(AgentId),
    /// The hash of the EK in `agent_data.json`: Keylime's `hash_ek`.
    EkHash,
}

/// The reason why there is no id.
#[derive(Debug, thiserror::Error)]
pub(crate) enum IdError {
    #[error("failed to read Keylime's configuration {path:?}: {error}; make it readable, or give --agent-id")]
    Unreadable { path: PathBuf, error: io::Error },
    #[error(
        "failed to read Keylime's configuration {path:?}: expected at most {MAX_LEN} bytes; give --agent-id"
    )]
    TooLarge { path: PathBuf },
    #[error(
        "failed to read Keylime's configuration {path:?}: expected at most {MAX_FILES} files; give --agent-id"
    )]
    TooMany { path: PathBuf },
    #[error("failed to use the uuid of Keylime's configuration: {0}; set it to hash_ek, or give --agent-id")]
    Invalid(#[from] InvalidAgentId),
    #[error(
        "failed to use the uuid of Keylime's configuration: expected an id or hash_ek, got generate, which makes a new id at each start; set it to hash_ek"
    )]
    Generated,
    #[error(
        "failed to learn the node's id: agent_data.json holds no hash of the EK; give --agent-id, or start Keylime's agent again"
    )]
    NoEkHash,
}

impl Source {
    /// The id given, else the one of the configuration at `conf` and in the folder beside it.
    pub(crate) fn read(given: Option<AgentId>, conf: &Path) -> Result<Self, IdError> {
        if let Some(id) = given {
            return Ok(Self::Given(id));
        }
        let mut uuid = None;
        for file in files(conf)? {
            uuid = uuid_in(&read(&file)?).map(str::to_owned).or(uuid);
        }
        match uuid.as_deref() {
            None | Some("hash_ek" | "") => Ok(Self::EkHash),
            Some("generate") => Err(IdError::Generated),
            Some(id) => Ok(Self::Given(AgentId::new(id)?)),
        }
    }

    /// The id of the node with this data.
    pub(crate) fn id(&self, data: &AgentData) -> Result<AgentId, IdError> {
        match self {
            Self::Given(id) => Ok(id.clone()),
            Self::EkHash => data.ek_hash().cloned().ok_or(IdError::NoEkHash),
        }
    }
}

/// The configuration's files, in the order in which Keylime reads them: later ones win.
fn files(conf: &Path) -> Result<Vec<PathBuf>, IdError> {
    let folder = PathBuf::from(format!("{}.d", conf.display()));
    let unreadable = |error| IdError::Unreadable { path: folder.clone(), error };
    let mut snippets = Vec::new();
    match fs::read_dir(&folder) {
        Ok(entries) => {
            for entry in entries {
                if snippets.len() == MAX_FILES {
                    return Err(IdError::TooMany { path: folder });
                }
                snippets.push(entry.map_err(unreadable)?.path());
            }
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(unreadable(error)),
    }
    snippets.retain(|path| path.extension().is_some_and(|extension| extension == "conf"));
    snippets.sort();
    Ok([vec![conf.to_owned()], snippets].concat())
}

/// The file's text. One that is not there is empty.
fn read(path: &Path) -> Result<String, IdError> {
    let mut text = String::new();
    let read = File::open(path).and_then(|file| file.take(MAX_LEN + 1).read_to_string(&mut text));
    match read {
        Ok(length) if u64::try_from(length).is_ok_and(|length| length > MAX_LEN) => {
            Err(IdError::TooLarge { path: path.to_owned() })
        }
        Ok(_) => Ok(text),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(String::new()),
        Err(error) => Err(IdError::Unreadable { path: path.to_owned(), error }),
    }
}

/// The value of `uuid` in the section `[agent]`. The file is TOML, and this value one short text:
/// anything else that stands there is no id, and is refused as one.
fn uuid_in(text: &str) -> Option<&str> {
    let mut in_section = false;
    let mut found = None;
    for line in text.lines().map(str::trim) {
        if line.starts_with('[') {
            in_section = line.split('#').next().is_some_and(|line| line.trim() == "[agent]");
        } else if let Some((key, value)) = line.split_once('=').filter(|_| in_section)
            && key.trim() == "uuid"
        {
            found = Some(unquoted(value.trim()));
        }
    }
    found
}

fn unquoted(value: &str) -> &str {
    let quoted = |quote: char| value.strip_prefix(quote)?.split(quote).next();
    let bare = || value.split('#').next().unwrap_or_default().trim();
    quoted('"').or_else(|| quoted('\'')).unwrap_or_else(bare)
}

#[cfg(test)]
mod tests;
