//! Reads an edited text again and compares what it means with what was asked for.

use serde_json::{Map, Value};

use super::plugins::{NODE_ATTESTOR, Plugins, is_plugins};
use super::render::Element;
use super::{Error, Placement};
use crate::tree::{Document, Item};
use crate::value;

/// Compares a text before and after an edit: the element is as wanted (or gone), and all else means the same.
pub(super) fn edited(
    before: &Plugins<'_>,
    document: &Document,
    edited: &str,
    wanted: Option<&Element>,
    name: &str,
    placement: Placement,
) -> Result<(), Error> {
    let edited = Document::parse(edited).map_err(|_| Error::Unverified("it could not be parsed"))?;
    let after = Plugins::find(&edited)?;
    if edited.language != document.language || around(document) != around(&edited) {
        return Err(Error::Unverified("something beside 'plugins' changed"));
    }
    if listed(before, |kind, other| {
        kind != NODE_ATTESTOR || (placement == Placement::Beside && other != name)
    }) != listed(&after, |kind, other| kind != NODE_ATTESTOR || other != name)
    {
        return Err(Error::Unverified("another plugin changed"));
    }
    let ours = listed(&after, |kind, other| kind == NODE_ATTESTOR && other == name);
    let right = match (ours.as_slice(), wanted) {
        ([], None) => true,
        ([(_, _, found)], Some(wanted)) => *found == meaning(wanted),
        _ => false,
    };
    if right { Ok(()) } else { Err(Error::Unverified("the element is not as it should be")) }
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
    those
        .map(|plugin| (plugin.kind, plugin.name, of_item(plugin.item, plugin.rest.len(), plugin.body)))
        .collect()
}

/// What a plugin's item holds, with the keys after the plugin's name around it.
fn of_item(item: &Item, rest: usize, body: &crate::tree::Node) -> Value {
    let keys = item.keys.iter().rev().take(rest);
    keys.fold(of_value(value::Value::of_node(body)), |inner, key| {
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
