//! Finds the plugins in a SPIRE configuration, in every form that SPIRE reads.

use std::collections::HashMap;

use super::{Error, Placement};
use crate::Position;
use crate::error::short;
use crate::tree::{Document, Item, Key, Kind, Language, Node};

pub(super) const NODE_ATTESTOR: &str = "NodeAttestor";

/// The plugins of a configuration and where they stand.
#[derive(Debug)]
pub(super) struct Plugins<'t> {
    /// The objects of plugins. Several only in JSON; none where there is no `plugins`, or (HCL)
    /// only `plugins "NodeAttestor" "name" { … }` items at the top.
    pub(super) blocks: Vec<Block<'t>>,
    pub(super) all: Vec<Plugin<'t>>,
}

/// An object of plugins.
#[derive(Debug, Clone, Copy)]
pub(super) struct Block<'t> {
    pub(super) object: &'t Node,
    /// The `plugins` item with it.
    pub(super) item: &'t Item,
    /// True for an element of a list.
    pub(super) listed: bool,
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
    /// The object that `outer` is a member of.
    pub(super) home: &'t Node,
}

impl<'t> Plugins<'t> {
    pub(super) fn find(document: &'t Document) -> Result<Self, Error> {
        let root = &document.root;
        let ours: Vec<&Item> = root.items().iter().filter(|item| is_plugins(item)).collect();
        let mut all = Vec::new();
        let blocks = match (document.language, ours.as_slice()) {
            (Language::Json, _) => in_json(&ours)?,
            (Language::Hcl, items) if items.iter().all(|item| item.keys.len() > 1) => {
                for item in ours {
                    of_type(root, item, item.keys.get(1..).unwrap_or_default(), document.language, &mut all)?;
                }
                Vec::new()
            }
            (Language::Hcl, items) => vec![in_hcl(items)?],
        };
        for Block { object, .. } in &blocks {
            for item in object.items() {
                of_type(object, item, &item.keys, document.language, &mut all)?;
            }
        }
        reject_repeated(&all)?;
        Ok(Self { blocks, all })
    }

    pub(super) fn node_attestors(&self) -> impl Iterator<Item = &Plugin<'t>> {
        self.all.iter().filter(|plugin| plugin.kind == NODE_ATTESTOR)
    }

    /// The NodeAttestor of this name.
    pub(super) fn named(&self, name: &str) -> Option<&Plugin<'t>> {
        self.node_attestors().find(|plugin| plugin.name == name)
    }

    /// The same, where it stands as it is placed, so that no more than its content can differ.
    pub(super) fn to_replace(&self, name: &str, placement: Placement) -> Option<&Plugin<'t>> {
        let placed = placement == Placement::Beside || self.node_attestors().nth(1).is_none();
        self.named(name).filter(|_| placed)
    }
}

/// SPIRE compares `plugins` without regard to case, and the types of plugins exactly.
pub(super) fn is_plugins(item: &Item) -> bool {
    item.keys.first().is_some_and(|key| key.text.eq_ignore_ascii_case("plugins"))
}

pub(super) fn is_attestor(item: &Item) -> bool {
    item.keys.first().is_some_and(|key| key.text == NODE_ATTESTOR)
}

/// SPIRE reads the first block and says nothing about the others.
fn in_hcl<'t>(items: &[&'t Item]) -> Result<Block<'t>, Error> {
    match items {
        [item] if matches!(item.value.kind, Kind::Object(_)) => {
            Ok(Block { object: &item.value, item, listed: false })
        }
        [_, second, ..] => Err(shape(
            second.keys.first().map_or(Position::START, |key| key.at),
            "'plugins' is given more than once and SPIRE reads only one of them; make them one",
        )),
        _ => Err(shape(
            items.first().map_or(Position::START, |item| item.value.at),
            "'plugins' is no block of plugins; write it as plugins { … }",
        )),
    }
}

/// SPIRE joins the objects which hold nothing but objects; of the others it reads the first, and
/// that only where there are none to be joined.
fn in_json<'t>(items: &[&'t Item]) -> Result<Vec<Block<'t>>, Error> {
    let mut blocks = Vec::new();
    for item in items {
        match &item.value.kind {
            Kind::Object(_) => blocks.push(Block { object: &item.value, item, listed: false }),
            Kind::List(list) if !list.is_empty() && list.iter().all(is_object) => {
                blocks.extend(list.iter().map(|object| Block { object, item, listed: true }));
            }
            _ => {
                return Err(shape(
                    item.value.at,
                    "'plugins' is no object of plugins; write it as \"plugins\": { … }",
                ));
            }
        }
    }
    let flat = |block: &Block<'_>| block.object.items().iter().all(|item| is_object(&item.value));
    match blocks.as_slice() {
        [_, second, ..] if !blocks.iter().all(flat) => Err(shape(
            second.object.at,
            "'plugins' is given as several objects, of which SPIRE may read only a part; make them one object",
        )),
        _ => Ok(blocks),
    }
}

fn is_object(node: &Node) -> bool {
    matches!(node.kind, Kind::Object(_))
}

/// Adds the plugins of an item whose keys, `plugins` apart, begin with their type.
fn of_type<'t>(
    home: &'t Node,
    outer: &'t Item,
    keys: &'t [Key],
    language: Language,
    all: &mut Vec<Plugin<'t>>,
) -> Result<(), Error> {
    let [kind, names @ ..] = keys else { return Ok(()) };
    if let [name_key, rest @ ..] = names {
        let name = name_key.text.as_str();
        let body = &outer.value;
        let (kind, item) = (kind.text.as_str(), outer);
        all.push(Plugin { kind, name, name_key, rest, body, item, outer, parent: None, home });
        return Ok(());
    }
    match &outer.value.kind {
        Kind::Object(_) => in_object(home, kind, outer, &outer.value, all),
        Kind::List(list) if language == Language::Json => {
            if let Some(element) = list.iter().find(|element| !is_object(element)) {
                return Err(shape(
                    element.at,
                    "a list of plugins holds something that is no object; write a plugin as { \"name\": { … } }",
                ));
            }
            list.iter().for_each(|element| in_object(home, kind, outer, element, all));
        }
        _ => {
            return Err(shape(
                outer.value.at,
                match language {
                    Language::Hcl => {
                        "a type of plugins is followed by something that is no block; write a plugin as TYPE \"name\" { … }"
                    }
                    Language::Json => {
                        "a type of plugins holds something that is no object; write it as { \"name\": { … } }"
                    }
                },
            ));
        }
    }
    Ok(())
}

fn in_object<'t>(
    home: &'t Node,
    kind: &'t Key,
    outer: &'t Item,
    object: &'t Node,
    all: &mut Vec<Plugin<'t>>,
) {
    for item in object.items() {
        let [name_key, rest @ ..] = item.keys.as_slice() else { continue };
        let name = name_key.text.as_str();
        let (kind, parent) = (kind.text.as_str(), Some(object));
        all.push(Plugin { kind, name, name_key, rest, body: &item.value, item, outer, parent, home });
    }
}

/// SPIRE does not start with a plugin that is declared twice.
fn reject_repeated(all: &[Plugin<'_>]) -> Result<(), Error> {
    let mut lines = HashMap::new();
    for plugin in all {
        let at = plugin.name_key.at;
        if let Some(line) = lines.insert((plugin.kind, plugin.name), at.line) {
            let (kind, name) = (short(plugin.kind), short(plugin.name));
            return Err(shape(
                at,
                format!(
                    "{kind} {name:?} is declared already on line {line}, and SPIRE takes no plugin twice; remove one"
                ),
            ));
        }
    }
    Ok(())
}

fn shape(at: Position, problem: impl Into<String>) -> Error {
    Error::Shape(at, problem.into())
}
