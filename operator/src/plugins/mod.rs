//! The plugins beside this operator: their checksums, and the image from which SPIRE's pods install
//! them.

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

/// The reason why a plugin has no checksum.
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

    /// Those of no build, where the plugins are not at hand: enough to show what depends on all else.
    pub(crate) fn unknown() -> Self {
        let none = "0".repeat(64);
        Self { server: none.clone(), agent: none }
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

/// The image of a container in the operator's pod: by digest where the kubelet names one, otherwise
/// as the pod asks for it.
///
/// The container is the one called like this program, or otherwise the first.
pub(crate) fn image(pod: &Pod) -> Option<String> {
    let containers = &pod.spec.as_ref()?.containers;
    let named = containers.iter().find(|container| container.name == env!("CARGO_PKG_NAME"));
    let container = named.or(containers.first())?;
    let asked = container.image.clone()?;
    let statuses = pod.status.as_ref().and_then(|status| status.container_statuses.as_ref());
    let status = statuses.into_iter().flatten().find(|status| status.name == container.name);
    Some(status.and_then(|status| pinned(&asked, &status.image_id)).unwrap_or(asked))
}

/// The image asked for with the digest that the kubelet resolved. The kubelet may give the id of an
/// image that was never in a registry: a bare digest, by which nothing can be pulled.
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
mod tests;
