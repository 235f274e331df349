//! SPIRE's objects as its owner made them, to be found again after everything is withdrawn.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result, ensure};
use lab::cluster::Cluster;
use serde_json::Value;

/// Kinds that an operator could have made something of, or changed.
const KINDS: &str =
    "statefulsets,deployments,daemonsets,configmaps,services,serviceaccounts,secrets,roles,rolebindings";
/// Counted up by Kubernetes with each change of a pod template.
const COUNTERS: [&str; 2] = ["deployment.kubernetes.io/revision", "deprecated.daemonset.template.generation"];
/// Helm's own records begin so, one for each release.
const RELEASES: &str = "Secret/sh.helm.release.";
/// The SPIRE server itself writes its bundle here.
const BUNDLE: &str = "ConfigMap/spire-bundle";
/// The operator's field manager.
const MANAGER: &str = "keylime-attestor-operator";
/// How the names of derived ConfigMaps end.
const DERIVED: &str = "-keylime";

/// The objects of SPIRE's namespaces but for the derived ConfigMaps, and the Nodes, without what
/// Kubernetes itself counts and reports.
pub(crate) struct Snapshot(BTreeMap<String, Value>);

impl Snapshot {
    /// # Errors
    /// When an object has a field that the operator manages.
    pub(crate) fn without_us(cluster: &Cluster) -> Result<Self> {
        Self::free_of_us(objects(cluster)?)
    }

    fn free_of_us(objects: BTreeMap<String, Value>) -> Result<Self> {
        for (name, object) in &objects {
            ensure!(
                !object["metadata"]["managedFields"].to_string().contains(MANAGER),
                "{name} is managed: {object}"
            );
        }
        Ok(Self::of(objects))
    }

    /// SPIRE's objects are as they were, and nothing in them is the operator's.
    pub(crate) fn expect(&self, cluster: &Cluster) -> Result<()> {
        self.expect_same(&Self::without_us(cluster)?);
        Ok(())
    }

    /// The same of all but the Nodes, on which it is told how they stand at Keylime.
    pub(crate) fn expect_but_nodes(&self, cluster: &Cluster) -> Result<()> {
        let but_nodes = |mut objects: BTreeMap<String, Value>| {
            objects.retain(|name, _| !name.starts_with("/Node/"));
            objects
        };
        Self(but_nodes(self.0.clone())).expect_same(&Self::free_of_us(but_nodes(objects(cluster)?))?);
        Ok(())
    }

    fn expect_same(&self, now: &Self) {
        assert!(
            now.0.keys().eq(self.0.keys()),
            "there were {:?}, there are {:?}",
            self.0.keys(),
            now.0.keys()
        );
        for (name, before) in &self.0 {
            assert_eq!(&now.0[name], before, "{name}");
        }
    }

    /// The text of a ConfigMap's entry.
    pub(crate) fn entry(&self, name: &str, key: &str) -> Result<&str> {
        let named = format!("/ConfigMap/{name}");
        let map = self.0.iter().find(|(name, _)| name.ends_with(&named));
        let (_, map) = map.with_context(|| format!("no ConfigMap {name}"))?;
        map["data"][key].as_str().with_context(|| format!("no {key} in {name}"))
    }

    fn of(mut objects: BTreeMap<String, Value>) -> Self {
        objects.values_mut().for_each(drop_reports);
        Self(objects)
    }
}

/// What Kubernetes itself counts and reports of an object. Who manages its fields stays.
fn drop_reports(object: &mut Value) {
    let remove = |object: &mut Value, path: &str, keys: &[&str]| {
        if let Some(map) = object.pointer_mut(path).and_then(Value::as_object_mut) {
            map.retain(|key, _| !keys.contains(&key.as_str()));
        }
    };
    remove(object, "", &["status"]);
    remove(object, "/metadata", &["resourceVersion", "generation"]);
    remove(object, "/metadata/annotations", &COUNTERS);
    let managers = object.pointer_mut("/metadata/managedFields").and_then(Value::as_array_mut);
    if let Some(managers) = managers {
        managers.retain(|manager| manager["subresource"] != "status");
        managers.iter_mut().for_each(|manager| remove(manager, "", &["time"]));
        managers.sort_by_key(Value::to_string);
    }
}

/// Nothing that was made for a resource is left in any namespace, and no pod runs with the plugins.
pub(crate) fn expect_nothing_of_ours(cluster: &Cluster) -> Result<()> {
    let labelled = [
        "get",
        KINDS,
        "--all-namespaces",
        "--selector",
        "spire.keylime.dev/attestor-name",
        "--output",
        "name",
    ];
    assert_eq!(cluster.kubectl(&labelled)?, "");
    if cluster.world.manages_entries {
        assert_eq!(cluster.kubectl(&["get", "clusterstaticentries", "--output", "name"])?, "");
    }
    assert_eq!(cluster.kubectl(&["get", "kla", "--all-namespaces", "--output", "name"])?, "");
    for namespace in cluster.world.namespaces() {
        let pods = cluster.kubectl(&["get", "pods", "--namespace", namespace, "--output", "json"])?;
        ensure!(!pods.contains("keylime-attestor"), "{pods}");
    }
    Ok(())
}

/// By namespace, kind and name.
fn objects(cluster: &Cluster) -> Result<BTreeMap<String, Value>> {
    let mut objects = BTreeMap::new();
    for namespace in cluster.world.namespaces() {
        let list = ["get", KINDS, "--namespace", namespace, "--show-managed-fields", "--output", "json"];
        let list: Value = serde_json::from_str(&cluster.kubectl(&list)?)?;
        for object in list["items"].as_array().context("no list")? {
            let word = |path: &str| object.pointer(path).and_then(Value::as_str).unwrap_or_default();
            let name = format!("{namespace}/{}/{}", word("/kind"), word("/metadata/name"));
            objects.insert(name, object.clone());
        }
    }
    let nodes = ["get", "nodes", "--show-managed-fields", "--output", "json"];
    let nodes: Value = serde_json::from_str(&cluster.kubectl(&nodes)?)?;
    for node in nodes["items"].as_array().context("no list")? {
        let name = node["metadata"]["name"].as_str().unwrap_or_default();
        objects.insert(format!("/Node/{name}"), node.clone());
    }
    objects.retain(|name, _| {
        let (_, name) = name.split_once('/').unwrap_or_default();
        name != BUNDLE && !name.starts_with(RELEASES) && !name.ends_with(DERIVED)
    });
    ensure!(objects.len() > 6, "where is SPIRE? {objects:?}");
    Ok(objects)
}
