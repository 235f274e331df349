//! The write of a status.

use keylime_attestor_api::{KeylimeAttestor, KeylimeAttestorStatus, OwnedObject};
use kube::Resource as _;
use kube::api::{Api, ObjectMeta, Patch, PatchParams};
use serde_json::json;

use crate::cluster::{Cluster, Error};
use keylime_attestor_api::names::FIELD_MANAGER;

/// Writes a status where it says something new; true when it did.
///
/// # Errors
/// The apiserver's refusal, or that it is away.
pub(crate) async fn write(
    cluster: &Cluster,
    resource: &KeylimeAttestor,
    status: &KeylimeAttestorStatus,
) -> Result<bool, Error> {
    if resource.status.as_ref() == Some(status) {
        return Ok(false);
    }
    apply(cluster, &resource.metadata, status).await
}

/// Writes down the objects that are about to carry something of a resource, where its status does
/// not have them yet.
///
/// # Errors
/// The apiserver's refusal, or that it is away.
pub(crate) async fn carrying(
    cluster: &Cluster,
    resource: &KeylimeAttestor,
    carrying: &[OwnedObject],
) -> Result<(), Error> {
    let mut status = resource.status.clone().unwrap_or_default();
    if carrying.iter().all(|object| status.objects.contains(object)) {
        return Ok(());
    }
    status.objects = carrying.to_vec();
    apply(cluster, &resource.metadata, &status).await.map(drop)
}

/// Applies a status; false where the resource is gone.
///
/// # Errors
/// The apiserver's refusal, or that it is away.
pub(crate) async fn apply(
    cluster: &Cluster,
    resource: &ObjectMeta,
    status: &KeylimeAttestorStatus,
) -> Result<bool, Error> {
    let name = resource.name.clone().unwrap_or_default();
    let namespace = resource.namespace.as_deref().unwrap_or_default();
    let api: Api<KeylimeAttestor> = cluster.namespaced(namespace);
    // With the uid it can never make an object of the same name anew.
    let whole = json!({
        "apiVersion": KeylimeAttestor::api_version(&()),
        "kind": KeylimeAttestor::kind(&()),
        "metadata": {"name": name, "uid": resource.uid},
        "status": status,
    });
    let params = PatchParams::apply(FIELD_MANAGER).force();
    match api.patch_status(&name, &params, &Patch::Apply(&whole)).await {
        Ok(_) => Ok(true),
        Err(error) => {
            let error = Error::api("write", format!("the status of {name}"))(error);
            // The resource is gone, and with it all readers of its status.
            if error.is_not_found() { Ok(false) } else { Err(error) }
        }
    }
}
