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

/// Writes down what a withdrawal has to know of an apply, before it: the objects that will carry
/// something of the resource, and whether SPIRE's server will have our attestor alone.
///
/// # Errors
/// The apiserver's refusal, or that it is away.
pub(crate) async fn ahead(
    cluster: &Cluster,
    resource: &KeylimeAttestor,
    carrying: &[OwnedObject],
    exclusive: bool,
) -> Result<(), Error> {
    let mut status = resource.status.clone().unwrap_or_default();
    let known = carrying.iter().all(|object| status.objects.contains(object));
    if known && (status.readmission_due || !exclusive) {
        return Ok(());
    }
    status.objects = carrying.to_vec();
    status.readmission_due |= exclusive;
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
