//! Writes a status when it says something new.

use keylime_attestor_api::{KeylimeAttestor, KeylimeAttestorStatus};
use kube::api::{Api, Patch, PatchParams};
use kube::{Resource as _, ResourceExt as _};
use serde_json::json;

use crate::cluster::{Cluster, Error};
use keylime_attestor_api::names::FIELD_MANAGER;

/// Whether it was written.
///
/// # Errors
/// When the apiserver does not take it.
pub(crate) async fn write(
    cluster: &Cluster,
    resource: &KeylimeAttestor,
    status: &KeylimeAttestorStatus,
) -> Result<bool, Error> {
    if resource.status.as_ref() == Some(status) {
        return Ok(false);
    }
    let name = resource.name_any();
    let api: Api<KeylimeAttestor> = cluster.namespaced(&resource.namespace().unwrap_or_default());
    // With the uid it can never make an object of the same name anew.
    let whole = json!({
        "apiVersion": KeylimeAttestor::api_version(&()),
        "kind": KeylimeAttestor::kind(&()),
        "metadata": {"name": name, "uid": resource.uid()},
        "status": status,
    });
    let params = PatchParams::apply(FIELD_MANAGER).force();
    match api.patch_status(&name, &params, &Patch::Apply(&whole)).await {
        Ok(_) => Ok(true),
        Err(error) => {
            let error = Error::api("write", format!("the status of {name}"))(error);
            // It is gone, and with it everybody who would read its status.
            if error.is_not_found() { Ok(false) } else { Err(error) }
        }
    }
}
