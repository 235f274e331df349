//! Reads all that a decision is made on: SPIRE's workloads and ConfigMaps, what is ours already,
//! the Secrets, and the operator's own image.

mod owned;
pub(crate) mod pods;
mod secret_versions;
mod secrets;
mod uncreated;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use k8s_openapi::api::core::v1::{ConfigMap, Pod};
use k8s_openapi::jiff::Timestamp;
use keylime_attestor_api::{KeylimeAttestor, OwnedObject};
use kube::ResourceExt as _;

use crate::cluster::{Cluster, Error};
use crate::configuration::original;
use crate::configuration::parent::config;
use crate::discover::{Discovered, discover, manager};
use crate::keylime_client::KeylimeClient;
use crate::model::agents::Agents;
use crate::model::node::Node;
use crate::model::problem::Problem;
use crate::model::target::{Asked, Owner, Role, only_key, text};
use crate::model::workload::{Kind, Workload, WorkloadKey};

/// What was found.
#[derive(Default)]
pub(crate) struct Gathered {
    /// For each workload that the resource names.
    pub(crate) found: BTreeMap<WorkloadKey, Found>,
    /// What may be spire-controller-manager in the server's pod.
    pub(crate) managers: Vec<FoundManager>,
    /// What carries something of this resource, as the status should say it.
    pub(crate) carrying: Vec<OwnedObject>,
    /// The workloads among them, named by the resource or not.
    pub(crate) ours: Vec<Workload>,
    /// The ConfigMaps among them.
    pub(crate) our_maps: Vec<ConfigMap>,
    /// By namespace and name: ConfigMaps of others where ours would be.
    pub(crate) foreign: BTreeSet<(String, String)>,
    /// The ConfigMaps of SPIRE that are edited in place, each with ours beside it.
    pub(crate) edits: Vec<Edited>,
    /// By namespace and name: the Secrets that SPIRE's pods mount.
    pub(crate) secrets: BTreeMap<(String, String), Presence>,
    /// What the operator itself asks Keylime with.
    pub(crate) keylime_client: Option<Arc<KeylimeClient>>,
    /// Pods of StatefulSets that are not complete, and of DaemonSets that move in batches.
    pub(crate) pods: BTreeMap<WorkloadKey, Vec<Pod>>,
    /// What Keylime and SPIRE say about the nodes, where agents move in batches.
    pub(crate) nodes: BTreeMap<String, Node>,
    /// What is known of the agents that may change, and of their nodes.
    pub(crate) agents: Agents,
    /// The workloads of whose pods one cannot be created, each with the reason.
    pub(crate) uncreated: BTreeMap<WorkloadKey, String>,
    /// The versions of the Secrets that SPIRE's pods mount, as a hash; nothing while one cannot be
    /// seen.
    pub(crate) secret_versions: Option<String>,
    /// Whether it is known which agents SPIRE has.
    pub(crate) knows_identities: bool,
    /// The operator's own image.
    pub(crate) image: Option<String>,
    /// Workloads that an older resource has, each with that resource.
    pub(crate) claims: BTreeMap<WorkloadKey, Owner>,
}

/// What was found of a workload that the resource names.
#[derive(Clone, Debug)]
pub(crate) struct Found {
    pub(crate) role: Role,
    pub(crate) workload: Option<Workload>,
    /// What was found in the workload, when there is one.
    pub(crate) discovered: Option<Result<Discovered, Problem>>,
    /// SPIRE's ConfigMap.
    pub(crate) source: Option<ConfigMap>,
    /// Ours beside it.
    pub(crate) beside: Option<ConfigMap>,
}

/// What may be spire-controller-manager.
#[derive(Clone, Debug)]
pub(crate) struct FoundManager {
    pub(crate) discovered: manager::Discovered,
    /// Its own ConfigMap.
    pub(crate) source: Option<ConfigMap>,
    /// Ours beside it.
    pub(crate) beside: Option<ConfigMap>,
}

impl FoundManager {
    /// The key of the configuration, and the configuration.
    pub(crate) fn entry(&self) -> Option<(&str, &str)> {
        let source = self.source.as_ref()?;
        let key = match &self.discovered.key {
            Some(key) => key,
            None => only_key(source)?,
        };
        Some((key, text(source, key)?))
    }
}

/// A ConfigMap of SPIRE that is edited in place.
#[derive(Clone, Debug)]
pub(crate) struct Edited {
    pub(crate) live: ConfigMap,
    /// Ours, which keeps the originals.
    pub(crate) beside: ConfigMap,
}

/// Whether a Secret can be mounted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Presence {
    There,
    Missing,
    /// What is wrong with its content.
    Incomplete(Vec<String>),
    /// The operator may not see it.
    Forbidden,
}

/// Reads everything for one resource.
///
/// # Errors
/// When the apiserver does not answer or refuses.
pub(crate) async fn gather(
    cluster: &Cluster,
    resource: &KeylimeAttestor,
    others: &[KeylimeAttestor],
    image: Option<String>,
) -> Result<Gathered, Error> {
    let owner = Owner::of(resource);
    let mut gathered = Gathered { image, claims: claims(resource, others), ..Gathered::default() };
    let status = resource.status.clone().unwrap_or_default();
    owned::read(cluster, &status, &mut gathered).await?;
    // What is elsewhere has nothing of ours.
    let asked = Asked::all(resource).into_iter();
    for asked in asked.filter(|asked| cluster.manages(&asked.key.namespace)) {
        let found = find(cluster, &mut gathered, &asked).await?;
        gathered.found.insert(asked.key, found);
    }
    gathered.managers = managers(cluster, resource, &mut gathered).await?;
    for beside in &gathered.our_maps {
        let Some(name) = original::source_of(beside).filter(|_| !original::edited(beside).is_empty()) else {
            continue;
        };
        let namespace = beside.namespace().unwrap_or_default();
        if let Some(live) = cluster.config_map(&namespace, name).await? {
            gathered.edits.push(Edited { live, beside: beside.clone() });
        }
    }
    gathered.uncreated = uncreated::of_rolling(cluster, &gathered, &status, Timestamp::now()).await;
    let in_batches = resource.spec.rollout.as_ref().is_some_and(|rollout| rollout.batch_size.is_some());
    gathered.pods = pods::of_unfinished(cluster, &gathered, in_batches).await?;
    if in_batches && gathered.pods.keys().any(|key| key.kind == Kind::DaemonSet) {
        let nodes = cluster.attested_nodes_of(&owner, |node| (node.name_any(), Node::of(node))).await?;
        gathered.nodes = nodes.into_iter().collect();
        gathered.knows_identities = resource.spec.enforcement.is_some();
    }
    if resource.metadata.deletion_timestamp.is_none() {
        (gathered.secrets, gathered.keylime_client) = secrets::secrets(cluster, resource).await?;
        gathered.secret_versions = secret_versions::hash(cluster, &gathered, &status).await;
    }
    Ok(gathered)
}

async fn find(cluster: &Cluster, gathered: &mut Gathered, asked: &Asked) -> Result<Found, Error> {
    let workload = cluster.workload(&asked.key).await?;
    let discovered = workload.as_ref().map(|workload| discover(asked, workload));
    let name = match &discovered {
        Some(Ok(discovered)) => Some(&discovered.config_map),
        _ => asked.config_map.as_ref().map(|config_map| &config_map.name),
    };
    let namespace = &asked.key.namespace;
    let (mut source, mut beside) = (None, None);
    if let Some(name) = name {
        source = cluster.config_map(namespace, name).await?;
        beside = owned::beside(cluster, gathered, namespace, name).await?;
    }
    Ok(Found { role: asked.role, workload, discovered, source, beside })
}

/// The containers beside SPIRE's server that may run spire-controller-manager. Of several that
/// nobody named, those whose configuration is not of its kind are others.
async fn managers(
    cluster: &Cluster,
    resource: &KeylimeAttestor,
    gathered: &mut Gathered,
) -> Result<Vec<FoundManager>, Error> {
    let asked = &resource.spec.spire.controller_manager;
    let server = gathered.found.values().find(|found| found.role == Role::Server);
    let Some((found, workload)) = server.and_then(|found| Some((found, found.workload.as_ref()?))) else {
        return Ok(Vec::new());
    };
    let spire = found.discovered.as_ref().and_then(|discovered| discovered.as_ref().ok());
    let candidates = manager::candidates(asked, workload, spire.map(|spire| spire.container.as_str()));
    let (named, namespace) = (asked.container.is_some(), workload.key.namespace.clone());
    let mut managers = Vec::new();
    for discovered in candidates {
        let source = cluster.config_map(&namespace, &discovered.config_map).await?;
        let beside = owned::beside(cluster, gathered, &namespace, &discovered.config_map).await?;
        let manager = FoundManager { discovered, source, beside };
        let is_one = manager.entry().is_some_and(|(_, text)| config::parent_id_template(text).is_ok());
        if named || is_one {
            managers.push(manager);
        }
    }
    Ok(managers)
}

/// The workloads of this resource that others have: who is in a workload's own namespace, where
/// its administrator has a say, before who is elsewhere; then the older one, then by name.
fn claims(resource: &KeylimeAttestor, others: &[KeylimeAttestor]) -> BTreeMap<WorkloadKey, Owner> {
    let mut claims = BTreeMap::new();
    for Asked { key, .. } in Asked::all(resource) {
        let asks = |other: &&KeylimeAttestor| Asked::all(other).iter().any(|asked| asked.key == key);
        let first = others.iter().filter(asks).min_by_key(|other| rank(other, &key));
        if let Some(other) = first.filter(|other| rank(other, &key) < rank(resource, &key)) {
            claims.insert(key, Owner::of(other));
        }
    }
    claims
}

fn rank(resource: &KeylimeAttestor, key: &WorkloadKey) -> (bool, Option<Timestamp>, Owner) {
    let owner = Owner::of(resource);
    (owner.namespace != key.namespace, resource.creation_timestamp().map(|time| time.0), owner)
}

#[cfg(test)]
mod tests;
