//! The Secrets that SPIRE's pods mount. Only the one of the operator's own client of Keylime is
//! read; of the others only the existence is checked.

use std::collections::BTreeMap;
use std::sync::Arc;

use k8s_openapi::api::core::v1::Secret;
use keylime_attestor_api::KeylimeAttestor;
use kube::ResourceExt as _;

use super::Presence;
use crate::cluster::{Cluster, Error};
use crate::keylime_client::KeylimeClient;
use crate::model::target::Asked;
use crate::report_identity::ReportIdentity;

type Secrets = BTreeMap<(String, String), Presence>;

/// Checks every Secret that the resource names, where it is to be mounted. With `identity` SPIRE's
/// server is asked for its report.
pub(super) async fn secrets(
    cluster: &Cluster,
    resource: &KeylimeAttestor,
    identity: Option<&ReportIdentity>,
) -> Result<(Secrets, Option<Arc<KeylimeClient>>), Error> {
    let keylime = &resource.spec.keylime;
    let mut secrets = Secrets::new();
    let mut keylime_client = None;
    for asked in Asked::all(resource) {
        let namespace = asked.key.namespace;
        match asked.keylime_agent {
            None => {
                let name = &keylime.tls.secret_name;
                let presence = match cluster.secret(&namespace, name).await {
                    Ok(Some(secret)) => match usable(resource, secret, identity.cloned()).await {
                        Ok(usable) => {
                            keylime_client = Some(Arc::new(usable));
                            Presence::There
                        }
                        Err(details) => Presence::Incomplete(details),
                    },
                    Ok(None) => Presence::Missing,
                    Err(error) if error.is_forbidden() => Presence::Forbidden,
                    Err(error) => return Err(error),
                };
                secrets.insert((namespace, name.clone()), presence);
            }
            Some(agent) => {
                let Some(name) = agent.secret_name() else { continue };
                let presence = match cluster.has_secret(&namespace, name).await {
                    Ok(true) => Presence::There,
                    Ok(false) => Presence::Missing,
                    Err(error) if error.is_forbidden() => Presence::Forbidden,
                    Err(error) => return Err(error),
                };
                secrets.insert((namespace, name.to_owned()), presence);
            }
        }
    }
    Ok((secrets, keylime_client))
}

async fn usable(
    resource: &KeylimeAttestor,
    secret: Secret,
    identity: Option<ReportIdentity>,
) -> Result<KeylimeClient, Vec<String>> {
    let keylime = resource.spec.keylime.clone();
    let of_secret = secret.metadata.resource_version.clone().unwrap_or_default();
    let (uid, generation) =
        (resource.uid().unwrap_or_default(), resource.metadata.generation.unwrap_or_default());
    let of_identity = identity.as_ref().map(|identity| identity.key_hash().to_string()).unwrap_or_default();
    let version = format!("{of_secret} {uid} {generation} {of_identity}");
    let made = tokio::task::spawn_blocking(move || {
        KeylimeClient::new(&keylime, &secret, identity.as_ref(), version)
    });
    let made = made.await;
    made.unwrap_or_else(|_| Err(vec!["reading it was interrupted".to_owned()]))
}
