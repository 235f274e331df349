//! The versions of the Secrets that SPIRE's pods mount: a rollout that failed may have failed
//! because of one, and is tried again with another.

use keylime_attestor_api::{KeylimeAttestorStatus, RolloutState};
use ring::digest::{SHA256, digest};

use super::Gathered;
use crate::cluster::Cluster;

/// A hash over the versions that the operator may read; [`None`] where it may read none. Not read
/// while every rollout is complete or waiting: nothing would use it.
pub(super) async fn hash(
    cluster: &Cluster,
    gathered: &Gathered,
    status: &KeylimeAttestorStatus,
) -> Option<String> {
    let mut rollouts =
        status.server.iter().chain(&status.agents).filter_map(|workload| workload.rollout.as_ref());
    if rollouts.all(|rollout| matches!(rollout.state, RolloutState::Complete | RolloutState::Waiting)) {
        return None;
    }
    let mut seen = Vec::new();
    for (namespace, name) in gathered.secrets.keys() {
        if let Ok(version) = cluster.secret_version(namespace, name).await {
            seen.push(format!("{namespace}/{name} {}", version.unwrap_or_default()));
        }
    }
    (!seen.is_empty()).then(|| hex::encode(digest(&SHA256, seen.join("\n").as_bytes())))
}
