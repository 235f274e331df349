//! The objects that carry something of a resource, read one by one: those that its status names.

use k8s_openapi::api::core::v1::ConfigMap;
use keylime_attestor_api::{KeylimeAttestorStatus, OwnedObject};
use kube::ResourceExt as _;

use super::Gathered;
use crate::cluster::{Cluster, Error};
use crate::configuration::derived;
use crate::model::owned;
use crate::model::workload::{Kind, WorkloadKey};

/// Reads the objects that carry something. One of the same name and another UID carries nothing.
pub(super) async fn read(
    cluster: &Cluster,
    status: &KeylimeAttestorStatus,
    gathered: &mut Gathered,
) -> Result<(), Error> {
    for object in &status.objects {
        let OwnedObject { kind, namespace, name, uid } = object;
        if !cluster.manages(namespace) {
            // Kept unread: the namespace may be managed again.
            gathered.carrying.push(object.clone());
            continue;
        }
        let Some(kind) = Kind::ALL.into_iter().find(|known| known.as_str() == kind) else {
            let found = cluster.config_map(namespace, name).await?;
            if let Some(map) = found.filter(|map| owned::is(object, &map.metadata)) {
                gathered.carrying.push(owned::config_map(&map.metadata));
                gathered.our_maps.push(map);
            }
            continue;
        };
        let key = WorkloadKey { kind, namespace: namespace.clone(), name: name.clone() };
        let found = cluster.workload(&key).await?;
        if let Some(workload) = found.filter(|found| uid.as_ref() == Some(&found.uid) && found.managed) {
            gathered.carrying.push(owned::workload(&workload));
            gathered.ours.push(workload);
        }
    }
    Ok(())
}

/// Our ConfigMap beside one of SPIRE. Another's of the same name is not read, but recorded as
/// foreign.
pub(super) async fn beside(
    cluster: &Cluster,
    gathered: &mut Gathered,
    namespace: &str,
    config_map: &str,
) -> Result<Option<ConfigMap>, Error> {
    let name = derived::name(config_map);
    let is_it = |map: &&ConfigMap| map.namespace().as_deref() == Some(namespace) && map.name_any() == name;
    if let Some(ours) = gathered.our_maps.iter().find(is_it) {
        return Ok(Some(ours.clone()));
    }
    if cluster.has_config_map(namespace, &name).await? {
        gathered.foreign.insert((namespace.to_owned(), name));
    }
    Ok(None)
}
