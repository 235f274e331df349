//! Whether SPIRE's server can have tokens reviewed: its account has the rights, and its pods a
//! token of their own to ask with. Asked until it is relied upon; from then on the plugin itself
//! tells which right is missing.

use futures_util::future::try_join_all;
use k8s_openapi::api::authorization::v1::{ResourceAttributes, SubjectAccessReview, SubjectAccessReviewSpec};
use k8s_openapi::api::core::v1::Pod;
use keylime_attestor_api::{Binding, KeylimeAttestor, Mode};
use kube::Api;
use kube::api::PostParams;

use super::{Found, Gathered};
use crate::cluster::{Cluster, Error};
use crate::model::binding::{Review, account};
use crate::model::target::Role;
use crate::model::workload::Workload;

/// Where Kubernetes mounts the token of a pod's account.
const ACCOUNT_FOLDER: &str = "/var/run/secrets/kubernetes.io/serviceaccount";

/// Asks the apiserver, where it matters and is not relied upon yet.
pub(super) async fn review(
    cluster: &Cluster,
    resource: &KeylimeAttestor,
    gathered: &Gathered,
) -> Result<Review, Error> {
    let relied_upon = resource.status.as_ref().and_then(|status| status.binding);
    let relied_upon = relied_upon.is_some_and(|binding| binding != Binding::Off);
    let of = |role| gathered.found.values().filter(move |found| found.role == role);
    let server = of(Role::Server).find_map(|found| Some((found, found.workload.as_ref()?)));
    let wanted = resource.spec.attestation.binding != Some(Binding::Off);
    let (true, Some((found, server))) = (wanted && !relied_upon, server) else { return Ok(Review::NotAsked) };
    if resource.spec.spire.mode == Mode::ConfigOnly {
        return Ok(Review::NotAsked);
    }
    let mut rights =
        vec![right("create", "tokenreviews", "authentication.k8s.io", None), right("get", "nodes", "", None)];
    let mut namespaces: Vec<&str> =
        of(Role::Agent).filter_map(|found| Some(found.workload.as_ref()?.key.namespace.as_str())).collect();
    namespaces.dedup();
    rights.extend(namespaces.into_iter().map(|namespace| right("get", "pods", "", Some(namespace))));
    let missing = match missing(cluster, server, rights).await {
        Ok(missing) => missing,
        Err(error) if error.is_forbidden() => {
            let text = format!("it is not known which rights the account of SPIRE's server has: {error}");
            return Ok(Review::Impossible(text));
        }
        Err(error) => return Err(error),
    };
    if !missing.is_empty() {
        let text = format!("{} lacks the right to {}", account(server), missing.join(", and to "));
        return Ok(Review::Impossible(text));
    }
    let pods = cluster.pods(server).await?;
    Ok(match pods.iter().any(|pod| has_token(pod, found)) {
        true => Review::Possible,
        false => Review::Impossible(format!(
            "no pod of the {} has a token of its account at {ACCOUNT_FOLDER} (automountServiceAccountToken), or none runs yet",
            server.key
        )),
    })
}

/// Those of the rights that the account of a workload lacks, in words.
async fn missing(
    cluster: &Cluster,
    workload: &Workload,
    rights: Vec<ResourceAttributes>,
) -> Result<Vec<String>, Error> {
    let api: Api<SubjectAccessReview> = Api::all(cluster.client.clone());
    let account = account(workload);
    let asked = rights.into_iter().map(|right| {
        let spec = SubjectAccessReviewSpec {
            user: Some(format!("system:serviceaccount:{account}")),
            groups: Some(vec![
                "system:serviceaccounts".to_owned(),
                format!("system:serviceaccounts:{}", workload.key.namespace),
                "system:authenticated".to_owned(),
            ]),
            resource_attributes: Some(right.clone()),
            ..SubjectAccessReviewSpec::default()
        };
        let (api, account) = (&api, &account);
        async move {
            let review = SubjectAccessReview { spec, ..SubjectAccessReview::default() };
            let answer = api.create(&PostParams::default(), &review).await;
            let answer = answer.map_err(Error::api("review", format!("the rights of {account}")))?;
            let allowed = answer.status.is_some_and(|status| status.allowed);
            Ok::<_, Error>((!allowed).then(|| words(&right)))
        }
    });
    Ok(try_join_all(asked).await?.into_iter().flatten().collect())
}

fn right(verb: &str, resource: &str, group: &str, namespace: Option<&str>) -> ResourceAttributes {
    ResourceAttributes {
        verb: Some(verb.to_owned()),
        resource: Some(resource.to_owned()),
        group: Some(group.to_owned()),
        namespace: namespace.map(str::to_owned),
        ..ResourceAttributes::default()
    }
}

fn words(right: &ResourceAttributes) -> String {
    let text = |part: &Option<String>| part.clone().unwrap_or_default();
    let place = right.namespace.as_ref().map(|namespace| format!(" in {namespace}")).unwrap_or_default();
    format!("{} {}{place}", text(&right.verb), text(&right.resource))
}

fn has_token(pod: &Pod, found: &Found) -> bool {
    let Some(Ok(discovered)) = &found.discovered else { return false };
    let containers = pod.spec.iter().flat_map(|spec| &spec.containers);
    let spire = containers.filter(|container| container.name == discovered.container);
    let mut mounts = spire.flat_map(|container| container.volume_mounts.iter().flatten());
    mounts.any(|mount| mount.mount_path.trim_end_matches('/') == ACCOUNT_FOLDER)
}
