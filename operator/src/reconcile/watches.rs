//! The watches of the cluster, and the resources that each change has reconciled.

use k8s_openapi::api::apps::v1::{DaemonSet, Deployment, StatefulSet};
use k8s_openapi::api::core::v1::ConfigMap;
use keylime_attestor_api::KeylimeAttestor;
use keylime_attestor_api::conditions::configuration_applied::APPLIED;
use kube::core::{NamespaceResourceScope, PartialObjectMeta};
use kube::runtime::reflector::{ObjectRef, Store};
use kube::runtime::{Controller, watcher};
use kube::{Resource, ResourceExt as _};
use serde::de::DeserializeOwned;

use crate::cluster::{Cluster, Guarded, PAGE_OF_ANYBODYS};
use crate::configuration::derived;
use crate::model::target::Asked;

/// Adds the watches of workloads and ConfigMaps, of their metadata alone.
pub(crate) fn with_watches(cluster: &Cluster, controller: Controller<Guarded>) -> Controller<Guarded> {
    let store = controller.store();
    let controller = watch::<DaemonSet>(cluster, controller, &store, names_workload);
    let controller = watch::<Deployment>(cluster, controller, &store, names_workload);
    let controller = watch::<StatefulSet>(cluster, controller, &store, names_workload);
    watch::<ConfigMap>(cluster, controller, &store, may_use_config_map)
}

/// True for a resource that has to do with an object of this namespace and name.
type Concerns = fn(&KeylimeAttestor, &str, &str) -> bool;

fn watch<K>(
    cluster: &Cluster,
    controller: Controller<Guarded>,
    store: &Store<Guarded>,
    concerns: Concerns,
) -> Controller<Guarded>
where
    K: Resource<Scope = NamespaceResourceScope, DynamicType = ()>,
    K: Clone + DeserializeOwned + std::fmt::Debug + Send + 'static,
{
    let mut controller = controller;
    for api in cluster.apis::<PartialObjectMeta<K>>() {
        let store = store.clone();
        let config = watcher::Config::default().page_size(PAGE_OF_ANYBODYS);
        controller = controller.watches(api, config, move |object| {
            let (namespace, name) = (object.namespace().unwrap_or_default(), object.name_any());
            let is_concerned = |resource: &KeylimeAttestor| {
                carries(resource, &K::kind(&()), &namespace, &name) || concerns(resource, &namespace, &name)
            };
            concerned(&store, is_concerned)
        });
    }
    controller
}

fn concerned(
    store: &Store<Guarded>,
    is_concerned: impl Fn(&KeylimeAttestor) -> bool,
) -> Vec<ObjectRef<Guarded>> {
    let all = store.state();
    let concerned = all.iter().filter(|resource| resource.0.as_ref().is_ok_and(&is_concerned));
    concerned.map(|resource| ObjectRef::from_obj(&**resource)).collect()
}

/// True for an object that carries something of a resource, named by its spec or not.
fn carries(resource: &KeylimeAttestor, kind: &str, namespace: &str, name: &str) -> bool {
    let mut objects = resource.status.iter().flat_map(|status| &status.objects);
    objects.any(|object| object.kind == kind && object.namespace == namespace && object.name == name)
}

fn names_workload(resource: &KeylimeAttestor, namespace: &str, name: &str) -> bool {
    Asked::all(resource).iter().any(|asked| asked.key.namespace == namespace && asked.key.name == name)
}

/// True for a ConfigMap that a resource may use: by name once all are found; until then any in a
/// workload's namespace may be the missing one.
fn may_use_config_map(resource: &KeylimeAttestor, namespace: &str, name: &str) -> bool {
    let asked = Asked::all(resource);
    if !asked.iter().any(|asked| asked.key.namespace == namespace) {
        return false;
    }
    let Some(status) = &resource.status else { return true };
    let all_found = status.conditions.iter().any(|condition| condition.reason == APPLIED.name);
    let workloads = status.server.iter().chain(&status.agents);
    !all_found
        || workloads
            .filter_map(|workload| workload.config_map.as_ref())
            .chain(status.controller_manager.iter().map(|manager| &manager.config_map))
            .any(|entry| entry.name == name || derived::name(&entry.name) == name)
}
