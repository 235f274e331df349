//! The Secret with the operator's own certificate for the report: empty when it is installed,
//! filled once, and filled anew when it is gone or damaged.

use k8s_openapi::api::core::v1::Secret;
use keylime_attestor_api::conditions::configuration_applied as reason;
use keylime_attestor_api::names::FIELD_MANAGER;
use kube::ResourceExt as _;
use kube::api::{ObjectMeta, Patch, PatchParams};
use tracing::info;

use crate::cluster::{Cluster, Error, OwnSecret};
use crate::model::problem::Problem;
use crate::report_identity::ReportIdentity;

/// The operator's certificate, made first where there is none.
pub(super) async fn report_identity(cluster: &Cluster) -> Result<Result<ReportIdentity, Problem>, Error> {
    if cluster.dry_run {
        return Ok(Ok(read_or_supposed(cluster).await?));
    }
    let Some(at) = &cluster.report_secret else {
        let expected = "expected to know the operator's own namespace, where it keeps its certificate for the report: start it with --pod-namespace";
        return Ok(Err(Problem::new(reason::REFUSED, expected)));
    };
    match read_or_made(cluster, at).await {
        Ok(identity) => Ok(Ok(identity)),
        Err(error) if error.is_refusal() => {
            let message = format!(
                "{error}: the operator keeps its own certificate for the report there, and needs the rights to get, create and patch this one Secret, which the chart's Role gives"
            );
            Ok(Err(Problem::new(reason::REFUSED, message)))
        }
        Err(error) => Err(error),
    }
}

/// The one that is kept, or one of the kind that would be made.
async fn read_or_supposed(cluster: &Cluster) -> Result<ReportIdentity, Error> {
    let kept = match &cluster.report_secret {
        Some(at) => cluster.secret(&at.namespace, &at.name).await.ok().flatten(),
        None => None,
    };
    let kept = kept.as_ref().and_then(ReportIdentity::read);
    kept.map_or_else(|| ReportIdentity::new().map_err(Error::Certificate), Ok)
}

/// Whatever was made counts only as it is read afterwards: another replica may have been faster.
async fn read_or_made(cluster: &Cluster, at: &OwnSecret) -> Result<ReportIdentity, Error> {
    let before = cluster.secret(&at.namespace, &at.name).await?;
    if let Some(identity) = before.as_ref().and_then(ReportIdentity::read) {
        return Ok(identity);
    }
    fill(cluster, at, before.as_ref().and_then(Secret::resource_version)).await?;
    let kept = cluster.secret(&at.namespace, &at.name).await?;
    kept.as_ref().and_then(ReportIdentity::read).ok_or_else(|| Error::NotKept(at.to_string()))
}

/// Writes a new certificate into the Secret as it was read, in this version or not there. That
/// another one changed it meanwhile is no error.
async fn fill(cluster: &Cluster, at: &OwnSecret, version: Option<String>) -> Result<(), Error> {
    let identity = ReportIdentity::new().map_err(Error::Certificate)?;
    let secret = Secret {
        metadata: ObjectMeta {
            name: Some(at.name.clone()),
            namespace: Some(at.namespace.clone()),
            resource_version: version,
            ..ObjectMeta::default()
        },
        data: Some(identity.data()),
        ..Secret::default()
    };
    let params = PatchParams::apply(FIELD_MANAGER).force();
    let api = cluster.namespaced::<Secret>(&at.namespace);
    let written = api.patch(&at.name, &params, &Patch::Apply(&secret)).await;
    match written.map_err(Error::api("patch", format!("the Secret {at}"))) {
        Ok(_) => {
            let (secret, key) = (at.to_string(), identity.key_hash());
            info!(secret, key_sha256 = %key, "a certificate for the report was made");
            Ok(())
        }
        Err(error) if error.is_conflict() => Ok(()),
        Err(error) => Err(error),
    }
}
