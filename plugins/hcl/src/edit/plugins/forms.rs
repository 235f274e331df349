//! The forms in which SPIRE reads plugins, and the checks of what it would read otherwise.

use std::collections::HashMap;

use super::{Block, Plugin};
use crate::Position;
use crate::edit::Error;
use crate::error::short;
use crate::tree::{Item, Key, Kind, Language, Node};

/// SPIRE reads the first block and says nothing about the others.
pub(super) fn in_hcl<'t>(items: &[&'t Item]) -> Result<Block<'t>, Error> {
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
pub(super) fn in_json<'t>(items: &[&'t Item]) -> Result<Vec<Block<'t>>, Error> {
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
pub(super) fn of_type<'t>(
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
pub(super) fn reject_repeated(all: &[Plugin<'_>]) -> Result<(), Error> {
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
