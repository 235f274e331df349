//! SPIRE's configuration with our node attestor in it, and the ConfigMap that holds it beside
//! SPIRE's own.

use std::collections::BTreeMap;

use hcl::edit::{self, NodeAttestor, Placement, Variables};
use k8s_openapi::api::core::v1::ConfigMap;
use keylime_attestor_api::Format;
use keylime_attestor_api::names::{SUFFIX, annotation, path};
use serde_json::{Map, Value, json};

use crate::model::builds::Builds;
use crate::model::target::{Manager, Owner, Role, Source, Target, text};
use crate::model::workload::owner_labels;

/// The configuration of SPIRE with our node attestor in it, beside the others or instead of them.
/// Every byte outside of it stays. The plugin has a name there, and its program a checksum.
pub(crate) fn derive(
    (role, placement): (Role, Placement),
    original: &str,
    (name, checksum): (&str, &str),
    data: &Map<String, Value>,
    variables: Variables,
) -> Result<String, edit::Error> {
    let program = format!("{}/{}", path::PLUGIN, role.plugin());
    let element =
        NodeAttestor { name, plugin_cmd: &program, plugin_checksum: Some(checksum), plugin_data: data };
    edit::set_node_attestor(original, &element, placement, variables)
}

/// The format of a configuration, by its first character, as SPIRE decides it, too.
pub(crate) fn format(text: &str) -> Format {
    if text.trim_start().starts_with('{') { Format::Json } else { Format::Hcl }
}

/// The name of our ConfigMap beside SPIRE's.
pub(crate) fn name(config_map: &str) -> String {
    format!("{config_map}{SUFFIX}")
}

/// What stands before the architecture in the key of a configuration that is for one of several.
const ARCHITECTURE: &str = "architecture-";

/// The derived texts of a target, by their keys.
pub(crate) fn entries(target: &Target) -> BTreeMap<String, String> {
    let key = &target.source.key;
    match &target.derived {
        Builds::One { of, .. } => BTreeMap::from([(key.clone(), of.clone())]),
        Builds::Each(all) => {
            all.iter().map(|(architecture, text)| (key_of(architecture, key), text.clone())).collect()
        }
    }
}

/// The key of each derived text of a target, with its path in the folder that is mounted.
pub(crate) fn files(target: &Target) -> Vec<(String, String)> {
    let key = &target.source.key;
    match &target.derived {
        Builds::One { .. } => vec![(key.clone(), key.clone())],
        Builds::Each(all) => all
            .keys()
            .map(|architecture| (key_of(architecture, key), format!("{architecture}/{key}")))
            .collect(),
    }
}

fn key_of(architecture: &str, key: &str) -> String {
    format!("{ARCHITECTURE}{architecture}.{key}")
}

/// The texts that our ConfigMap has for an entry of SPIRE's, by their keys.
pub(crate) fn present(beside: &ConfigMap, key: &str) -> BTreeMap<String, String> {
    let is_of = |other: &String| {
        let for_one = other.strip_prefix(ARCHITECTURE).and_then(|rest| rest.split_once('.'));
        other == key || for_one.is_some_and(|(_, of)| of == key)
    };
    let entries = beside.data.iter().flatten().filter(|(other, _)| is_of(other));
    entries.map(|(key, text)| (key.clone(), text.clone())).collect()
}

/// The text that was applied for an entry of SPIRE's, of whichever build: they differ in the
/// checksum alone.
pub(crate) fn applied(map: &ConfigMap, key: &str) -> Option<String> {
    let of_all = text(map, key).map(str::to_owned);
    of_all.or_else(|| present(map, key).into_values().next())
}

/// The derived ConfigMap of a target. `others` are the entries of other targets in it.
pub(crate) fn config_map(owner: &Owner, target: &Target, others: BTreeMap<String, String>) -> Value {
    let Source { config_map, .. } = &target.source;
    let mut data = others;
    data.extend(entries(target));
    object(owner, &target.key.namespace, config_map, BTreeMap::new(), data)
}

/// The derived ConfigMap of spire-controller-manager.
pub(crate) fn of_manager(owner: &Owner, namespace: &str, manager: &Manager) -> Value {
    let Manager { config_map, key, derived, .. } = manager;
    object(owner, namespace, config_map, BTreeMap::new(), BTreeMap::from([(key.clone(), derived.clone())]))
}

/// Our ConfigMap beside SPIRE's of this name.
pub(crate) fn object(
    owner: &Owner,
    namespace: &str,
    config_map: &str,
    mut annotations: BTreeMap<&str, String>,
    data: BTreeMap<String, String>,
) -> Value {
    // The same for every target: several may have their configurations in one ConfigMap.
    annotations.insert(annotation::DERIVED_FROM, config_map.to_owned());
    json!({
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {
            "name": name(config_map),
            "namespace": namespace,
            "labels": owner_labels(&owner.namespace, &owner.name),
            "annotations": annotations,
        },
        "data": data,
    })
}

#[cfg(test)]
mod tests;
