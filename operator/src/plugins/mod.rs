//! The plugins beside this operator: their checksums, and the image from which SPIRE's pods install
//! them.

mod checksums;

use k8s_openapi::api::core::v1::Pod;

pub(crate) use checksums::{Checksums, NoBuild};

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
