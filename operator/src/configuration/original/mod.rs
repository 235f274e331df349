//! SPIRE's configuration as it was before our part came into it, where its own ConfigMap is edited.
//! Pure.

use hcl::edit::{self, Variables};
use k8s_openapi::api::core::v1::ConfigMap;
use keylime_attestor_api::names::{annotation, path};
use serde_json::Map;

use crate::configuration::derived::derive;
use crate::model::target::{Plugin, Role, annotation, text};

/// Which name the edited configurations give the plugin.
pub(crate) const PLUGIN_NAME: &str = "spire.keylime.dev/plugin-name";

/// What stands before the key of an entry that is kept.
pub(crate) const fn prefix(role: Role) -> &'static str {
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

/// As [`original`], of SPIRE's ConfigMap and ours beside it. Where ours is gone, what was kept is
/// lost: an edited text is then no original.
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

/// SPIRE's configuration without our node attestor, from the text as it is and what was kept.
///
/// Where nobody has edited the text since, this is what was kept, byte for byte. Where somebody
/// has, his edits stay. [`None`] when ours is in it and cannot be told from the rest.
pub(crate) fn original(role: Role, kept: Option<Kept<'_>>, current: &str) -> Option<String> {
    let Some(Kept { original, plugin }) = kept else { return Some(current.to_owned()) };
    let names = edit::node_attestors(current).ok();
    if names.is_some_and(|names| !names.iter().any(|name| name == plugin)) {
        return Some(current.to_owned());
    }
    // With the same element in both, what still differs are the edits of others.
    let plugin = Plugin { name: plugin.to_owned(), checksum: "0".repeat(64), image: String::new() };
    // Whether variables may stand in it was decided when it was edited.
    let set = |text: &str| derive(role, text, &plugin, &Map::new(), Variables::Expanded).ok();
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

#[cfg(test)]
mod tests;
