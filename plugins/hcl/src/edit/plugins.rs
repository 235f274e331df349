//! Finds the plugins in a SPIRE configuration, in every form that SPIRE reads.

use super::Error;
use crate::Position;
use crate::tree::{Document, Item, Key, Kind, Language, Node};

pub(super) const NODE_ATTESTOR: &str = "NodeAttestor";

/// Where the plugins of a configuration stand.
#[derive(Debug)]
pub(super) struct Plugins<'t> {
    pub(super) place: Place<'t>,
    pub(super) all: Vec<Plugin<'t>>,
}

/// What holds the plugins.
#[derive(Debug, Clone, Copy)]
pub(super) enum Place<'t> {
    /// There is no `plugins`, or (HCL) only `plugins "NodeAttestor" "name" { … }` items at the top.
    Top,
    /// The object of the one `plugins`, and its item.
    Block(&'t Node, &'t Item),
}

/// One plugin.
#[derive(Debug, Clone, Copy)]
pub(super) struct Plugin<'t> {
    pub(super) kind: &'t str,
    pub(super) name: &'t str,
    /// The key that is its name.
    pub(super) name_key: &'t Key,
    /// Keys after the name, as in `NodeAttestor "x" plugin_data { … }`.
    pub(super) rest: &'t [Key],
    pub(super) body: &'t Node,
    /// The item that is this plugin and no other one.
    pub(super) item: &'t Item,
    /// The item of its type: the same one, or the one around it.
    pub(super) outer: &'t Item,
    /// The object that the item is a member of, where it is not a member of `plugins`.
    pub(super) parent: Option<&'t Node>,
}

impl<'t> Plugins<'t> {
    pub(super) fn find(document: &'t Document) -> Result<Self, Error> {
        let ours: Vec<&Item> = document.root.items().iter().filter(|item| is_plugins(item)).collect();
        let place = match ours.as_slice() {
            all if all.iter().all(|item| item.keys.len() > 1) => Place::Top,
            [only] => Place::Block(object_of(&only.value, document.language)?, only),
            [_, second, ..] => {
                return Err(Error::Shape(
                    second.keys.first().map_or(Position::START, |key| key.at),
                    "'plugins' is given more than once and SPIRE reads only one of them; make them one",
                ));
            }
            [] => Place::Top,
        };
        let mut all = Vec::new();
        match place {
            Place::Top => {
                for item in ours {
                    of_type(item, item.keys.get(1..).unwrap_or_default(), document.language, &mut all)?;
                }
            }
            Place::Block(object, _) => {
                for item in object.items() {
                    of_type(item, &item.keys, document.language, &mut all)?;
                }
            }
        }
        Ok(Self { place, all })
    }

    pub(super) fn node_attestors(&self) -> impl Iterator<Item = &Plugin<'t>> {
        self.all.iter().filter(|plugin| plugin.kind == NODE_ATTESTOR)
    }

    /// The NodeAttestor of this name.
    pub(super) fn named(&self, name: &str) -> Option<&Plugin<'t>> {
        self.node_attestors().find(|plugin| plugin.name == name)
    }
}

/// SPIRE compares `plugins` without regard to case, and the types of plugins exactly.
pub(super) fn is_plugins(item: &Item) -> bool {
    item.keys.first().is_some_and(|key| key.text.eq_ignore_ascii_case("plugins"))
}

fn object_of(node: &Node, language: Language) -> Result<&Node, Error> {
    match &node.kind {
        Kind::Object(_) => Ok(node),
        Kind::List(list) if language == Language::Json => match list.as_slice() {
            [only @ Node { kind: Kind::Object(_), .. }] => Ok(only),
            _ => Err(Error::Shape(
                node.at,
                "'plugins' is a list; SPIRE reads it only when it has one object in it",
            )),
        },
        _ => Err(Error::Shape(node.at, "'plugins' is no block of plugins")),
    }
}

/// Adds the plugins of an item whose keys, `plugins` apart, begin with their type.
fn of_type<'t>(
    outer: &'t Item,
    keys: &'t [Key],
    language: Language,
    all: &mut Vec<Plugin<'t>>,
) -> Result<(), Error> {
    let [kind, names @ ..] = keys else { return Ok(()) };
    if let [name_key, rest @ ..] = names {
        let name = name_key.text.as_str();
        let body = &outer.value;
        all.push(Plugin { kind: &kind.text, name, name_key, rest, body, item: outer, outer, parent: None });
        return Ok(());
    }
    match &outer.value.kind {
        Kind::Object(_) => in_object(kind, outer, &outer.value, all),
        Kind::List(list) if language == Language::Json => {
            for element in list {
                if !matches!(element.kind, Kind::Object(_)) {
                    return Err(Error::Shape(
                        element.at,
                        "a list of plugins holds something that is no object",
                    ));
                }
                in_object(kind, outer, element, all);
            }
        }
        _ => {
            return Err(Error::Shape(
                outer.value.at,
                "a type of plugins is followed by something that is no block",
            ));
        }
    }
    Ok(())
}

fn in_object<'t>(kind: &'t Key, outer: &'t Item, object: &'t Node, all: &mut Vec<Plugin<'t>>) {
    for item in object.items() {
        let [name_key, rest @ ..] = item.keys.as_slice() else { continue };
        let name = name_key.text.as_str();
        let parent = Some(object);
        all.push(Plugin { kind: &kind.text, name, name_key, rest, body: &item.value, item, outer, parent });
    }
}
