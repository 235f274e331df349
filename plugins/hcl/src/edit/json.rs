//! Edits of JSON text.

use std::ops::Range;

use super::hcl::{indent_at, is_blank, line_start, unit};
use super::plugins::{NODE_ATTESTOR, Place, Plugin, Plugins};
use super::render::{Element, Style, listed, quote, wrapped};
use super::{Edit, Placement};
use crate::tree::{Document, Item, Kind, Language, Node};

pub(super) fn set(
    text: &str,
    document: &Document,
    plugins: &Plugins<'_>,
    element: &Element,
    placement: Placement,
) -> Vec<Edit> {
    let Place::Block(block, _) = plugins.place else {
        let value = |style: &Style| {
            let list = |style: &Style| listed(style, |style| element.named(style));
            wrapped(&quote(NODE_ATTESTOR), style, list)
        };
        return vec![add_member(text, &document.root, "plugins", value)];
    };
    let members: Vec<&Item> = attestors_of(block).collect();
    let Some(member) = members.first() else {
        let value = |style: &Style| listed(style, |style| element.named(style));
        return vec![add_member(text, block, NODE_ATTESTOR, value)];
    };
    match (placement, plugins.named(&element.name)) {
        (Placement::Beside, Some(plugin)) => vec![replace_body(text, plugin, element)],
        (Placement::Beside, None) => vec![add_plugin(text, member, element)],
        (Placement::Sole, _) => {
            let mut edits = vec![replace_all(text, block, member, element)];
            let start = index_of(block, member).map_or(0, |index| index + 1);
            let rest = (start..block.items().len()).rev();
            let doubled = rest.filter(|index| block.items().get(*index).is_some_and(is_attestor));
            edits.extend(doubled.map(|index| Edit::delete(removed(text, block, &ranges(block), index))));
            edits
        }
    }
}

/// Takes out the plugin, and what was made to hold it: the one-key object, the list, and `plugins`.
pub(super) fn remove(text: &str, document: &Document, plugins: &Plugins<'_>, name: &str) -> Vec<Edit> {
    let (Some(plugin), Place::Block(block, holder)) = (plugins.named(name), plugins.place) else {
        return Vec::new();
    };
    let Some(object) = plugin.parent else { return Vec::new() };
    let list = &plugin.outer.value;
    let (holder_node, index) = match &list.kind {
        Kind::List(elements) if object.items().len() == 1 => {
            if elements.len() > 1 {
                (list, elements.iter().position(|element| element.at == object.at))
            } else if block.items().len() > 1 {
                (block, index_of(block, plugin.outer))
            } else {
                (&document.root, index_of(&document.root, holder))
            }
        }
        _ => (object, index_of(object, plugin.item)),
    };
    index
        .map(|index| Edit::delete(removed(text, holder_node, &ranges(holder_node), index)))
        .into_iter()
        .collect()
}

fn is_attestor(item: &Item) -> bool {
    item.keys.first().is_some_and(|key| key.text == NODE_ATTESTOR)
}

fn attestors_of(block: &Node) -> impl Iterator<Item = &Item> {
    block.items().iter().filter(|item| is_attestor(item))
}

fn index_of(object: &Node, item: &Item) -> Option<usize> {
    object.items().iter().position(|candidate| candidate.start() == item.start())
}

fn replace_body(text: &str, plugin: &Plugin<'_>, element: &Element) -> Edit {
    let inline = plugin.parent.is_none_or(|parent| is_inline(text, parent));
    let style = style(text, indent_at(text, plugin.item.start()), inline);
    Edit { range: plugin.body.at.offset..plugin.body.end, text: element.body(&style) }
}

/// Puts the plugin behind those that are there.
fn add_plugin(text: &str, member: &Item, element: &Element) -> Edit {
    match member.value.kind {
        Kind::List(_) => add(text, &member.value, |style| element.named(style)),
        _ => add_member(text, &member.value, &element.name, |style| element.body(style)),
    }
}

/// Puts the plugin in the place of all of a NodeAttestor member.
fn replace_all(text: &str, block: &Node, member: &Item, element: &Element) -> Edit {
    let style = style(text, indent_at(text, member.start()), is_inline(text, block));
    let value = match member.value.kind {
        Kind::List(_) => listed(&style, |style| element.named(style)),
        _ => element.named(&style),
    };
    Edit { range: member.value.at.offset..member.value.end, text: value }
}

fn add_member(text: &str, object: &Node, key: &str, value: impl Fn(&Style) -> String) -> Edit {
    add(text, object, |style| {
        let colon = if style.spaced { ": " } else { ":" };
        format!("{}{colon}{}", quote(key), value(style))
    })
}

/// Puts something behind the last member of an object or element of a list.
fn add(text: &str, holder: &Node, value: impl Fn(&Style) -> String) -> Edit {
    let close = holder.end.saturating_sub(1);
    let children = ranges(holder);
    let inline = is_inline(text, holder);
    let closing_indent = indent_at(text, close);
    let first = children.first().map(|child| child.start);
    let indent =
        match first.filter(|start| is_blank(text.get(line_start(text, *start)..*start).unwrap_or("x"))) {
            Some(start) => indent_at(text, start),
            None => format!("{closing_indent}{}", unit(text)),
        };
    let style = style(text, indent, inline);
    let value = value(&style);
    let space = if inline && style.spaced { " " } else { "" };
    match children.last() {
        Some(last) => Edit::insert(last.end, format!(",{space}{}{value}", style.line())),
        None => Edit::insert(holder.at.offset + 1, format!("{}{value}", style.line())),
    }
}

/// What goes with a child: the comma that parts it from its neighbour, and the white space there.
fn removed(text: &str, holder: &Node, children: &[Range<usize>], index: usize) -> Range<usize> {
    let Some(child) = children.get(index) else { return 0..0 };
    let before = index.checked_sub(1).and_then(|before| children.get(before));
    match (before, children.get(index + 1)) {
        (Some(before), _) => before.end..child.end,
        (None, Some(after)) => child.start..after.start,
        (None, None) => {
            let rest = text.get(child.end..).unwrap_or_default();
            let blank = rest.len() - rest.trim_start().len();
            let comma = rest.trim_start().starts_with(',');
            holder.at.offset + 1..child.end + if comma { blank + 1 } else { 0 }
        }
    }
}

/// The bytes of the members of an object or the elements of a list, commas apart.
fn ranges(holder: &Node) -> Vec<Range<usize>> {
    match &holder.kind {
        Kind::Object(items) => items.iter().map(|item| item.start()..item.value.end).collect(),
        Kind::List(list) => list.iter().map(|node| node.at.offset..node.end).collect(),
        _ => Vec::new(),
    }
}

/// Whether the closing bracket stands on the line of what is before it.
fn is_inline(text: &str, holder: &Node) -> bool {
    let close = holder.end.saturating_sub(1);
    let last = ranges(holder).last().map_or(holder.at.offset + 1, |child| child.end);
    !text.get(last..close).unwrap_or_default().contains('\n')
}

fn style(text: &str, indent: String, inline: bool) -> Style {
    let newline = if text.contains("\r\n") { "\r\n" } else { "\n" };
    let spaced = text.contains("\": ") || !text.contains("\":");
    Style { language: Language::Json, inline, newline, indent, unit: unit(text), spaced }
}
