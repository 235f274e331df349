//! Mode `InPlace`: SPIRE's own ConfigMap is edited, and the text from before is kept beside it, to
//! be put back.

use std::collections::BTreeMap;

use hcl::edit::Placement;
use k8s_openapi::api::core::v1::ConfigMap;
use keylime_attestor_api::names::annotation;
use serde_json::{Value, json};

use crate::configuration::derived;
use crate::configuration::original::{PLUGIN_NAME, edited, kept, kept_key, original};
use crate::model::managed_fields::{FieldOwners, owners_of};
use crate::model::target::{Owner, Role, Target, annotation, text};

/// The annotation with the former owners of each edited entry, by the managed fields.
const OWNERS: &str = "spire.keylime.dev/owners";

/// The ConfigMap that keeps the originals: of this target, and of those that share SPIRE's
/// ConfigMap and were edited before.
pub(crate) fn keep(owner: &Owner, target: &Target) -> Value {
    let source = &target.source;
    let mut data =
        BTreeMap::from([(kept_key(target.role, target.placement, &source.key), source.original.clone())]);
    for (role, key) in source.beside.iter().flat_map(edited).filter(|other| *other != of(target)) {
        if let Some(kept) = kept(source.beside.as_ref(), role, key) {
            data.entry(kept_key(role, kept.placement, key)).or_insert_with(|| kept.original.to_owned());
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

/// True where the edit of before left our node attestor alone, and this one does not.
pub(crate) fn readmits(target: &Target) -> bool {
    let kept = kept(target.source.beside.as_ref(), target.role, &target.source.key);
    target.placement == Placement::Beside && kept.is_some_and(|kept| kept.placement == Placement::Sole)
}

/// The entry of a target.
fn of(target: &Target) -> (Role, &str) {
    (target.role, &target.source.key)
}

/// The former owners of the edited entries, by the annotation.
pub(crate) fn owners(beside: &ConfigMap) -> FieldOwners {
    let kept = annotation(beside.metadata.annotations.as_ref(), OWNERS);
    kept.and_then(|kept| serde_json::from_str(kept).ok()).unwrap_or_default()
}

/// SPIRE's own ConfigMap with our part in this target's entry. Other edited entries are ours, too,
/// and an apply has to repeat them.
pub(crate) fn edit(owner: &Owner, target: &Target) -> Value {
    let source = &target.source;
    // One for all pods, as `validate` sees to.
    let derived = target.derived.any().map(|text| (source.key.as_str(), text.as_str()));
    let mut data: BTreeMap<&str, &str> = derived.into_iter().collect();
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

/// SPIRE's own ConfigMap with the texts from before, in the entries that are picked; the others are
/// repeated as they are, because one that is left out would be deleted. Edits of others beside ours
/// stay; where they cannot be told from ours, they are lost.
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
