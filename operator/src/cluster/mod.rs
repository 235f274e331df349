//! The requests to the apiserver, in our own types.

mod error;
mod lists;
mod node_restriction;
mod noted;
mod pods;

use std::fmt;

use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use k8s_openapi::api::events::v1::Event;
use keylime_attestor_api::KeylimeAttestor;
use kube::api::{Api, DynamicObject, ListParams};
use kube::core::{DeserializeGuard, PartialObjectMeta};
use kube::{Client, Resource, ResourceExt as _};
use tracing::debug;

pub(crate) use error::Error;
pub(crate) use lists::PAGE_OF_ANYBODYS;
pub(crate) use node_restriction::restricts_nodes;
pub(crate) use noted::{Noted, Told};
pub(crate) use pods::selector;

use crate::model::workload::{Kind, Workload, WorkloadKey};

/// A resource, or the reason why it cannot be read: one bad resource never stops the others.
pub(crate) type Guarded = DeserializeGuard<KeylimeAttestor>;

/// The apiserver, and the namespaces in which the operator acts.
#[derive(Clone)]
pub(crate) struct Cluster {
    pub(crate) client: Client,
    /// At least one.
    pub(crate) namespaces: Vec<String>,
    /// The Secret with the operator's own certificate for the report; [`None`] where its namespace
    /// is not known.
    pub(crate) report_secret: Option<OwnSecret>,
    /// True where nothing is written, as in `check`.
    pub(crate) dry_run: bool,
}

/// A Secret of the operator itself.
#[derive(Clone, Debug)]
pub(crate) struct OwnSecret {
    pub(crate) namespace: String,
    pub(crate) name: String,
}

impl fmt::Display for OwnSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
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

    pub(crate) async fn config_map(&self, namespace: &str, name: &str) -> Result<Option<ConfigMap>, Error> {
        let map = self.namespaced::<ConfigMap>(namespace).get_opt(name).await;
        map.map_err(Error::api("get", format!("the ConfigMap {namespace}/{name}")))
    }

    /// True for a ConfigMap that is there. The apiserver sends no content.
    pub(crate) async fn has_config_map(&self, namespace: &str, name: &str) -> Result<bool, Error> {
        let found = self.namespaced::<ConfigMap>(namespace).get_metadata_opt(name).await;
        let found = found.map_err(Error::api("get", format!("the ConfigMap {namespace}/{name}")))?;
        Ok(found.is_some())
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
}
