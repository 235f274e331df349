//! The support bundle: what somebody needs who helps from afar. Objects go in as far as [`shown`]
//! knows their fields, texts without what [`redact`] takes out; Secrets are not asked for. All of
//! it is bounded, and what was left out is said in its `contents.yaml`.

mod archive;
mod configuration;
mod logs;
mod redact;
mod shown;

use std::collections::BTreeSet;
use std::fmt::Debug;
use std::path::Path;

use anyhow::{Context as _, Result};
use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{ConfigMap, Node, Pod};
use k8s_openapi::api::events::v1::Event;
use keylime_attestor_api::{AttestedNode, KeylimeAttestor};
use kube::api::{ListParams, ObjectList};
use kube::core::PartialObjectMeta;
use kube::{Api, Resource, ResourceExt as _};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::changes::Tried;
use super::finding::Report;
use super::operator::Installed;
use crate::cluster::{Cluster, selector};
use crate::model::target::Asked;
use crate::model::workload::{Workload, WorkloadKey};
use archive::Archive;
use shown::{known, whole};

/// The most objects of a kind, of a namespace's where it is in one.
const MOST: u32 = 1000;

/// What a bundle is made from.
pub(super) struct Source {
    pub(super) cluster: Cluster,
    pub(super) resource: KeylimeAttestor,
    pub(super) installed: Option<Installed>,
    pub(super) tried: Vec<Tried>,
}

/// Makes the file; one line on it.
///
/// # Errors
/// A file that is there already, or cannot be written.
pub(super) async fn make(file: &Path, report: &Report, source: &Source) -> Result<String> {
    let file_of = archive::create(file)?;
    let mut archive = Archive::default();
    findings(&mut archive, report, source)?;
    let namespaces = source.namespaces();
    source.resources(&mut archive).await;
    let workloads = source.workloads(&mut archive).await;
    source.config_maps(&mut archive, &workloads).await;
    source.pods(&mut archive, &workloads).await;
    source.nodes(&mut archive).await;
    for namespace in &namespaces {
        source.events(&mut archive, namespace).await;
    }
    let told = format!("{}: {}", file.display(), archive.summary());
    archive.write(file_of).with_context(|| format!("failed to write {}", file.display()))?;
    Ok(told)
}

/// What the check says, with the changes as far as they are shown here.
fn findings(archive: &mut Archive, report: &Report, source: &Source) -> Result<()> {
    let changes = source.tried.iter().filter_map(|tried| tried.change(known)).collect();
    let told = serde_json::to_value(report.with_changes(changes))?;
    archive.add("check.json", serde_json::to_string_pretty(&whole(&told))?);
    Ok(())
}

impl Source {
    /// Those of the resource and SPIRE, and the operator's.
    fn namespaces(&self) -> BTreeSet<String> {
        let own = self.installed.iter().map(|installed| installed.namespace.clone());
        self.cluster.namespaces.iter().cloned().chain(own).collect()
    }

    fn api<K: Resource<Scope = NamespaceResourceScope, DynamicType = ()>>(&self, namespace: &str) -> Api<K> {
        self.cluster.namespaced(namespace)
    }

    /// The resource, as it is checked, and the operator's Deployment.
    async fn resources(&self, archive: &mut Archive) {
        let name = self.resource.name_any();
        archive.object("KeylimeAttestor", &self.resource, whole);
        if let Some(Installed { namespace, name, .. }) = &self.installed {
            let found = self.api::<Deployment>(namespace).get_opt(name).await;
            archive.found("Deployment", name, found, known);
        }
        let selector = format!("{}={name}", keylime_attestor_api::names::label::ATTESTOR_NAME);
        let params = ListParams::default().limit(MOST).labels(&selector);
        let nodes = Api::<AttestedNode>::all(self.cluster.client.clone()).list(&params).await;
        archive.list("AttestedNode", nodes, whole);
    }

    async fn workloads(&self, archive: &mut Archive) -> Vec<Workload> {
        let mut workloads = Vec::new();
        for Asked { key, .. } in Asked::all(&self.resource) {
            match self.cluster.workload(&key).await {
                Ok(Some(workload)) => {
                    archive.value(key.kind.as_str(), &known(&workload.live));
                    workloads.push(workload);
                }
                Ok(None) => archive.left_out(&key.to_string(), "it is not there"),
                Err(error) => archive.left_out(&key.to_string(), &error.to_string()),
            }
        }
        workloads
    }

    /// SPIRE's, which its pods mount, and the operator's.
    async fn config_maps(&self, archive: &mut Archive, workloads: &[Workload]) {
        let mut names = BTreeSet::new();
        for workload in workloads {
            let WorkloadKey { namespace, .. } = &workload.key;
            names.extend(mounted(workload).into_iter().map(|name| (namespace.clone(), name)));
        }
        let status = self.resource.status.iter().flat_map(|status| &status.objects);
        names.extend(
            status
                .filter(|object| object.kind == "ConfigMap")
                .map(|object| (object.namespace.clone(), object.name.clone())),
        );
        for (namespace, name) in names {
            let found = self.api::<ConfigMap>(&namespace).get_opt(&name).await;
            archive.found("ConfigMap", &name, found, known);
        }
    }

    /// The pods of SPIRE and of the operator, with their logs.
    async fn pods(&self, archive: &mut Archive, workloads: &[Workload]) {
        let of =
            |workload: &Workload| Some((workload.key.namespace.clone(), selector(&workload.selector).ok()?));
        let own = self.installed.as_ref().map(|Installed { namespace, labels, .. }| {
            let labels = labels.iter().filter(|(key, _)| key.as_str() != "app.kubernetes.io/version");
            let labels: Vec<_> = labels.map(|(key, value)| format!("{key}={value}")).collect();
            (namespace.clone(), labels.join(","))
        });
        for (namespace, labels) in workloads.iter().filter_map(of).chain(own) {
            let api = self.api::<Pod>(&namespace);
            match api.list(&ListParams::default().limit(MOST).labels(&labels)).await {
                Ok(pods) => {
                    logs::add(archive, &api, &namespace, &pods.items).await;
                    archive.list("Pod", Ok(pods), known);
                }
                Err(error) => archive.left_out(&format!("pods in {namespace}"), &error.to_string()),
            }
        }
    }

    /// Those that the resource selects.
    async fn nodes(&self, archive: &mut Archive) {
        let labels = self.resource.spec.nodes.selector.as_ref().map(ToString::to_string).unwrap_or_default();
        let params = ListParams::default().limit(MOST).labels(&labels);
        let nodes = Api::<Node>::all(self.cluster.client.clone()).list(&params).await;
        archive.list("Node", nodes, known);
        // Of Secrets that are named: whether they are there, by their metadata alone.
        for (namespace, name) in self.secrets() {
            let found =
                self.api::<k8s_openapi::api::core::v1::Secret>(&namespace).get_metadata_opt(&name).await;
            let told = match found {
                Ok(Some(PartialObjectMeta { .. })) => {
                    "it is there; no content of a Secret is asked for".to_owned()
                }
                Ok(None) => "it is not there".to_owned(),
                Err(error) => error.to_string(),
            };
            archive.left_out(&format!("Secret {namespace}/{name}"), &told);
        }
    }

    fn secrets(&self) -> BTreeSet<(String, String)> {
        let keylime = &self.resource.spec.keylime;
        let named = Asked::all(&self.resource).into_iter().filter_map(|asked| {
            let name = match &asked.keylime_agent {
                None => keylime.tls.secret_name.as_str(),
                Some(agent) => agent.secret_name()?,
            };
            Some((asked.key.namespace, name.to_owned()))
        });
        named.collect()
    }

    /// Those of a namespace; the apiserver keeps them for an hour.
    async fn events(&self, archive: &mut Archive, namespace: &str) {
        let events = self.api::<Event>(namespace).list(&ListParams::default().limit(MOST)).await;
        archive.list("Event", events, whole);
    }
}

/// The ConfigMaps of a workload's volumes.
fn mounted(workload: &Workload) -> BTreeSet<String> {
    let volumes = workload.pod_spec().into_iter().flat_map(|spec| spec.volumes.iter().flatten());
    let mut names = BTreeSet::new();
    for volume in volumes {
        names.extend(volume.config_map.iter().map(|source| source.name.clone()));
        let projected = volume.projected.iter().flat_map(|projected| projected.sources.iter().flatten());
        names.extend(projected.filter_map(|source| Some(source.config_map.as_ref()?.name.clone())));
    }
    names
}

impl Archive {
    fn object<K: Serialize>(&mut self, kind: &str, object: &K, shown: fn(&Value) -> Value) {
        match serde_json::to_value(object) {
            Ok(value) => self.value(kind, &shown(&value)),
            Err(error) => self.left_out(kind, &error.to_string()),
        }
    }

    fn found<K: Serialize>(
        &mut self,
        kind: &str,
        name: &str,
        found: Result<Option<K>, kube::Error>,
        shown: fn(&Value) -> Value,
    ) {
        match found {
            Ok(Some(object)) => self.object(kind, &object, shown),
            Ok(None) => self.left_out(&format!("{kind} {name}"), "it is not there"),
            Err(error) => self.left_out(&format!("{kind} {name}"), &error.to_string()),
        }
    }

    fn list<K>(&mut self, kind: &str, list: Result<ObjectList<K>, kube::Error>, shown: fn(&Value) -> Value)
    where
        K: Clone + Debug + DeserializeOwned + Serialize,
    {
        match list {
            Ok(list) => {
                if list.metadata.continue_.is_some_and(|token| !token.is_empty()) {
                    self.left_out(kind, &format!("there are more than {MOST}: the first ones are here"));
                }
                list.items.iter().for_each(|object| self.object(kind, object, shown));
            }
            Err(error) => self.left_out(kind, &error.to_string()),
        }
    }
}
