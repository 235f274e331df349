//! The checksums of the plugins: of those beside this operator, and of the other architectures' by
//! what the image's build wrote down.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use ring::digest::{Context, SHA256};
use serde::Deserialize;

use crate::model::builds::Builds;
use crate::model::target::Role;

/// The file beside the plugins with the checksums of every architecture that the image is made for,
/// by operator/image/checksums.sh.
const FILE: &str = "checksums.json";

/// The longest such file: there are a dozen architectures.
const MAX_FILE: u64 = 64 << 10;

/// SHA-256 of both plugins, of each build that is known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Checksums {
    /// Of the plugins beside this operator.
    own: Build,
    /// By architecture, `own` among them; empty where the image does not tell.
    by_architecture: BTreeMap<String, Build>,
}

/// Both plugins of one build, each with its SHA-256 in hexadecimal.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
struct Build {
    #[serde(rename = "keylime-attestor-server")]
    server: String,
    #[serde(rename = "keylime-attestor-agent")]
    agent: String,
}

/// The reason why plugins have no checksum.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Unreadable {
    #[error(
        "failed to read the plugin {path}: {error}; the operator's image has it beside the operator, see --plugins-dir"
    )]
    Plugin { path: PathBuf, error: io::Error },
    #[error("failed to read {path}: {why}; operator/image/checksums.sh writes it")]
    File { path: PathBuf, why: String },
    #[error(
        "expected the plugins beside {path} to be of one of its builds ({known}), they are of none: the image is of two builds, make it anew"
    )]
    OtherBuild { path: PathBuf, known: String },
}

/// The image has no plugin of an architecture.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct NoBuild {
    pub(crate) asked: String,
    /// The architectures that it has plugins of.
    pub(crate) known: String,
}

impl Checksums {
    /// Reads both plugins in a folder, and what is written down there of other builds.
    pub(crate) fn read(folder: &Path) -> Result<Self, Unreadable> {
        let own = Build { server: checksum(folder, Role::Server)?, agent: checksum(folder, Role::Agent)? };
        let path = folder.join(FILE);
        let by_architecture = match File::open(&path) {
            Ok(file) => parse(file).map_err(|why| Unreadable::File { path: path.clone(), why })?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => BTreeMap::new(),
            Err(error) => return Err(Unreadable::File { path, why: error.to_string() }),
        };
        if !by_architecture.is_empty() && !by_architecture.values().any(|build| *build == own) {
            return Err(Unreadable::OtherBuild { path, known: listed(&by_architecture) });
        }
        Ok(Self { own, by_architecture })
    }

    /// Those of no build, where the plugins are not at hand: enough to show what depends on all else.
    pub(crate) fn unknown() -> Self {
        let none = "0".repeat(64);
        let own = Build { server: none.clone(), agent: none };
        Self { own, by_architecture: BTreeMap::new() }
    }

    /// The checksums of a plugin for pods of this architecture, or of any.
    ///
    /// # Errors
    /// When the image is known to have no plugin of the architecture.
    pub(crate) fn of(&self, role: Role, architecture: Option<&str>) -> Result<Builds<String>, NoBuild> {
        let all = &self.by_architecture;
        let one = |architecture: Option<&String>, build: &Build| Builds::One {
            architecture: architecture.cloned(),
            of: build.of(role).to_owned(),
        };
        match architecture {
            _ if all.is_empty() => Ok(one(None, &self.own)),
            Some(asked) => all
                .get_key_value(asked)
                .map(|(architecture, build)| one(Some(architecture), build))
                .ok_or_else(|| NoBuild { asked: asked.to_owned(), known: listed(all) }),
            None if all.len() == 1 => Ok(one(all.keys().next(), &self.own)),
            None => Ok(Builds::Each(
                all.iter().map(|(key, build)| (key.clone(), build.of(role).to_owned())).collect(),
            )),
        }
    }
}

impl Build {
    fn of(&self, role: Role) -> &str {
        match role {
            Role::Server => &self.server,
            Role::Agent => &self.agent,
        }
    }
}

fn listed(builds: &BTreeMap<String, Build>) -> String {
    builds.keys().map(String::as_str).collect::<Vec<_>>().join(", ")
}

/// The builds by architecture; at least one, each complete.
fn parse(file: File) -> Result<BTreeMap<String, Build>, String> {
    let mut text = String::new();
    let read = file.take(MAX_FILE + 1).read_to_string(&mut text).map_err(|error| error.to_string())?;
    if read as u64 > MAX_FILE {
        return Err(format!("expected at most {MAX_FILE} bytes"));
    }
    let builds: BTreeMap<String, Build> = serde_json::from_str(&text).map_err(|error| error.to_string())?;
    if builds.is_empty() {
        return Err("expected the checksums of an architecture, found none".to_owned());
    }
    let is_name = |name: &String| {
        (1..=32).contains(&name.len()) && name.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9'))
    };
    if let Some(name) = builds.keys().find(|name| !is_name(name)) {
        return Err(format!("expected architectures such as amd64, found {name:?}"));
    }
    let is_digest =
        |text: &str| text.len() == 64 && text.bytes().all(|byte| matches!(byte, b'a'..=b'f' | b'0'..=b'9'));
    let wrong = builds.iter().find(|(_, build)| !is_digest(&build.server) || !is_digest(&build.agent));
    match wrong {
        Some((name, _)) => Err(format!("expected 64 digits of SHA-256 for each plugin of {name}")),
        None => Ok(builds),
    }
}

fn checksum(folder: &Path, role: Role) -> Result<String, Unreadable> {
    let path = folder.join(role.plugin());
    sha256(&path).map_err(|error| Unreadable::Plugin { path, error })
}

fn sha256(path: &Path) -> io::Result<String> {
    let mut file = File::open(path)?;
    let mut context = Context::new(&SHA256);
    let mut buffer = vec![0; 64 * 1024];
    loop {
        let read = file.read(&mut buffer)?;
        if read == 0 {
            return Ok(hex::encode(context.finish()));
        }
        context.update(buffer.get(..read).unwrap_or_default());
    }
}
