//! The objects that carry something of a resource: its status names them by kind, name and UID.
//! Labels are for humans and prove nothing: anybody can copy them. Pure.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use keylime_attestor_api::OwnedObject;
use serde_json::Value;

use crate::model::step::Step;
use crate::model::workload::{Workload, is_ours};

const CONFIG_MAP: &str = "ConfigMap";

/// The status's entry of a ConfigMap.
pub(crate) fn config_map(found: &ObjectMeta) -> OwnedObject {
    OwnedObject {
        kind: CONFIG_MAP.to_owned(),
        namespace: found.namespace.clone().unwrap_or_default(),
        name: found.name.clone().unwrap_or_default(),
        uid: found.uid.clone(),
    }
}

/// The status's entry of a workload.
pub(crate) fn workload(found: &Workload) -> OwnedObject {
    OwnedObject {
        kind: found.key.kind.as_str().to_owned(),
        namespace: found.key.namespace.clone(),
        name: found.key.name.clone(),
        uid: Some(found.uid.clone()),
    }
}

/// True for a found object that is the one of an entry. One without UID was about to be made then:
/// it is ours where no other field manager has a part in it.
pub(crate) fn is(written: &OwnedObject, found: &ObjectMeta) -> bool {
    let mut fields = found.managed_fields.iter().flatten();
    match &written.uid {
        Some(uid) => found.uid.as_ref() == Some(uid),
        None => found.managed_fields.is_some() && fields.all(is_ours),
    }
}

/// The entries before steps are taken, so that each object is known wherever the steps are cut off:
/// those that carry something already, and those that the steps make or change.
pub(crate) fn with(carrying: &[OwnedObject], steps: &[Step]) -> Vec<OwnedObject> {
    let mut objects = carrying.to_vec();
    let receivers = steps.iter().filter_map(receiver);
    for object in receivers {
        let same = objects.iter().position(|other| is_same(other, &object));
        match same.and_then(|at| objects.get_mut(at)) {
            Some(there) if object.uid.is_some() => *there = object,
            Some(_) => {}
            None => objects.push(object),
        }
    }
    objects.sort();
    objects
}

/// Completes the entry of an object that was made, with its UID from the apiserver.
pub(crate) fn made(objects: &mut [OwnedObject], found: &ObjectMeta) {
    let made = config_map(found);
    let written = objects.iter_mut().find(|object| is_same(object, &made));
    if let Some(written) = written.filter(|written| is(written, found)) {
        *written = made;
    }
}

/// The object that a step makes or changes. SPIRE's own ConfigMap is known by ours beside it.
fn receiver(step: &Step) -> Option<OwnedObject> {
    let (kind, object) = match step {
        Step::Configure { object, .. } => (CONFIG_MAP, object),
        Step::Overlay { workload, object, .. } | Step::Hold { workload, object } => {
            (workload.kind.as_str(), object)
        }
        Step::Edit { .. }
        | Step::Withdraw { .. }
        | Step::Restore { .. }
        | Step::Delete { .. }
        | Step::DeletePod { .. } => return None,
    };
    let text = |key: &str| object.get("metadata")?.get(key).and_then(Value::as_str).map(str::to_owned);
    Some(OwnedObject {
        kind: kind.to_owned(),
        namespace: text("namespace")?,
        name: text("name")?,
        uid: text("uid"),
    })
}

fn is_same(one: &OwnedObject, other: &OwnedObject) -> bool {
    (&one.kind, &one.namespace, &one.name) == (&other.kind, &other.namespace, &other.name)
}

#[cfg(test)]
mod tests;
