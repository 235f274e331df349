//! SPIRE's configuration without our part, where its own ConfigMap is edited in place. Pure.

use hcl::edit::{self, Placement, Variables};
use k8s_openapi::api::core::v1::ConfigMap;
use keylime_attestor_api::names::{annotation, path};
use serde_json::Map;

use crate::configuration::derived::derive;
use crate::model::target::{Role, annotation, text};

/// The annotation with the plugin's name in the edited configurations.
pub(crate) const PLUGIN_NAME: &str = "spire.keylime.dev/plugin-name";

/// The prefixes of the kept entries' keys, by the edits that they are from before.
const PREFIXES: [(Role, Placement, &str); 3] = [
    (Role::Server, Placement::Beside, "original-server."),
    (Role::Server, Placement::Sole, "original-server-of-others."),
    (Role::Agent, Placement::Sole, "original-agent."),
];

/// The key of a kept entry.
pub(crate) fn kept_key(role: Role, placement: Placement, key: &str) -> String {
    let of = PREFIXES.iter().find(|(of, placed, _)| (*of, *placed) == (role, placement));
    format!("{}{key}", of.map(|(_, _, prefix)| *prefix).unwrap_or_default())
}

/// A text from before an edit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Kept<'a> {
    pub(crate) original: &'a str,
    /// The name that the edit gave the plugin.
    pub(crate) plugin: &'a str,
    /// The place that the edit gave it.
    pub(crate) placement: Placement,
}

/// The kept text of an entry of SPIRE's ConfigMap.
pub(crate) fn kept<'a>(beside: Option<&'a ConfigMap>, role: Role, key: &str) -> Option<Kept<'a>> {
    let beside = beside?;
    let plugin = annotation(beside.metadata.annotations.as_ref(), PLUGIN_NAME)?;
    PREFIXES.iter().filter(|(of, ..)| *of == role).find_map(|(_, placement, prefix)| {
        let original = text(beside, &format!("{prefix}{key}"))?;
        Some(Kept { original, plugin, placement: *placement })
    })
}

/// The edited entries of SPIRE's ConfigMap, by the kept texts.
pub(crate) fn edited(beside: &ConfigMap) -> Vec<(Role, &str)> {
    let keys = beside.data.iter().flatten().map(|(key, _)| key);
    keys.filter_map(|key| {
        PREFIXES.iter().find_map(|(role, _, prefix)| Some((*role, key.strip_prefix(prefix)?)))
    })
    .collect()
}

/// The name of SPIRE's ConfigMap that one of ours was derived from.
pub(crate) fn source_of(beside: &ConfigMap) -> Option<&str> {
    annotation(beside.metadata.annotations.as_ref(), annotation::DERIVED_FROM)
}

/// As [`original`], from SPIRE's ConfigMap and ours beside it. Where ours is gone, the kept texts
/// are lost: an edited text is then no original.
pub(crate) fn original_of(
    role: Role,
    (source, beside): (&ConfigMap, Option<&ConfigMap>),
    key: &str,
    current: &str,
) -> Option<String> {
    let kept = kept(beside, role, key);
    let annotations = source.metadata.annotations.as_ref();
    let is_edited = annotation(annotations, annotation::ATTESTOR).is_some();
    if kept.is_some() || !is_edited {
        return original(role, kept, current);
    }
    let program = format!("{}/{}", path::PLUGIN, role.plugin());
    (!current.contains(&program)).then(|| current.to_owned())
}

/// SPIRE's configuration without our node attestor, from the current and the kept text.
///
/// Without other edits since, this is the kept text, byte for byte; edits of others stay. [`None`]
/// where our node attestor is in it and cannot be told from the rest.
pub(crate) fn original(role: Role, kept: Option<Kept<'_>>, current: &str) -> Option<String> {
    let Some(Kept { original, plugin, placement }) = kept else { return Some(current.to_owned()) };
    let names = edit::node_attestors(current).ok();
    if names.is_some_and(|names| !names.iter().any(|name| name == plugin)) {
        return Some(current.to_owned());
    }
    // With the same element in both, only the edits of others still differ.
    let checksum = "0".repeat(64);
    // Variables in the text were checked when it was edited, and are allowed here.
    let set = |text: &str| {
        derive((role, placement), text, (plugin, &checksum), &Map::new(), Variables::Expanded).ok()
    };
    let (then, now) = (set(original)?, set(current)?);
    if then == now {
        return Some(original.to_owned());
    }
    splice(original, &then, &now).filter(|spliced| set(spliced).as_ref() == Some(&now)).or_else(|| {
        match placement {
            Placement::Beside => edit::remove_node_attestor(current, plugin).ok(),
            Placement::Sole => None,
        }
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

/// The length in bytes of the beginning that two texts share.
fn common(a: impl Iterator<Item = char>, b: impl Iterator<Item = char>) -> usize {
    a.zip(b).take_while(|(a, b)| a == b).map(|(a, _)| a.len_utf8()).sum()
}

#[cfg(test)]
mod tests;
