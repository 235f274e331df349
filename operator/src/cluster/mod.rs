//! The requests to the apiserver, in our own types.

mod error;
mod noted;

use std::time::Duration;

use futures_util::future::try_join_all;
use k8s_openapi::api::core::v1::{ConfigMap, Pod, Secret};
use k8s_openapi::api::events::v1::Event;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use keylime_attestor_api::{AttestedNode, KeylimeAttestor, names};
use kube::api::{Api, DynamicObject, ListParams, LogParams, ObjectList};
use kube::core::DeserializeGuard;
use kube::core::{PartialObjectMeta, Selector};
use kube::{Client, Resource, ResourceExt as _};
use serde::de::DeserializeOwned;
use tokio::time::{sleep, timeout};
use tracing::{debug, warn};

pub(crate) use error::Error;
pub(crate) use noted::{Noted, Told};

use crate::model::target::Owner;
use crate::model::workload::{Kind, Workload, WorkloadKey};

/// A resource, or the reason why it cannot be read: one bad resource never stops the others.
pub(crate) type Guarded = DeserializeGuard<KeylimeAttestor>;

/// The last lines of a log that are read, and their length in bytes: enough for SPIRE's own reason
/// to end.
const LOG_LINES: i64 = 20;

const LOG_BYTES: i64 = 16 * 1024;

/// The longest time for an answer that is waited for, and the pause before the next request.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);

const ASK_AGAIN: Duration = Duration::from_secs(2);

/// Objects in one page of a long list.
const PAGE: u32 = 500;

/// The same for objects that anybody can make, each with up to 256 KiB of annotations.
const PAGE_OF_ANYBODYS: u32 = 50;

/// The apiserver, and the namespaces in which the operator acts.
#[derive(Clone)]
pub(crate) struct Cluster {
    pub(crate) client: Client,
    /// At least one.
    pub(crate) namespaces: Vec<String>,
}

/// Asks again and again until the apiserver itself answers, be it with a refusal: for requests that
/// nothing can go on without.
pub(crate) async fn answered<T>(ask: impl AsyncFn() -> kube::Result<T>) -> kube::Result<T> {
    let mut told = false;
    loop {
        match timeout(ANSWER_TIMEOUT, ask()).await {
            Ok(Ok(answer)) => return Ok(answer),
            Ok(Err(kube::Error::Api(status))) if status.code < 500 && status.code != 429 => {
                return Err(kube::Error::Api(status));
            }
            _ if told => {}
            Ok(Err(error)) => warn!(%error, "waits for the apiserver"),
            Err(late) => warn!(error = %late, "waits for the apiserver"),
        }
        told = true;
        sleep(ASK_AGAIN).await;
    }
}

impl Cluster {
    /// True for a namespace in which the operator acts.
    pub(crate) fn manages(&self, namespace: &str) -> bool {
        self.namespaces.iter().any(|managed| managed == namespace)
    }

    /// One API for each namespace in which the operator acts.
    pub(crate) fn apis<K>(&self) -> Vec<Api<K>>
    where
        K: Resource<Scope = kube::core::NamespaceResourceScope>,
        K::DynamicType: Default,
    {
        self.namespaces.iter().map(|namespace| Api::namespaced(self.client.clone(), namespace)).collect()
    }

    pub(crate) fn namespaced<K>(&self, namespace: &str) -> Api<K>
    where
        K: Resource<Scope = kube::core::NamespaceResourceScope>,
        K::DynamicType: Default,
    {
        Api::namespaced(self.client.clone(), namespace)
    }

    pub(crate) fn workloads(&self, kind: Kind, namespace: &str) -> Api<DynamicObject> {
        Api::namespaced_with(self.client.clone(), namespace, &kind.resource())
    }

    pub(crate) async fn workload(&self, key: &WorkloadKey) -> Result<Option<Workload>, Error> {
        let object = self.workloads(key.kind, &key.namespace).get_opt(&key.name).await;
        let object = object.map_err(Error::api("get", format!("the {key}")))?;
        Ok(object.map(|object| Workload::read(key.kind, object)).transpose()?)
    }

    /// The workloads that carry the overlay of a resource.
    pub(crate) async fn workloads_of(&self, owner: &Owner) -> Result<Vec<Workload>, Error> {
        let mut found = Vec::new();
        for kind in Kind::ALL {
            let apis = self.namespaces.iter().map(|namespace| self.workloads(kind, namespace));
            let what = format!("{}s", kind.as_str());
            for object in list(apis.collect(), &owned_by(owner), &what).await? {
                found.push(Workload::read(kind, object)?);
            }
        }
        Ok(found)
    }

    pub(crate) async fn config_map(&self, namespace: &str, name: &str) -> Result<Option<ConfigMap>, Error> {
        let map = self.namespaced::<ConfigMap>(namespace).get_opt(name).await;
        map.map_err(Error::api("get", format!("the ConfigMap {namespace}/{name}")))
    }

    /// The ConfigMaps that were made for a resource.
    pub(crate) async fn config_maps_of(&self, owner: &Owner) -> Result<Vec<ConfigMap>, Error> {
        list(self.apis(), &owned_by(owner), "ConfigMaps").await
    }

    /// The AttestedNodes of a resource, as `keep` reduces them.
    pub(crate) async fn attested_nodes_of<T>(
        &self,
        owner: &Owner,
        keep: impl Fn(&AttestedNode) -> T,
    ) -> Result<Vec<T>, Error> {
        let api = Api::all(self.client.clone());
        in_pages(&api, &owned_by(owner), "AttestedNodes", |node| keep(&node)).await
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

    /// A Secret with its content.
    pub(crate) async fn secret(&self, namespace: &str, name: &str) -> Result<Option<Secret>, Error> {
        let secret = self.namespaced::<Secret>(namespace).get_opt(name).await;
        secret.map_err(Error::api("get", format!("the Secret {namespace}/{name}")))
    }

    /// True where a Secret is there. The apiserver sends no content.
    pub(crate) async fn has_secret(&self, namespace: &str, name: &str) -> Result<bool, Error> {
        Ok(self.secret_version(namespace, name).await?.is_some())
    }

    /// The version of a Secret, if it is there. The apiserver sends no content.
    pub(crate) async fn secret_version(&self, namespace: &str, name: &str) -> Result<Option<String>, Error> {
        let secrets = self.namespaced::<Secret>(namespace);
        let found: Result<Option<PartialObjectMeta<Secret>>, _> = secrets.get_metadata_opt(name).await;
        let found = found.map_err(Error::api("get", format!("the Secret {namespace}/{name}")))?;
        Ok(found.map(|secret| secret.resource_version().unwrap_or_default()))
    }

    /// The last Event about an object with a reason, or any warning. [`None`] also where it cannot
    /// be read: Events only add to a message.
    pub(crate) async fn last_event(&self, namespace: &str, uid: &str, about: Told<'_>) -> Option<Noted> {
        let (field, value) = match about {
            Told::Reason(reason) => ("reason", reason),
            Told::Warning => ("type", "Warning"),
        };
        let fields = format!("regarding.uid={uid},{field}={value}");
        let events = self.namespaced::<Event>(namespace).list(&ListParams::default().fields(&fields)).await;
        match events {
            Ok(events) => events.items.into_iter().filter_map(Noted::of).max_by_key(|noted| noted.at),
            Err(error) => {
                debug!(%error, namespace, "Events could not be read");
                None
            }
        }
    }

    /// The pods of a workload.
    pub(crate) async fn pods(&self, workload: &Workload) -> Result<Vec<Pod>, Error> {
        let key = &workload.key;
        let selector = selector(&workload.selector).map_err(|error| Error::Selector(key.clone(), error))?;
        let list =
            self.namespaced::<Pod>(&key.namespace).list(&ListParams::default().labels(&selector)).await;
        Ok(list.map_err(Error::api("list", format!("the pods of the {key}")))?.items)
    }

    /// The pods of a workload that may have thousands, as `keep` reduces them.
    pub(crate) async fn many_pods<T>(
        &self,
        workload: &Workload,
        keep: impl Fn(Pod) -> T,
    ) -> Result<Vec<T>, Error> {
        let key = &workload.key;
        let selector = selector(&workload.selector).map_err(|error| Error::Selector(key.clone(), error))?;
        let api = self.namespaced::<Pod>(&key.namespace);
        in_pages(&api, &selector, &format!("the pods of the {key}"), keep).await
    }

    /// The last lines that a container wrote, of its previous run when it has one.
    pub(crate) async fn log(&self, pod: &Pod, container: &str, previous: bool) -> Option<String> {
        let params = LogParams {
            container: Some(container.to_owned()),
            previous,
            tail_lines: Some(LOG_LINES),
            limit_bytes: Some(LOG_BYTES),
            ..LogParams::default()
        };
        let pods = self.namespaced::<Pod>(&pod.namespace().unwrap_or_default());
        pods.logs(&pod.name_any(), &params).await.ok()
    }
}

async fn list<K>(apis: Vec<Api<K>>, selector: &str, what: &str) -> Result<Vec<K>, Error>
where
    K: Clone + DeserializeOwned + std::fmt::Debug,
{
    let params = ListParams::default().labels(selector);
    let lists = try_join_all(apis.iter().map(|api| api.list(&params))).await;
    let lists: Vec<ObjectList<K>> = lists.map_err(Error::api("list", what))?;
    Ok(lists.into_iter().flat_map(|list| list.items).collect())
}

/// Lists page by page, so that only one page of any number of objects is held in full.
async fn in_pages<K, T>(
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

/// A label selector as a query has it.
pub(crate) fn selector(labels: &LabelSelector) -> Result<String, String> {
    Selector::try_from(labels.clone()).map(|selector| selector.to_string()).map_err(|error| error.to_string())
}
