//! Mode `InPlace`: SPIRE's own ConfigMap is edited, and the text from before is kept beside it, to be put back.

use std::collections::BTreeMap;

use hcl::edit;
use k8s_openapi::api::core::v1::ConfigMap;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{FieldsV1, ManagedFieldsEntry};
use keylime_attestor_api::names::{annotation, path};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::derived::{self, derive};
use crate::gather::Found;
use crate::target::{Owner, Plugin, Role, Target, annotation, text};
use crate::workload::is_ours;

/// Who owned each edited entry before, as the apiserver keeps book of it.
const OWNERS: &str = "spire.keylime.dev/owners";
/// Which name the edited configurations give the plugin.
const PLUGIN_NAME: &str = "spire.keylime.dev/plugin-name";

/// What stands before the key of an entry that is kept.
const fn prefix(role: Role) -> &'static str {
    match role {
        Role::Server => "original-server.",
        Role::Agent => "original-agent.",
    }
}

/// A text from before an edit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Kept<'a> {
    pub(crate) original: &'a str,
    /// The name that the edit gave the plugin.
    pub(crate) plugin: &'a str,
}

/// What is kept for an entry of SPIRE's ConfigMap.
pub(crate) fn kept<'a>(beside: Option<&'a ConfigMap>, role: Role, key: &str) -> Option<Kept<'a>> {
    let beside = beside?;
    let plugin = annotation(beside.metadata.annotations.as_ref(), PLUGIN_NAME)?;
    Some(Kept { original: text(beside, &format!("{}{key}", prefix(role)))?, plugin })
}

/// The entries of SPIRE's ConfigMap that are edited, by what is kept.
pub(crate) fn edited(beside: &ConfigMap) -> Vec<(Role, &str)> {
    let keys = beside.data.iter().flatten().map(|(key, _)| key);
    keys.filter_map(|key| {
        [Role::Server, Role::Agent].into_iter().find_map(|role| Some((role, key.strip_prefix(prefix(role))?)))
    })
    .collect()
}

/// The ConfigMap of SPIRE that one of ours was made from.
pub(crate) fn source_of(beside: &ConfigMap) -> Option<&str> {
    annotation(beside.metadata.annotations.as_ref(), annotation::DERIVED_FROM)
}

/// As [`original`], of what was found. Where our own ConfigMap is gone, what was kept is lost: an edited text is then no original.
pub(crate) fn original_of(role: Role, found: &Found, key: &str, current: &str) -> Option<String> {
    let kept = kept(found.beside.as_ref(), role, key);
    let annotations = found.source.as_ref().and_then(|map| map.metadata.annotations.as_ref());
    let is_edited = annotation(annotations, annotation::ATTESTOR).is_some();
    if kept.is_some() || !is_edited {
        return original(role, kept, current);
    }
    let program = format!("{}/{}", path::PLUGIN, role.plugin());
    (!current.contains(&program)).then(|| current.to_owned())
}

/// SPIRE's configuration without our node attestor, from the text as it is and what was kept.
///
/// Where nobody has edited the text since, this is what was kept, byte for byte. Where somebody has, his edits stay. [`None`] when ours is in
/// it and cannot be told from the rest.
pub(crate) fn original(role: Role, kept: Option<Kept<'_>>, current: &str) -> Option<String> {
    let Some(Kept { original, plugin }) = kept else { return Some(current.to_owned()) };
    let names = edit::node_attestors(current).ok();
    if names.is_some_and(|names| !names.iter().any(|name| name == plugin)) {
        return Some(current.to_owned());
    }
    // With the same element in both, what still differs are the edits of others.
    let plugin = Plugin { name: plugin.to_owned(), checksum: "0".repeat(64), image: String::new() };
    let set = |text: &str| derive(role, text, &plugin, &Map::new()).ok();
    let (then, now) = (set(original)?, set(current)?);
    if then == now {
        return Some(original.to_owned());
    }
    splice(original, &then, &now).filter(|spliced| set(spliced).as_ref() == Some(&now)).or_else(|| match role
    {
        Role::Server => edit::remove_node_attestor(current, &plugin.name).ok(),
        Role::Agent => None,
    })
}

/// Undoes in `now` the change that leads from `original` to `then`, where it is found exactly once.
fn splice(original: &str, then: &str, now: &str) -> Option<String> {
    let start = common(original.chars(), then.chars());
    let (original, then) = (original.get(start..)?, then.get(start..)?);
    let end = common(original.chars().rev(), then.chars().rev());
    let (before, after) = (original.get(..original.len() - end)?, then.get(..then.len() - end)?);
    let mut found = now.match_indices(after);
    let ((at, _), None) = (found.next()?, found.next()) else { return None };
    Some([now.get(..at)?, before, now.get(at + after.len()..)?].concat())
}

/// Bytes that two texts begin with alike.
fn common(a: impl Iterator<Item = char>, b: impl Iterator<Item = char>) -> usize {
    a.zip(b).take_while(|(a, b)| a == b).map(|(a, _)| a.len_utf8()).sum()
}

/// The ConfigMap that keeps the originals: of this target, and of those that share SPIRE's ConfigMap and were edited before.
pub(crate) fn keep(owner: &Owner, target: &Target) -> Value {
    let source = &target.source;
    let mut data =
        BTreeMap::from([(format!("{}{}", prefix(target.role), source.key), source.original.clone())]);
    for (role, key) in source.beside.iter().flat_map(edited) {
        if let Some(kept) = kept(source.beside.as_ref(), role, key) {
            data.entry(format!("{}{key}", prefix(role))).or_insert_with(|| kept.original.to_owned());
        }
    }
    let mut owners = source.beside.as_ref().map(owners).unwrap_or_default();
    let now = owners_of(&source.live, &source.key);
    if !now.is_empty() {
        owners.insert(source.key.clone(), now);
    }
    let annotations =
        BTreeMap::from([(PLUGIN_NAME, target.plugin.name.clone()), (OWNERS, json!(owners).to_string())]);
    derived::object(owner, &target.key.namespace, &source.config_map, annotations, data)
}

/// Somebody who owns a field.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct FieldOwner {
    manager: String,
    operation: String,
    /// He owns the map around it, too.
    with_map: bool,
}

/// By key of SPIRE's ConfigMap.
pub(crate) type FieldOwners = BTreeMap<String, Vec<FieldOwner>>;

/// Who owned the edited entries, by what is kept.
pub(crate) fn owners(beside: &ConfigMap) -> FieldOwners {
    let kept = annotation(beside.metadata.annotations.as_ref(), OWNERS);
    kept.and_then(|kept| serde_json::from_str(kept).ok()).unwrap_or_default()
}

/// Who owns an entry, other than us.
fn owners_of(map: &ConfigMap, key: &str) -> Vec<FieldOwner> {
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

/// The book that the apiserver keeps of a restored ConfigMap, without us: each entry is again its former owner's. One that nobody has would seem
/// to have been written before there was a book, and its owner's next server-side apply would be a conflict.
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

/// Where an entry is in the apiserver's book.
fn pointer(key: &str) -> String {
    format!("/f:data/f:{}", key.replace('~', "~0").replace('/', "~1"))
}

/// SPIRE's own ConfigMap with our part in this target's entry. Other entries that are edited are ours, too, and have to be said again.
pub(crate) fn edit(owner: &Owner, target: &Target) -> Value {
    let source = &target.source;
    let mut data = BTreeMap::from([(source.key.as_str(), target.derived.as_str())]);
    for (_, key) in source.beside.iter().flat_map(edited) {
        if let Some(text) = text(&source.live, key) {
            data.entry(key).or_insert(text);
        }
    }
    let mut object = named(&source.live, &json!(data));
    if let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) {
        let value = format!("{}/{}", owner.namespace, owner.name);
        metadata.insert("annotations".to_owned(), json!({annotation::ATTESTOR: value}));
    }
    object
}

/// SPIRE's own ConfigMap with the texts from before, in the entries that are picked; the others are said again as they are, because one that is
/// left out would be deleted. Edits that somebody made beside ours stay; where they cannot be told from ours, they give way.
pub(crate) fn restore(live: &ConfigMap, beside: &ConfigMap, picked: impl Fn(Role, &str) -> bool) -> Value {
    let mut data = BTreeMap::new();
    for (role, key) in edited(beside) {
        let (Some(current), Some(kept)) = (text(live, key), kept(Some(beside), role, key)) else { continue };
        let text = if picked(role, key) {
            original(role, Some(kept), current).unwrap_or_else(|| kept.original.to_owned())
        } else {
            current.to_owned()
        };
        data.insert(key, text);
    }
    named(live, &json!(data))
}

fn named(live: &ConfigMap, data: &Value) -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {
            "name": live.metadata.name,
            "namespace": live.metadata.namespace,
            "uid": live.metadata.uid,
        },
        "data": data,
    })
}

#[cfg(test)]
#[path = "in_place_tests.rs"]
mod tests;
