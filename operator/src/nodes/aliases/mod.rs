//! The node aliases in the cluster: `ClusterStaticEntry`s of which spire-controller-manager makes
//! entries. Each is owned by its Node, and goes with it.
//!
//! A Node has one for the agent that proves it. Until that agent has attested it has another for its
//! former agent, so that workloads keep their identities through the switch; from then on it has
//! none, lest a node that Keylime fails come back by its former attestor.

use std::collections::BTreeMap;
use std::sync::Arc;

use futures_util::StreamExt as _;
use keylime_attestor_api::names::{FIELD_MANAGER, label};
use kube::api::{ApiResource, DeleteParams, DynamicObject, GroupVersionKind, ListParams, Patch, PatchParams};
use kube::runtime::watcher;
use kube::{Api, ResourceExt as _};
use serde_json::{Value, json};

use super::cache::{Cache, NotCached, why};
use super::facts::{AttestedNodeFacts, NodeFacts};
use super::{Nodes, lock, write};
use crate::cluster::{Cluster, Error};
use crate::model::alias::{Agents, Aliases, Aliasing, Entry};
use crate::model::target::Owner;

/// The entries by name.
type Entries = BTreeMap<String, Arc<EntryFacts>>;

/// What aliases a resource is to have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Wanted {
    pub(crate) aliases: Aliases,
    pub(crate) former: Former,
}

/// Which Nodes have an alias for their former agent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Former {
    /// Those that have not attested by Keylime.
    UntilAttested,
    /// All: their agents are being given back what they had.
    All,
    /// None: SPIRE's server admits no former agent.
    None,
}

/// The facts about a `ClusterStaticEntry`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct EntryFacts {
    owner: Option<Owner>,
    /// Name and UID of the Node that owns it.
    node: (String, String),
    entry: Entry,
}

/// The watch of our own entries.
pub(super) fn watch(cluster: &Cluster) -> Cache<EntryFacts> {
    let labels = format!("{}={FIELD_MANAGER}", label::MANAGED_BY);
    Cache::start(api(cluster), watcher::Config::default().labels(&labels), EntryFacts::read)
}

fn api(cluster: &Cluster) -> Api<DynamicObject> {
    let kind = GroupVersionKind::gvk("spire.spiffe.io", "v1alpha1", "ClusterStaticEntry");
    let resource = ApiResource::from_gvk_with_plural(&kind, "clusterstaticentries");
    Api::all_with(cluster.client.clone(), &resource)
}

/// Whether aliases can be made, for who watches nothing.
pub(crate) async fn ask(cluster: &Cluster) -> Aliasing {
    let listed = api(cluster).list_metadata(&ListParams::default().limit(1)).await;
    let listed = listed.map(drop).map_err(|error| why(&watcher::Error::InitialListFailed(error)));
    aliasing(listed).unwrap_or_default()
}

impl Nodes {
    /// Whether aliases can be made; [`None`] where that is not known yet. An apiserver that fails for
    /// a while is no reason to give workloads other parents.
    pub(crate) fn aliasing(&self) -> Option<Aliasing> {
        aliasing(self.entries.all().map(drop))
    }

    /// Gives all Nodes of the cluster the aliases that a resource wants, now and with each poll.
    ///
    /// # Errors
    /// The apiserver's refusal, or that it is away.
    pub(crate) async fn alias(&self, owner: &Owner, wanted: Wanted) -> Result<(), Error> {
        lock(&self.tracked(owner).latest).aliases = Some(wanted);
        self.keep_aliases(owner).await
    }

    /// The same, as it was wanted last.
    pub(super) async fn keep_aliases(&self, owner: &Owner) -> Result<(), Error> {
        let Some(wanted) = lock(&self.tracked(owner).latest).aliases.clone() else { return Ok(()) };
        let (nodes, attested_nodes, entries) =
            (self.nodes.all(), self.attested_nodes.all(), self.entries.all());
        // Not cached yet: the next call has it.
        let (Ok(nodes), Ok(attested_nodes), Ok(entries)) = (nodes, attested_nodes, entries) else {
            return Ok(());
        };
        let desired = desired(owner, &wanted, &nodes, &attested_nodes);
        self.write_aliases(changes(owner, &desired, &entries)).await
    }

    /// Has the former agents of all Nodes with an alias be taken in again, before they come back.
    ///
    /// # Errors
    /// The apiserver's refusal, or that it is away.
    pub(crate) async fn alias_former_agents(&self, owner: &Owner) -> Result<(), Error> {
        lock(&self.tracked(owner).latest).aliases = None;
        let Ok(entries) = self.entries.all() else { return Ok(()) };
        let own = entries.values().filter(|facts| facts.owner.as_ref() == Some(owner));
        let former = own.filter_map(|facts| {
            let facts = EntryFacts { entry: facts.entry.former()?, ..(**facts).clone() };
            Some((name(owner, &facts.node.1, Agents::Former), facts))
        });
        let changes = changes(owner, &former.collect(), &entries);
        self.write_aliases(Changes { surplus: Vec::new(), ..changes }).await
    }

    /// Takes all aliases of a resource away, whose workloads have other parents. True when none was
    /// left.
    ///
    /// # Errors
    /// The apiserver's refusal, or that it is away.
    pub(crate) async fn unalias(&self, owner: &Owner) -> Result<bool, Error> {
        lock(&self.tracked(owner).latest).aliases = None;
        let Ok(entries) = self.entries.all() else { return Ok(true) };
        let changes = changes(owner, &BTreeMap::new(), &entries);
        let none_left = changes.surplus.is_empty();
        self.write_aliases(changes).await?;
        Ok(none_left)
    }

    /// Writes what differs: first what is missing, then what is too much.
    async fn write_aliases(&self, changes: Changes) -> Result<(), Error> {
        let api = api(&self.cluster);
        let params = PatchParams::apply(FIELD_MANAGER).force();
        let (api, params) = (&api, &params);
        let applied = changes.missing.into_iter().map(async |(name, object)| {
            let what = format!("the ClusterStaticEntry {name}");
            api.patch(&name, params, &Patch::Apply(object)).await.map(drop).map_err(Error::api("apply", what))
        });
        each(applied).await?;
        let deleted = changes.surplus.into_iter().map(async |name| {
            let what = format!("the ClusterStaticEntry {name}");
            let deleted = api.delete(&name, &DeleteParams::default()).await.map(drop);
            write::gone_is_fine(deleted.map_err(Error::api("delete", what)))
        });
        each(deleted).await
    }
}

fn aliasing(listed: Result<(), NotCached>) -> Option<Aliasing> {
    match listed {
        Ok(()) => Some(Aliasing::Possible),
        Err(NotCached::NotYet | NotCached::Failed(_)) => None,
        Err(error @ (NotCached::NoKind | NotCached::Forbidden(_))) => {
            Some(Aliasing::Impossible(format!("ClusterStaticEntries: {error}")))
        }
    }
}

/// Carries out requests, several at a time; the first failure, after all of them.
async fn each(requests: impl Iterator<Item = impl Future<Output = Result<(), Error>>>) -> Result<(), Error> {
    let mut done = std::pin::pin!(futures_util::stream::iter(requests).buffer_unordered(write::CONCURRENCY));
    let mut failed = Ok(());
    while let Some(result) = done.next().await {
        failed = failed.and(result);
    }
    failed
}

/// The entries to apply, by name, and the names of those to delete.
#[derive(Debug, Default, PartialEq)]
struct Changes {
    missing: Vec<(String, Value)>,
    surplus: Vec<String>,
}

/// What brings the entries of a resource to those that it is to have.
fn changes(owner: &Owner, desired: &BTreeMap<String, EntryFacts>, entries: &Entries) -> Changes {
    let differs = |name: &String, facts: &EntryFacts| {
        let same = |found: &Arc<EntryFacts>| found.entry == facts.entry && found.owner == facts.owner;
        !entries.get(name).is_some_and(same)
    };
    let missing = desired.iter().filter(|(name, facts)| differs(name, facts));
    let missing = missing.map(|(name, facts)| (name.clone(), facts.object(name))).collect();
    let own = entries.iter().filter(|(_, facts)| facts.owner.as_ref() == Some(owner)).map(|(name, _)| name);
    Changes { missing, surplus: own.filter(|name| !desired.contains_key(*name)).cloned().collect() }
}

/// The entries of all Nodes, by name.
fn desired(
    owner: &Owner,
    wanted: &Wanted,
    nodes: &BTreeMap<String, Arc<NodeFacts>>,
    attested_nodes: &BTreeMap<String, Arc<AttestedNodeFacts>>,
) -> BTreeMap<String, EntryFacts> {
    let mut desired = BTreeMap::new();
    for node in nodes.values() {
        let known = attested_nodes.get(&node.name).filter(|known| {
            known.owner.as_ref() == Some(owner) && known.node_uid.as_ref() == Some(&node.uid)
        });
        let status = known.and_then(|known| known.status.as_ref());
        // As it was written down, not as the Node says.
        let attested =
            status.filter(|status| status.marks.label.is_some() || status.marks.spiffe_id.is_some());
        let unproven = attested.filter(|status| status.binding.is_none());
        let named = unproven.and_then(|status| status.agent_id.as_deref()).map(Agents::Named);
        let former = match wanted.former {
            Former::UntilAttested => attested.is_none(),
            Former::All => true,
            Former::None => false,
        };
        let agents = [Some(Agents::Proven), named, former.then_some(Agents::Former)];
        for agents in agents.into_iter().flatten() {
            let entry = wanted.aliases.entry(&node.uid, agents);
            let node_of = (node.name.clone(), node.uid.clone());
            let facts = EntryFacts { owner: Some(owner.clone()), node: node_of, entry };
            desired.insert(name(owner, &node.uid, agents), facts);
        }
    }
    desired
}

/// The name of an entry: another one for each resource, since each has a SPIRE server of its own.
fn name(owner: &Owner, node_uid: &str, agents: Agents<'_>) -> String {
    let owner = ring::digest::digest(&ring::digest::SHA256, owner.to_string().as_bytes());
    let owner: String = hex::encode(owner).chars().take(8).collect();
    format!("keylime-attestor-{owner}-{node_uid}-{}", agents.suffix())
}

impl EntryFacts {
    fn read(object: DynamicObject) -> Self {
        let label = |key: &str| object.labels().get(key).cloned();
        let owner = label(label::ATTESTOR_NAMESPACE).zip(label(label::ATTESTOR_NAME));
        let node = object.owner_references().iter().find(|owner| owner.kind == "Node");
        Self {
            owner: owner.map(|(namespace, name)| Owner { namespace, name }),
            node: node.map(|node| (node.name.clone(), node.uid.clone())).unwrap_or_default(),
            entry: object.data.get("spec").map(Entry::read).unwrap_or_default(),
        }
    }

    fn object(&self, name: &str) -> Value {
        let (node, uid) = &self.node;
        let owner = self.owner.iter().flat_map(|owner| {
            [(label::ATTESTOR_NAMESPACE, &owner.namespace), (label::ATTESTOR_NAME, &owner.name)]
        });
        let owner = owner.map(|(key, value)| (key, value.as_str()));
        let labels: BTreeMap<&str, &str> = owner.chain([(label::MANAGED_BY, FIELD_MANAGER)]).collect();
        json!({
            "apiVersion": "spire.spiffe.io/v1alpha1",
            "kind": "ClusterStaticEntry",
            "metadata": {
                "name": name,
                "labels": labels,
                "ownerReferences": [{"apiVersion": "v1", "kind": "Node", "name": node, "uid": uid}],
            },
            "spec": self.entry.spec(),
        })
    }
}

#[cfg(test)]
mod tests;
