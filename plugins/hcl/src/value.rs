//! The meaning of a tree: a block with several keys is an object in an object, and items of one key
//! belong together.

use std::collections::HashMap;

use crate::Position;
use crate::tree::{Document, Item, Key, Kind, Node};

/// A value without the form that it was written in.
#[derive(Debug, Clone)]
pub(crate) struct Value {
    pub(crate) data: Data,
    pub(crate) at: Position,
}

#[derive(Debug, Clone)]
pub(crate) enum Data {
    Null,
    Bool(bool),
    Integer(String, i64),
    Float(f64),
    Text(String),
    List(Vec<Value>),
    Object(Object),
}

/// The keys of an object in the order of their first appearance.
#[derive(Debug, Clone)]
pub(crate) struct Object {
    pub(crate) entries: Vec<Entry>,
    pub(crate) at: Position,
}

/// A key with all that was given for it. Nulls are left out: no values at all means null.
#[derive(Debug, Clone)]
pub(crate) struct Entry {
    pub(crate) key: String,
    pub(crate) at: Position,
    pub(crate) values: Vec<Value>,
}

impl Object {
    pub(crate) fn of_document(document: &Document) -> Self {
        Self::of_items(document.root.items(), document.root.at)
    }

    pub(crate) fn of_items(items: &[Item], at: Position) -> Self {
        Self::of_parts(items.iter().map(|item| (item.keys.as_slice(), &item.value)), at)
    }

    /// Groups items by their first key; what has more keys makes one object of the rest.
    fn of_parts<'t>(parts: impl Iterator<Item = (&'t [Key], &'t Node)>, at: Position) -> Self {
        let mut groups: Vec<Group<'t>> = Vec::new();
        let mut known: HashMap<&str, usize> = HashMap::new();
        for (keys, node) in parts {
            let Some((first, rest)) = keys.split_first() else { continue };
            let index = *known.entry(&first.text).or_insert_with(|| {
                groups.push(Group { key: first, single: Vec::new(), nested: Vec::new() });
                groups.len() - 1
            });
            let Some(group) = groups.get_mut(index) else { continue };
            if rest.is_empty() {
                group.single.push(node);
            } else {
                group.nested.push((rest, node));
            }
        }
        Self { entries: groups.into_iter().map(Group::into_entry).collect(), at }
    }

    /// The entries of a key. There can be several, because keys match without regard to case.
    pub(crate) fn get<'s>(&'s self, key: &'s str) -> impl Iterator<Item = &'s Entry> {
        self.entries.iter().filter(move |entry| entry.key.eq_ignore_ascii_case(key))
    }
}

struct Group<'t> {
    key: &'t Key,
    single: Vec<&'t Node>,
    nested: Vec<(&'t [Key], &'t Node)>,
}

impl Group<'_> {
    fn into_entry(self) -> Entry {
        let mut values: Vec<Value> = self
            .single
            .into_iter()
            .map(Value::of_node)
            .filter(|value| !matches!(value.data, Data::Null))
            .collect();
        if !self.nested.is_empty() {
            let data = Data::Object(Object::of_parts(self.nested.into_iter(), self.key.at));
            values.push(Value { data, at: self.key.at });
        }
        Entry { key: self.key.text.clone(), at: self.key.at, values }
    }
}

impl Value {
    pub(crate) fn of_node(node: &Node) -> Self {
        let data = match &node.kind {
            Kind::Null => Data::Null,
            Kind::Bool(value) => Data::Bool(*value),
            Kind::Integer(text, value) => Data::Integer(text.clone(), *value),
            Kind::Float(value) => Data::Float(*value),
            Kind::Text(text) => Data::Text(text.clone()),
            Kind::List(list) => Data::List(list.iter().map(Self::of_node).collect()),
            Kind::Object(items) => Data::Object(Object::of_items(items, node.at)),
        };
        Self { data, at: node.at }
    }

    /// The object, also where it is the only element of a list: SPIRE prints JSON's `[{…}]` and
    /// `{…}` alike.
    pub(crate) fn as_object(&self) -> Option<&Object> {
        match &self.data {
            Data::Object(object) => Some(object),
            Data::List(list) => match list.as_slice() {
                [Self { data: Data::Object(object), .. }] => Some(object),
                _ => None,
            },
            _ => None,
        }
    }

    /// For error texts; keeps the value itself out of them.
    pub(crate) fn describe(&self) -> &'static str {
        match self.data {
            Data::Null => "nothing",
            Data::Bool(_) => "a boolean",
            Data::Integer(..) => "an integer",
            Data::Float(_) => "a number with a fraction",
            Data::Text(_) => "a string",
            Data::List(_) => "a list",
            Data::Object(_) => "a block",
        }
    }
}
