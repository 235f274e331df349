//! Lists of objects, of a resource's own and of everybody's.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::Node;
use keylime_attestor_api::{AttestedNode, KeylimeAttestor, names};
use kube::ResourceExt as _;
use kube::api::{Api, ListParams, ObjectList};
use kube::core::PartialObjectMeta;
use serde::de::DeserializeOwned;

use super::{Cluster, Error};
use crate::model::target::Owner;

/// Objects in one page of a long list.
const PAGE: u32 = 500;

/// The same for objects that anybody can make, each with up to 256 KiB of annotations.
pub(crate) const PAGE_OF_ANYBODYS: u32 = 50;

impl Cluster {
    /// The AttestedNodes of a resource, as `keep` reduces them.
    pub(crate) async fn attested_nodes_of<T>(
        &self,
        owner: &Owner,
        keep: impl Fn(&AttestedNode) -> T,
    ) -> Result<Vec<T>, Error> {
        let api = Api::all(self.client.clone());
        in_pages(&api, &owned_by(owner), "AttestedNodes", |node| keep(&node)).await
    }

    /// The names of all objects that a label selector selects.
    pub(crate) async fn names<K>(
        &self,
        api: &Api<K>,
        selector: &str,
        what: &str,
    ) -> Result<Vec<String>, Error>
    where
        K: Clone + DeserializeOwned + std::fmt::Debug + kube::Resource,
    {
        in_pages(api, selector, what, |object: K| kube::ResourceExt::name_any(&object)).await
    }

    /// The architecture of each Node that tells it, by name.
    pub(crate) async fn architectures(&self) -> Result<BTreeMap<String, String>, Error> {
        let api = Api::<Node>::all(self.client.clone());
        let told =
            |node: Node| Some((node.name_any(), node.labels().get(names::label::ARCHITECTURE)?.clone()));
        Ok(in_pages(&api, "", "nodes", told).await?.into_iter().flatten().collect())
    }

    /// The metadata of each KeylimeAttestor of every namespace, as `keep` reduces it. Their number
    /// and content are up to anybody who may make them.
    pub(crate) async fn attestors_everywhere<T>(
        &self,
        keep: impl Fn(PartialObjectMeta<KeylimeAttestor>) -> Option<T>,
    ) -> Result<Vec<T>, Error> {
        let api = Api::<KeylimeAttestor>::all(self.client.clone());
        let mut params = ListParams::default().limit(PAGE_OF_ANYBODYS);
        let mut kept = Vec::new();
        loop {
            let list = api.list_metadata(&params).await.map_err(Error::api("list", "KeylimeAttestors"))?;
            kept.extend(list.items.into_iter().filter_map(&keep));
            match list.metadata.continue_.filter(|token| !token.is_empty()) {
                Some(token) => params = params.continue_token(&token),
                None => return Ok(kept),
            }
        }
    }
}

/// Lists page by page, so that only one page of any number of objects is held in full.
pub(super) async fn in_pages<K, T>(
    api: &Api<K>,
    selector: &str,
    what: &str,
    keep: impl Fn(K) -> T,
) -> Result<Vec<T>, Error>
where
    K: Clone + DeserializeOwned + std::fmt::Debug,
{
    let mut params = ListParams::default().labels(selector).limit(PAGE);
    let mut kept = Vec::new();
    loop {
        let list: ObjectList<K> = api.list(&params).await.map_err(Error::api("list", what))?;
        kept.extend(list.items.into_iter().map(&keep));
        match list.metadata.continue_.filter(|token| !token.is_empty()) {
            Some(token) => params = params.continue_token(&token),
            None => return Ok(kept),
        }
    }
}

fn owned_by(owner: &Owner) -> String {
    let (name, namespace) = (names::label::ATTESTOR_NAME, names::label::ATTESTOR_NAMESPACE);
    format!("{name}={},{namespace}={}", owner.name, owner.namespace)
}
