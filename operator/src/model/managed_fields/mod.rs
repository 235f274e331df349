//! The managed fields: the apiserver's record of the owners of each field.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::ConfigMap;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{FieldsV1, ManagedFieldsEntry};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::model::workload::is_ours;

/// An owner of a field.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct FieldOwner {
    manager: String,
    operation: String,
    /// True for an owner of the map around it, too.
    with_map: bool,
}

/// The owners by key of SPIRE's ConfigMap.
pub(crate) type FieldOwners = BTreeMap<String, Vec<FieldOwner>>;

/// The owners of an entry, other than us.
pub(crate) fn owners_of(map: &ConfigMap, key: &str) -> Vec<FieldOwner> {
    let of = |entry: &ManagedFieldsEntry| {
        let fields = &entry.fields_v1.as_ref()?.0;
        fields.pointer(&pointer(key))?;
        Some(FieldOwner {
            manager: entry.manager.clone()?,
            operation: entry.operation.clone()?,
            with_map: fields.pointer("/f:data/.").is_some(),
        })
    };
    let entries = map.metadata.managed_fields.iter().flatten();
    entries.filter(|entry| !is_ours(entry)).filter_map(of).collect()
}

/// The managed fields of a restored ConfigMap, without us: each entry is again its former owner's.
/// One without an owner would seem to have been written before there were managed fields, and its
/// owner's next server-side apply would be a conflict.
pub(crate) fn released(fields: &[ManagedFieldsEntry], owners: &FieldOwners) -> Vec<ManagedFieldsEntry> {
    let ours = fields.iter().find(|entry| is_ours(entry));
    let mut released: Vec<ManagedFieldsEntry> =
        fields.iter().filter(|entry| !is_ours(entry)).cloned().collect();
    for (key, owners) in owners {
        for owner in owners {
            let is_it = |entry: &&mut ManagedFieldsEntry| {
                entry.manager.as_ref() == Some(&owner.manager)
                    && entry.operation.as_ref() == Some(&owner.operation)
                    && entry.subresource.is_none()
            };
            let mut field = json!({"f:data": {format!("f:{key}"): {}}});
            if owner.with_map {
                add(&mut field, &json!({"f:data": {".": {}}}));
            }
            match released.iter_mut().find(is_it) {
                Some(entry) => add(&mut entry.fields_v1.get_or_insert_with(|| FieldsV1(json!({}))).0, &field),
                None => released.extend(ours.map(|ours| ManagedFieldsEntry {
                    manager: Some(owner.manager.clone()),
                    operation: Some(owner.operation.clone()),
                    fields_v1: Some(FieldsV1(field)),
                    ..ours.clone()
                })),
            }
        }
    }
    released
}

fn add(fields: &mut Value, more: &Value) {
    let (Value::Object(fields), Value::Object(more)) = (fields, more) else { return };
    for (key, more) in more {
        add(fields.entry(key.clone()).or_insert_with(|| json!({})), more);
    }
}

/// The pointer to an entry in the managed fields.
fn pointer(key: &str) -> String {
    format!("/f:data/f:{}", key.replace('~', "~0").replace('/', "~1"))
}

#[cfg(test)]
mod tests;
