//! Of SPIRE's configurations for several architectures, the one for this program's own: a link to
//! it where SPIRE looks. Done by an init container, which alone knows the node that it is on.

use std::fmt;
use std::fs;
use std::io;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

/// The name of the link in the directory that the program is installed into.
const LINK: &str = "configuration";

/// The link, with what it leads to.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Linked {
    link: PathBuf,
    own: PathBuf,
}

/// The reason why there is no link.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error(
        "expected a configuration for this architecture, {}, in {}, found those for {}: give SPIRE's nodes an image that was made for all of their architectures",
        architecture(), configurations.display(), found
    )]
    Missing { configurations: PathBuf, found: String },
    #[error("failed to read {}: {cause}; expected a directory with one for each architecture", configurations.display())]
    Read { configurations: PathBuf, cause: io::Error },
    #[error("failed to make the link {}: {cause}; expected a directory that can be written", link.display())]
    Link { link: PathBuf, cause: io::Error },
}

/// Links, in `directory`, to the folder of this program's architecture in `configurations`.
pub(crate) fn link(configurations: &Path, directory: &Path) -> Result<Linked, Error> {
    let own = configurations.join(architecture());
    if !own.is_dir() {
        let found = found(configurations)?;
        return Err(Error::Missing { configurations: configurations.to_owned(), found });
    }
    let link = directory.join(LINK);
    let failed = |cause| Error::Link { link: link.clone(), cause };
    if !fs::read_link(&link).is_ok_and(|there| there == own) {
        let made = tempfile::Builder::new().make_in(directory, |path| symlink(&own, path)).map_err(failed)?;
        made.into_temp_path().persist(&link).map_err(|error| failed(error.error))?;
    }
    Ok(Linked { link, own })
}

/// The architecture that this program was built for, as Kubernetes names it.
fn architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}

fn found(configurations: &Path) -> Result<String, Error> {
    let failed = |cause| Error::Read { configurations: configurations.to_owned(), cause };
    let entries = fs::read_dir(configurations).map_err(failed)?;
    let names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    // A mounted ConfigMap has folders of its own, whose names begin so.
    let mut names: Vec<String> = names.filter(|name| !name.starts_with("..")).collect();
    names.sort();
    Ok(if names.is_empty() { "none".to_owned() } else { names.join(", ") })
}

impl fmt::Display for Linked {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} -> {}", self.link.display(), self.own.display())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Configurations for these architectures, and an empty directory.
    fn folders(architectures: &[&str]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("to")).unwrap();
        for architecture in architectures {
            let own = folder.path().join("of").join(architecture);
            fs::create_dir_all(&own).unwrap();
            fs::write(own.join("agent.conf"), architecture).unwrap();
        }
        folder
    }

    #[test]
    fn each_architecture_finds_its_own() {
        let folder = folders(&[architecture(), "other"]);
        let (of, to) = (folder.path().join("of"), folder.path().join("to"));
        // Once more, as after a restart of the pod; and where something else is in its place.
        for before in [None, None, Some("elsewhere")] {
            if let Some(before) = before {
                fs::remove_file(to.join("configuration")).unwrap();
                symlink(before, to.join("configuration")).unwrap();
            }
            link(&of, &to).unwrap();
            let read = fs::read_to_string(to.join("configuration/agent.conf")).unwrap();
            assert_eq!(read, architecture());
            assert_eq!(fs::read_dir(&to).unwrap().count(), 1);
        }
    }

    #[test]
    fn without_its_own_there_is_no_link() {
        let folder = folders(&["other", "..data"]);
        let (of, to) = (folder.path().join("of"), folder.path().join("to"));
        let error = link(&of, &to).unwrap_err().to_string();
        assert!(error.contains(architecture()) && error.contains("found those for other:"), "{error}");
        let error = link(&folder.path().join("none"), &to).unwrap_err().to_string();
        assert!(error.contains("failed to read"), "{error}");
        assert_eq!(fs::read_dir(&to).unwrap().count(), 0);
    }
}
