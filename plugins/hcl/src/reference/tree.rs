//! Trees in the form in which the Go program tells them.

use serde_json::{Value, json};

use crate::tree::{Document, Item, Key, Kind, Language, Node};
use crate::value::{Data, Object, Value as Meant};

/// The tree as Go has it: of JSON, objects that hold nothing but objects are joined with their key,
/// and lists of nothing but objects become items of the same key.
pub(super) fn outline(document: &Document) -> Value {
    items(document.root.items(), document.language)
}

fn items(items: &[Item], language: Language) -> Value {
    let mut all = Vec::new();
    for item in items {
        let keys = item.keys.iter().collect();
        if language == Language::Json {
            flatten(keys, &item.value, &mut all)
        } else {
            all.push(one(&keys, &item.value, language))
        }
    }
    Value::Array(all)
}

fn flatten<'t>(keys: Vec<&'t Key>, node: &'t Node, all: &mut Vec<Value>) {
    let is_object = |node: &Node| matches!(node.kind, Kind::Object(_));
    match &node.kind {
        Kind::Object(members) if !members.is_empty() && members.iter().all(|item| is_object(&item.value)) => {
            for member in members {
                flatten(keys.iter().copied().chain(&member.keys).collect(), &member.value, all);
            }
        }
        Kind::List(list) if !list.is_empty() && list.iter().all(is_object) => {
            list.iter().for_each(|element| flatten(keys.clone(), element, all));
        }
        _ => all.push(one(&keys, node, Language::Json)),
    }
}

fn one(keys: &Vec<&Key>, node: &Node, language: Language) -> Value {
    let texts: Vec<&str> = keys.iter().map(|key| key.text.as_str()).collect();
    // Go forgets the places of JSON.
    let place = |key: &Key| if language == Language::Json { [0, 0] } else { [key.at.line, key.at.column] };
    let at: Vec<u32> = keys.iter().flat_map(|key| place(key)).collect();
    json!({"keys": texts, "at": at, "value": value(node, language)})
}

fn value(node: &Node, language: Language) -> Value {
    match &node.kind {
        Kind::Null => json!({"null": true}),
        Kind::Bool(value) => json!({"bool": value}),
        Kind::Integer(text, _) => json!({"integer": text}),
        Kind::Float(value) => json!({"float": value.to_bits().to_string()}),
        Kind::Text(text) => json!({"text": text}),
        Kind::List(list) => {
            json!({"list": list.iter().map(|node| value(node, language)).collect::<Vec<_>>()})
        }
        Kind::Object(members) => json!({"object": items(members, language)}),
    }
}

/// The outline of an HCL text without a null at its very end, which Go drops.
pub(super) fn without_last_null(outline: &Value) -> Value {
    let mut items = outline.as_array().unwrap().clone();
    items.pop_if(|item| item["value"].get("null").is_some());
    Value::Array(items)
}

/// The meaning of a text, as far as SPIRE's printing keeps it: every value with the keys that lead
/// to it. Printing makes lists of objects repeated blocks, and blocks in blocks blocks of several
/// keys.
pub(super) fn meaning(document: &Document) -> Vec<(Vec<String>, String)> {
    let mut leaves = Vec::new();
    of_object(&Object::of_document(document), &[], &mut leaves);
    leaves.sort();
    leaves
}

fn of_object(object: &Object, path: &[String], leaves: &mut Vec<(Vec<String>, String)>) {
    let before = leaves.len();
    for entry in &object.entries {
        let path: Vec<String> = path.iter().cloned().chain([entry.key.clone()]).collect();
        entry.values.iter().for_each(|value| of_value(value, &path, leaves));
    }
    if leaves.len() == before {
        leaves.push((path.to_vec(), "{}".into()));
    }
}

fn of_value(value: &Meant, path: &[String], leaves: &mut Vec<(Vec<String>, String)>) {
    let leaf = match &value.data {
        Data::Object(object) => return of_object(object, path, leaves),
        Data::List(list)
            if !list.is_empty() && list.iter().all(|item| matches!(item.data, Data::Object(_))) =>
        {
            return list.iter().for_each(|item| of_value(item, path, leaves));
        }
        Data::List(list) => {
            let mut inner = Vec::new();
            list.iter().for_each(|item| of_value(item, &[], &mut inner));
            format!("{inner:?}")
        }
        Data::Integer(text, _) => format!("integer {text}"),
        other => format!("{other:?}"),
    };
    leaves.push((path.to_vec(), leaf));
}
