//! Reads an edited text again and compares what it means with what was asked for.

use serde_json::{Map, Value};

use super::Placement;
use super::plugins::{NODE_ATTESTOR, Plugin, Plugins, is_plugins};
use super::render::Element;
use crate::tree::Document;
use crate::value;

/// Tells if the text has the element as it is asked for, however it is written.
pub(super) fn stands(text: &str, plugins: &Plugins<'_>, wanted: &Element, placement: Placement) -> bool {
    plugins.to_replace(&wanted.name, placement).is_some_and(|ours| {
        // A variable would be replaced by something else than what is read here.
        let written = text.get(ours.item.start()..ours.item.value.end).unwrap_or_default();
        !written.contains('$') && of_plugin(ours) == meaning(wanted)
    })
}

/// Compares a text before and after an edit: the element is as wanted (or gone), and all else means
/// the same.
pub(super) fn edited(
    before: &Plugins<'_>,
    document: &Document,
    edited: &Document,
    wanted: Option<&Element>,
    name: &str,
    placement: Placement,
) -> Result<(), &'static str> {
    let after = Plugins::find(edited).map_err(|_| "its plugins could not be found")?;
    if edited.language != document.language || around(document) != around(edited) {
        return Err("something beside 'plugins' changed");
    }
    if listed(before, |kind, other| {
        kind != NODE_ATTESTOR || (placement == Placement::Beside && other != name)
    }) != listed(&after, |kind, other| kind != NODE_ATTESTOR || other != name)
    {
        return Err("another plugin changed");
    }
    match (after.named(name), wanted) {
        (None, None) => Ok(()),
        (Some(found), Some(wanted)) if of_plugin(found) == meaning(wanted) => Ok(()),
        _ => Err("the element is not as it should be"),
    }
}

/// Everything but the plugins.
fn around(document: &Document) -> Value {
    let object = value::Object::of_document(document);
    let entries = object.entries.into_iter().filter(|entry| !entry.key.eq_ignore_ascii_case("plugins"));
    let rest = document.root.items().iter().filter(|item| !is_plugins(item)).count();
    Value::Array(vec![Value::from(rest), of_entries(entries)])
}

fn listed<'t>(plugins: &Plugins<'t>, wanted: impl Fn(&str, &str) -> bool) -> Vec<(&'t str, &'t str, Value)> {
    let those = plugins.all.iter().filter(|plugin| wanted(plugin.kind, plugin.name));
    those.map(|plugin| (plugin.kind, plugin.name, of_plugin(plugin))).collect()
}

/// The value of a plugin's item, with the keys after the plugin's name around it.
fn of_plugin(plugin: &Plugin<'_>) -> Value {
    plugin.rest.iter().rev().fold(of_value(value::Value::of_node(plugin.body)), |inner, key| {
        Value::Object(Map::from_iter([(key.text.clone(), Value::Array(vec![inner]))]))
    })
}

fn meaning(element: &Element) -> Value {
    let members =
        element.content.iter().map(|(key, value)| ((*key).to_owned(), Value::Array(vec![nested(value)])));
    Value::Object(members.collect())
}

/// The form that [`of_value`] gives: each key has a list of the values given for it.
fn nested(value: &Value) -> Value {
    match value {
        Value::Object(members) => {
            let members = members.iter().map(|(key, value)| (key.clone(), Value::Array(vec![nested(value)])));
            Value::Object(members.collect())
        }
        Value::Array(list) => Value::Array(list.iter().map(nested).collect()),
        other => other.clone(),
    }
}

fn of_value(value: value::Value) -> Value {
    match value.data {
        value::Data::Null => Value::Null,
        value::Data::Bool(value) => Value::from(value),
        value::Data::Integer(_, value) => Value::from(value),
        value::Data::Float(value) => Value::from(value),
        value::Data::Text(text) => Value::from(text),
        value::Data::List(list) => Value::Array(list.into_iter().map(of_value).collect()),
        value::Data::Object(object) => of_entries(object.entries.into_iter()),
    }
}

fn of_entries(entries: impl Iterator<Item = value::Entry>) -> Value {
    let lists =
        entries.map(|entry| (entry.key, Value::Array(entry.values.into_iter().map(of_value).collect())));
    Value::Object(lists.collect())
}
