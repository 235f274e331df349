//! The cluster and the resource that are checked.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::Read as _;
use std::path::Path;

use anyhow::{Context as _, Result, anyhow, bail, ensure};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use k8s_openapi::jiff::Timestamp;
use keylime_attestor_api::KeylimeAttestor;
use kube::api::{ListParams, PostParams};
use kube::config::KubeConfigOptions;
use kube::core::DeserializeGuard;
use kube::{Api, Client, Config, Error, ResourceExt as _};
use serde_json::Value;

use super::finding::{Finding, Subject};
use crate::cluster::{Cluster, Guarded};
use crate::model::target::Asked;
use crate::process::cli::CheckArgs;

/// The longest file that is read: an object of a cluster has at most 1.5 MiB.
const MAX_FILE: u64 = 2 << 20;

pub(super) async fn client(asked: &CheckArgs) -> Result<Client> {
    let config = match &asked.context {
        Some(context) => {
            let options =
                KubeConfigOptions { context: Some(context.clone()), ..KubeConfigOptions::default() };
            Config::from_kubeconfig(&options)
                .await
                .with_context(|| format!("failed to use the context {context}"))?
        }
        None => Config::infer().await.context("failed to find the cluster: expected a kubeconfig")?,
    };
    Client::try_from(config).context("failed to make a client of the cluster")
}

/// The resource of a file, as it would be in the cluster, or the one in the cluster.
pub(super) async fn resource(client: &Client, asked: &CheckArgs) -> Result<KeylimeAttestor> {
    let Some(file) = &asked.file else { return stored(client, asked.resource.as_deref()).await };
    let mut resource = read(file)?;
    let namespace = resource.namespace().unwrap_or_else(|| client.default_namespace().to_owned());
    let name = resource.name_any();
    resource.metadata.namespace = Some(namespace.clone());
    // What it carries already, and what the operator reported of it, is known by the one in the
    // cluster. Its kind need not be there yet.
    let api = Api::<Guarded>::namespaced(client.clone(), &namespace);
    match api.get_opt(&name).await {
        Ok(Some(DeserializeGuard(Ok(stored)))) => {
            resource.metadata = stored.metadata;
            resource.status = stored.status;
        }
        // Of two that have the same workload, this one would be the younger.
        Ok(_) => resource.metadata.creation_timestamp = Some(Time(Timestamp::now())),
        Err(error) => return Err(error).context("failed to get the KeylimeAttestor of that name"),
    }
    Ok(resource)
}

async fn stored(client: &Client, named: Option<&str>) -> Result<KeylimeAttestor> {
    let not_installed = "failed to get KeylimeAttestors: give a file (-f) where they are not installed yet";
    let Some(named) = named else {
        let all = Api::<Guarded>::all(client.clone()).list(&ListParams::default().limit(2)).await;
        let mut all = all.context(not_installed)?.items.into_iter();
        return match (all.next(), all.next()) {
            (Some(only), None) => readable(only),
            (None, _) => bail!("there is no KeylimeAttestor in the cluster: give a file (-f)"),
            (Some(_), Some(_)) => {
                bail!("there are several KeylimeAttestors: say which (--resource NAMESPACE/NAME)")
            }
        };
    };
    let (namespace, name) =
        named.split_once('/').with_context(|| format!("expected --resource NAMESPACE/NAME, got {named}"))?;
    let found = Api::<Guarded>::namespaced(client.clone(), namespace).get_opt(name).await;
    readable(found.context(not_installed)?.with_context(|| format!("there is no KeylimeAttestor {named}"))?)
}

fn readable(DeserializeGuard(resource): Guarded) -> Result<KeylimeAttestor> {
    resource.map_err(|invalid| anyhow!("failed to read the KeylimeAttestor: {invalid}"))
}

/// The only KeylimeAttestor among the documents of a file.
fn read(path: &Path) -> Result<KeylimeAttestor> {
    let about = || format!("failed to read {}", path.display());
    let mut text = String::new();
    let file = File::open(path).with_context(about)?;
    file.take(MAX_FILE + 1).read_to_string(&mut text).with_context(about)?;
    ensure!(text.len() as u64 <= MAX_FILE, "{} has more than {MAX_FILE} bytes", path.display());
    only(&text).with_context(about)
}

fn only(text: &str) -> Result<KeylimeAttestor> {
    let mut found = Vec::new();
    for document in format!("\n{text}").split("\n---") {
        let document: Value = serde_yaml::from_str(document)?;
        if document.get("kind").and_then(Value::as_str) == Some("KeylimeAttestor") {
            found.push(document);
        }
    }
    let mut found = found.into_iter();
    match (found.next(), found.next()) {
        (Some(only), None) => Ok(serde_json::from_value(only)?),
        (None, _) => bail!("expected a KeylimeAttestor, found none"),
        (Some(_), Some(_)) => {
            bail!("expected one KeylimeAttestor, found several: give each a file of its own")
        }
    }
}

/// Those of the resource, of SPIRE's server and of its agents.
pub(super) fn namespaces(resource: &KeylimeAttestor) -> Vec<String> {
    let workloads = Asked::all(resource).into_iter().map(|asked| asked.key.namespace);
    workloads.chain(resource.namespace()).collect::<BTreeSet<_>>().into_iter().collect()
}

/// The other resources, which may have the same workloads. None where there are none yet.
pub(super) async fn others(cluster: &Cluster, resource: &KeylimeAttestor) -> Vec<KeylimeAttestor> {
    let mut others = Vec::new();
    for api in cluster.apis::<Guarded>() {
        let Ok(list) = api.list(&ListParams::default()).await else { continue };
        others.extend(list.items.into_iter().filter_map(|DeserializeGuard(other)| other.ok()));
    }
    let is_it = |other: &KeylimeAttestor| {
        (other.namespace(), other.name_any()) == (resource.namespace(), resource.name_any())
    };
    others.retain(|other| !is_it(other));
    others
}

/// Whether the apiserver takes the resource, by its schema and by whatever else has a say.
pub(super) async fn findings(cluster: &Cluster, resource: &KeylimeAttestor) -> Option<Finding> {
    let api = cluster.namespaced::<KeylimeAttestor>(&resource.namespace().unwrap_or_default());
    let params = PostParams { dry_run: true, ..PostParams::default() };
    let mut given = resource.clone();
    given.status = None;
    let answer = if resource.uid().is_some() {
        given.metadata.managed_fields = None;
        api.replace(&resource.name_any(), &params, &given).await
    } else {
        api.create(&params, &given).await
    };
    Some(match answer {
        Ok(_) => Finding::ok(Subject::Resource, "the apiserver takes the KeylimeAttestor"),
        Err(Error::Api(status)) if status.code == 404 && status.message.contains("page not found") => {
            Finding::warning(
                Subject::Resource,
                "KeylimeAttestors are not installed yet, so that the apiserver did not validate it",
                "Install the chart, which brings them, and check again.",
            )
        }
        Err(Error::Api(status)) => Finding::failure(
            Subject::Resource,
            format!("the apiserver refuses the KeylimeAttestor: {}", status.message),
            "Correct what it names; operator/docs/spec.md has every field.",
        ),
        Err(error) => Finding::warning(
            Subject::Resource,
            format!("whether the apiserver takes the KeylimeAttestor is not known: {error}"),
            "Check again.",
        ),
    })
}

#[cfg(test)]
mod tests {
    use super::only;

    const RESOURCE: &str = include_str!("../../api/testdata/accepted/minimal.yaml");

    #[test]
    fn a_file_has_one_resource_among_whatever_else() {
        only(RESOURCE).unwrap();
        let beside = format!("---\nkind: Namespace\nmetadata: {{name: x}}\n---\n{RESOURCE}");
        only(&beside).unwrap();
        for (text, told) in [
            ("kind: Namespace", "found none"),
            ("", "found none"),
            (&format!("{RESOURCE}\n---\n{RESOURCE}"), "found several"),
        ] {
            let error = only(text).unwrap_err().to_string();
            assert!(error.contains(told), "{error}");
        }
    }
}
