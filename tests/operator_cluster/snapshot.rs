//! SPIRE's objects as its owner made them, to be found again after everything is taken back.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result, ensure};
use lab::cluster::{Cluster, SPIRE_NAMESPACE};
use serde_json::{Value, json};

/// Kinds that an operator could have made something of, or changed.
const KINDS: &str = "statefulsets,deployments,daemonsets,configmaps,services,serviceaccounts,secrets,roles,rolebindings,leases";
/// Counted up by Kubernetes with each change of a pod template.
const COUNTERS: [&str; 2] = ["deployment.kubernetes.io/revision", "deprecated.daemonset.template.generation"];
/// Helm's own records begin so, one for each release.
const RELEASES: &str = "Secret/sh.helm.release.";
/// The SPIRE server itself writes its bundle here.
const BUNDLE: &str = "ConfigMap/spire-bundle";
/// The operator's field manager.
const MANAGER: &str = "keylime-attestor-operator";
/// What the derived ConfigMaps are called.
const DERIVED: &str = "-keylime";

/// The objects of SPIRE's namespace but for the derived ConfigMaps, without what Kubernetes itself counts and reports.
pub(crate) struct Snapshot(BTreeMap<String, Value>);

impl Snapshot {
    /// # Errors
    /// When an object has a field that the operator manages.
    pub(crate) fn without_us(cluster: &Cluster) -> Result<Self> {
        let objects = objects(cluster)?;
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
        let now = Self::without_us(cluster)?;
        assert!(
            now.0.keys().eq(self.0.keys()),
            "there were {:?}, there are {:?}",
            self.0.keys(),
            now.0.keys()
        );
        for (name, before) in &self.0 {
            assert_eq!(&now.0[name], before, "{name}");
        }
        Ok(())
    }

    /// The text of a ConfigMap's entry.
    pub(crate) fn entry(&self, name: &str, key: &str) -> Result<&str> {
        let map = self.0.get(&format!("ConfigMap/{name}")).with_context(|| format!("no ConfigMap {name}"))?;
        map["data"][key].as_str().with_context(|| format!("no {key} in {name}"))
    }

    fn of(objects: BTreeMap<String, Value>) -> Self {
        let part = |object: Value| {
            let metadata = &object["metadata"];
            let annotations = metadata["annotations"].as_object().cloned().unwrap_or_default();
            let annotations: BTreeMap<_, _> =
                annotations.into_iter().filter(|(key, _)| !COUNTERS.contains(&key.as_str())).collect();
            json!({
                "labels": metadata["labels"], "annotations": annotations, "owners": metadata["ownerReferences"],
                "finalizers": metadata["finalizers"], "spec": object["spec"], "data": object["data"], "type": object["type"],
            })
        };
        Self(objects.into_iter().map(|(name, object)| (name, part(object))).collect())
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
    assert_eq!(cluster.kubectl(&["get", "kla", "--all-namespaces", "--output", "name"])?, "");
    let pods = cluster.kubectl(&["get", "pods", "--namespace", SPIRE_NAMESPACE, "--output", "json"])?;
    ensure!(!pods.contains("keylime-attestor"), "{pods}");
    Ok(())
}

fn objects(cluster: &Cluster) -> Result<BTreeMap<String, Value>> {
    let list = cluster.kubectl(&[
        "get",
        KINDS,
        "--namespace",
        SPIRE_NAMESPACE,
        "--show-managed-fields",
        "--output",
        "json",
    ])?;
    let list: Value = serde_json::from_str(&list)?;
    let items = list["items"].as_array().context("no list")?;
    let name = |object: &Value| {
        Some(format!("{}/{}", object["kind"].as_str()?, object["metadata"]["name"].as_str()?))
    };
    let named = items.iter().map(|object| Ok((name(object).context("no name")?, object.clone())));
    let mut objects = named.collect::<Result<BTreeMap<_, _>>>()?;
    objects.retain(|name, _| name != BUNDLE && !name.starts_with(RELEASES) && !name.ends_with(DERIVED));
    ensure!(objects.len() > 6, "where is SPIRE? {objects:?}");
    Ok(objects)
}
