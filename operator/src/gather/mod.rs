//! Reads the inputs of a decision: SPIRE's workloads and ConfigMaps, our own objects, the Secrets,
//! and the operator's own image.

mod owned;
pub(crate) mod pods;
mod report_identity;
mod review;
mod secret_versions;
mod secrets;
mod uncreated;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::core::v1::{ConfigMap, Pod};
use k8s_openapi::jiff::Timestamp;
use keylime::KeyHash;
use keylime_attestor_api::{KeylimeAttestor, OwnedObject};
use kube::ResourceExt as _;

use crate::certificate::Certificate;
use crate::cluster::{Cluster, Error};
use crate::configuration::original;
use crate::configuration::parent::config;
use crate::discover::{Discovered, discover, manager};
use crate::keylime_client::KeylimeClient;
use crate::model::agents::Agents;
use crate::model::alias::Aliasing;
use crate::model::binding::Review;
use crate::model::node::Node;
use crate::model::problem::Problem;
use crate::model::target::{Asked, Owner, Role, only_key, text};
use crate::model::workload::{Kind, Workload, WorkloadKey};

/// The gathered objects of a resource.
#[derive(Default)]
pub(crate) struct Gathered {
    /// The workloads that the resource names.
    pub(crate) found: BTreeMap<WorkloadKey, Found>,
    /// The candidates for spire-controller-manager in the server's pod.
    pub(crate) managers: Vec<FoundManager>,
    /// The objects that carry something of this resource, for its status.
    pub(crate) carrying: Vec<OwnedObject>,
    /// The workloads among them, named by the resource or not.
    pub(crate) ours: Vec<Workload>,
    /// The ConfigMaps among them.
    pub(crate) our_maps: Vec<ConfigMap>,
    /// The ConfigMaps of others in the place of ours, by namespace and name.
    pub(crate) foreign: BTreeSet<(String, String)>,
    /// The ConfigMaps of SPIRE that are edited in place, each with ours beside it.
    pub(crate) edits: Vec<Edited>,
    /// The Secrets that SPIRE's pods mount, by namespace and name.
    pub(crate) secrets: BTreeMap<(String, String), Presence>,
    /// The key by which the report knows the operator; [`None`] where nothing is reported.
    pub(crate) report_client: Option<Result<KeyHash, Problem>>,
    /// Whether SPIRE's server can have the tokens of its agents' pods reviewed.
    pub(crate) review: Review,
    /// The client certificate for Keylime in the Secret beside SPIRE's server, if it can be read.
    pub(crate) client_certificate: Option<Certificate>,
    /// Whether node aliases can be made.
    pub(crate) aliasing: Aliasing,
    /// The operator's own client of Keylime; [`None`] without a usable Secret.
    pub(crate) keylime_client: Option<Arc<KeylimeClient>>,
    /// The pods of StatefulSets that are not complete, and of DaemonSets that move in batches.
    pub(crate) pods: BTreeMap<WorkloadKey, Vec<Pod>>,
    /// The standing of the nodes, where agents move in batches.
    pub(crate) nodes: BTreeMap<String, Node>,
    /// The agents that may change, and their nodes.
    pub(crate) agents: Agents,
    /// The workloads with a pod that cannot be created, each with the reason.
    pub(crate) uncreated: BTreeMap<WorkloadKey, String>,
    /// A hash over the versions of the Secrets that SPIRE's pods mount; [`None`] where none is
    /// read.
    pub(crate) secret_versions: Option<String>,
    /// What still needs other attestors than ours in SPIRE's server, as far as the nodes' loop
    /// knows; [`None`] where it was not asked.
    pub(crate) needs: Option<Vec<String>>,
    /// The nodes that are on their way to an identity by Keylime, or have one, and did not prove
    /// themselves by a token yet; [`None`] where SPIRE's server does not tell.
    pub(crate) unbound: Option<Vec<String>>,
    /// How long all agents have run with the plugin, by the status; [`None`] where they do not.
    pub(crate) agents_run_for: Option<Duration>,
    /// True where the agents of SPIRE are known.
    pub(crate) knows_identities: bool,
    /// The operator's own image.
    pub(crate) image: Option<String>,
    /// The workloads that another resource has before this one, each with that resource.
    pub(crate) claims: BTreeMap<WorkloadKey, Owner>,
}

/// A workload that the resource names, with its ConfigMaps.
#[derive(Clone, Debug)]
pub(crate) struct Found {
    pub(crate) role: Role,
    pub(crate) workload: Option<Workload>,
    /// Its container and configuration; [`None`] without a workload.
    pub(crate) discovered: Option<Result<Discovered, Problem>>,
    /// SPIRE's ConfigMap.
    pub(crate) source: Option<ConfigMap>,
    /// Our ConfigMap beside it.
    pub(crate) beside: Option<ConfigMap>,
}

/// A candidate for spire-controller-manager, with its ConfigMaps.
#[derive(Clone, Debug)]
pub(crate) struct FoundManager {
    pub(crate) discovered: manager::Discovered,
    /// Its own ConfigMap.
    pub(crate) source: Option<ConfigMap>,
    /// Our ConfigMap beside it.
    pub(crate) beside: Option<ConfigMap>,
}

impl FoundManager {
    /// The key and the text of the configuration.
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
    /// Our ConfigMap, which keeps the originals.
    pub(crate) beside: ConfigMap,
}

/// The state of a Secret that is to be mounted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Presence {
    There,
    Missing,
    /// The problems of its content.
    Incomplete(Vec<String>),
    /// The operator has no right to read it.
    Forbidden,
}

/// Reads the objects of one resource.
///
/// # Errors
/// The apiserver's refusal, or that it is away.
pub(crate) async fn gather(
    cluster: &Cluster,
    resource: &KeylimeAttestor,
    others: &[KeylimeAttestor],
    image: Option<String>,
) -> Result<Gathered, Error> {
    let owner = Owner::of(resource);
    let mut gathered = Gathered { image, claims: claims(resource, others), ..Gathered::default() };
    let status = resource.status.clone().unwrap_or_default();
    // First our own objects: a ConfigMap of our name that is not among them counts as foreign.
    owned::read(cluster, &status, &mut gathered).await?;
    // A workload of a namespace that is not managed has nothing of ours, and may not be read.
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
        match cluster.attested_nodes_of(&owner, |node| (node.name_any(), Node::of(node))).await {
            Ok(nodes) => gathered.nodes = nodes.into_iter().collect(),
            // Their CRD is not there yet, which `check` has to go on with.
            Err(error) if cluster.dry_run && error.is_not_found() => {}
            Err(error) => return Err(error),
        }
        gathered.knows_identities = resource.spec.enforcement.is_some();
    }
    if resource.metadata.deletion_timestamp.is_none() {
        let identity = match resource.spec.enforcement {
            Some(_) => Some(report_identity::report_identity(cluster).await?),
            None => None,
        };
        let usable = identity.as_ref().and_then(|identity| identity.as_ref().ok());
        let secrets = secrets::secrets(cluster, resource, usable).await?;
        gathered.client_certificate = secrets.client_certificate;
        (gathered.secrets, gathered.keylime_client) = (secrets.present, secrets.keylime_client);
        gathered.report_client = identity.map(|identity| identity.map(|identity| identity.key_hash()));
        gathered.review = review::review(cluster, resource, &gathered).await?;
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

/// The candidates for spire-controller-manager beside SPIRE's server. Without a name in the
/// resource, a container counts only with a configuration of its kind.
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

/// The workloads of this resource that others have. A resource in a workload's own namespace, where
/// its administrator has a say, goes before one elsewhere; then the older one, then by name.
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
