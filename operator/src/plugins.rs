//! The plugins that this operator came with: their checksums, and the image that SPIRE's pods
//! install them from.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use k8s_openapi::api::core::v1::Pod;
use ring::digest::{Context, SHA256};

use crate::model::target::Role;

/// SHA-256 of both plugins, in hexadecimal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Checksums {
    server: String,
    agent: String,
}

/// Why a plugin has no checksum.
#[derive(Debug, thiserror::Error)]
#[error(
    "failed to read the plugin {path}: {error}; the operator's image has it beside the operator, see --plugins-dir"
)]
pub(crate) struct Unreadable {
    path: PathBuf,
    error: io::Error,
}

impl Checksums {
    /// Reads both plugins in a folder.
    pub(crate) fn read(folder: &Path) -> Result<Self, Unreadable> {
        Ok(Self { server: checksum(folder, Role::Server)?, agent: checksum(folder, Role::Agent)? })
    }

    pub(crate) fn of(&self, role: Role) -> &str {
        match role {
            Role::Server => &self.server,
            Role::Agent => &self.agent,
        }
    }
}

fn checksum(folder: &Path, role: Role) -> Result<String, Unreadable> {
    let path = folder.join(role.plugin());
    sha256(&path).map_err(|error| Unreadable { path, error })
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

/// The image of a container in the operator's pod: by digest where the kubelet names one, else as
/// the pod asks for it.
///
/// The container is the one called like this program, or else the first.
pub(crate) fn image(pod: &Pod) -> Option<String> {
    let containers = &pod.spec.as_ref()?.containers;
    let named = containers.iter().find(|container| container.name == env!("CARGO_PKG_NAME"));
    let container = named.or(containers.first())?;
    let asked = container.image.clone()?;
    let statuses = pod.status.as_ref().and_then(|status| status.container_statuses.as_ref());
    let status = statuses.into_iter().flatten().find(|status| status.name == container.name);
    Some(status.and_then(|status| pinned(&asked, &status.image_id)).unwrap_or(asked))
}

/// The image asked for with the digest that the kubelet resolved. What it gives may be the id of an
/// image that was never in a registry, a bare digest, which nothing can be pulled by.
fn pinned(asked: &str, image_id: &str) -> Option<String> {
    if asked.contains('@') {
        return None;
    }
    let id = image_id.rsplit_once("://").map_or(image_id, |(_, id)| id);
    let (repository, digest) = id.split_once('@')?;
    let well_formed = digest.strip_prefix("sha256:").is_some_and(|hex| hex.len() == 64);
    (well_formed && !repository.is_empty()).then(|| id.to_owned())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn digest() -> String {
        format!("sha256:{}", "a1".repeat(32))
    }

    #[test]
    fn the_image_is_taken_by_digest_where_there_is_one() {
        let digest = digest();
        for (asked, id, expected) in [
            ("r/k:1", format!("r/k@{digest}"), format!("r/k@{digest}")),
            ("r/k:1", format!("docker-pullable://r/k@{digest}"), format!("r/k@{digest}")),
            ("localhost/k:lab", digest.clone(), "localhost/k:lab".to_owned()),
            ("r/k:1", String::new(), "r/k:1".to_owned()),
            ("r/k:1", "r/k@sha256:short".to_owned(), "r/k:1".to_owned()),
            (&format!("r/k@{digest}"), format!("other/k@{digest}"), format!("r/k@{digest}")),
        ] {
            let pod = serde_json::from_value(json!({
                "metadata": {},
                "spec": {"containers": [
                    {"name": "sidecar", "image": "x"},
                    {"name": "keylime-attestor-operator", "image": asked},
                ]},
                "status": {"containerStatuses": [
                    {"name": "keylime-attestor-operator", "image": asked, "imageID": id, "ready": true, "restartCount": 0},
                ]},
            }));
            assert_eq!(image(&pod.unwrap()), Some(expected));
        }
        assert_eq!(image(&Pod::default()), None);
    }

    #[test]
    fn checksums_are_of_the_files() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("keylime-attestor-server"), "abc").unwrap();
        let error = Checksums::read(folder.path()).unwrap_err().to_string();
        assert!(error.contains("keylime-attestor-agent"), "{error}");
        std::fs::write(folder.path().join("keylime-attestor-agent"), "").unwrap();
        let checksums = Checksums::read(folder.path()).unwrap();
        assert_eq!(
            checksums.of(Role::Server),
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
        );
        assert_eq!(
            checksums.of(Role::Agent),
            "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
        );
    }
}
