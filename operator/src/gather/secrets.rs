//! The Secrets that SPIRE's pods mount. Only the one of the operator's own client of Keylime is
//! read; of the others only the existence is checked.

use std::collections::BTreeMap;
use std::sync::Arc;

use k8s_openapi::api::core::v1::Secret;
use keylime_attestor_api::KeylimeAttestor;
use keylime_attestor_api::names::secret_key;
use kube::ResourceExt as _;

use super::Presence;
use crate::certificate::Certificate;
use crate::cluster::{Cluster, Error};
use crate::keylime_client::KeylimeClient;
use crate::model::target::Asked;
use crate::report_identity::ReportIdentity;

/// The Secrets of a resource.
#[derive(Default)]
pub(super) struct Secrets {
    /// By namespace and name.
    pub(super) present: BTreeMap<(String, String), Presence>,
    /// The certificate of the one that is read.
    pub(super) client_certificate: Option<Certificate>,
    /// [`None`] where it cannot be used.
    pub(super) keylime_client: Option<Arc<KeylimeClient>>,
}

/// Checks every Secret that the resource names, where it is to be mounted. With `identity` SPIRE's
/// server is asked for its report.
pub(super) async fn secrets(
    cluster: &Cluster,
    resource: &KeylimeAttestor,
    identity: Option<&ReportIdentity>,
) -> Result<Secrets, Error> {
    let keylime = &resource.spec.keylime;
    let mut secrets = Secrets::default();
    for asked in Asked::all(resource) {
        let namespace = asked.key.namespace;
        match asked.keylime_agent {
            None => {
                let name = &keylime.tls.secret_name;
                let presence = match cluster.secret(&namespace, name).await {
                    Ok(Some(secret)) => {
                        secrets.client_certificate = certificate(&secret);
                        match usable(resource, secret, identity.cloned()).await {
                            Ok(usable) => {
                                secrets.keylime_client = Some(Arc::new(usable));
                                Presence::There
                            }
                            Err(details) => Presence::Incomplete(details),
                        }
                    }
                    Ok(None) => Presence::Missing,
                    Err(error) if error.is_forbidden() => Presence::Forbidden,
                    Err(error) => return Err(error),
                };
                secrets.present.insert((namespace, name.clone()), presence);
            }
            Some(agent) => {
                let Some(name) = agent.secret_name() else { continue };
                let presence = match cluster.has_secret(&namespace, name).await {
                    Ok(true) => Presence::There,
                    Ok(false) => Presence::Missing,
                    Err(error) if error.is_forbidden() => Presence::Forbidden,
                    Err(error) => return Err(error),
                };
                secrets.present.insert((namespace, name.to_owned()), presence);
            }
        }
    }
    Ok(secrets)
}

fn certificate(secret: &Secret) -> Option<Certificate> {
    Certificate::read(&secret.data.as_ref()?.get(secret_key::CERTIFICATE)?.0)
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
