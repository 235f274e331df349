//! SPIRE's configuration with our node attestor in it, and the ConfigMap that holds it beside
//! SPIRE's own.

use std::collections::BTreeMap;

use hcl::edit::{self, NodeAttestor, Placement, Variables};
use keylime_attestor_api::Format;
use keylime_attestor_api::names::{SUFFIX, annotation, path};
use serde_json::{Map, Value, json};

use crate::model::target::{Manager, Owner, Plugin, Role, Source, Target};
use crate::model::workload::owner_labels;

/// The configuration of SPIRE with our node attestor in it, beside the others or instead of them.
/// Every byte outside of it stays.
pub(crate) fn derive(
    (role, placement): (Role, Placement),
    original: &str,
    plugin: &Plugin,
    data: &Map<String, Value>,
    variables: Variables,
) -> Result<String, edit::Error> {
    let program = format!("{}/{}", path::PLUGIN, role.plugin());
    let element = NodeAttestor {
        name: &plugin.name,
        plugin_cmd: &program,
        plugin_checksum: Some(&plugin.checksum),
        plugin_data: data,
    };
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

/// The derived ConfigMap of a target. `others` are the entries of other targets in it.
pub(crate) fn config_map(owner: &Owner, target: &Target, others: BTreeMap<String, String>) -> Value {
    let Source { config_map, key, .. } = &target.source;
    let mut data = others;
    data.insert(key.clone(), target.derived.clone());
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
