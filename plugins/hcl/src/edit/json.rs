//! Edits of JSON text.
//!
//! Ours can always be taken out again byte for byte, because what it was put into can be told from
//! it: a list or an object that was there and empty keeps a space of ours behind its opening
//! bracket, and one that was made for ours never has one.

use std::collections::HashSet;
use std::ops::Range;

use super::plugins::{Block, NODE_ATTESTOR, Plugin, Plugins, is_attestor};
use super::render::{Element, listed, quote, wrapped};
use super::style::{Style, indent_at, own_indent, unit};
use super::{Edit, Placement};
use crate::tree::{Document, Item, Kind, Language, Node};

pub(super) fn set(
    text: &str,
    document: &Document,
    plugins: &Plugins<'_>,
    element: &Element,
    placement: Placement,
) -> Vec<Edit> {
    if let Some(ours) = plugins.to_replace(&element.name, placement) {
        return vec![replace_body(text, ours, element)];
    }
    let all = placement == Placement::Sole && plugins.node_attestors().next().is_some();
    let blocks = || plugins.blocks.iter().map(|block| block.object);
    let mut members = blocks().flat_map(Node::items).filter(|item| is_attestor(item));
    match (members.next(), plugins.blocks.as_slice()) {
        (Some(first), _) if all => {
            let is_list = |item: &Item| matches!(item.value.kind, Kind::List(_));
            let is_listed = is_list(first) || members.any(is_list);
            let mut edits = vec![replace_all(text, first, is_listed, element)];
            edits.extend(blocks().flat_map(|block| {
                without(text, block, |item| is_attestor(item) && item.start() != first.start())
            }));
            edits
        }
        (Some(first), _) => vec![add_plugin(text, first, element)],
        (None, [.., last]) => {
            let value = |style: &Style| new_attestors(style, plugins, element);
            vec![add_member(text, last.object, Before::Kept, NODE_ATTESTOR, value)]
        }
        (None, []) => {
            let attestors = |style: &Style| new_attestors(style, plugins, element);
            let value = |style: &Style| wrapped(&quote(NODE_ATTESTOR), style, attestors);
            vec![add_member(text, &document.root, Before::Root, "plugins", value)]
        }
    }
}

/// The value of a new NodeAttestor member. Of several `plugins` objects SPIRE reads only those that
/// hold nothing but objects.
fn new_attestors(style: &Style, plugins: &Plugins<'_>, element: &Element) -> String {
    match plugins.blocks.as_slice() {
        [_, _, ..] => element.named(style),
        _ => listed(style, |style| element.named(style)),
    }
}

/// Takes out the plugin, and what was made to hold it: the one-key object, the list, and `plugins`.
pub(super) fn remove(text: &str, document: &Document, plugins: &Plugins<'_>, name: &str) -> Vec<Edit> {
    let Some(plugin) = plugins.named(name) else { return Vec::new() };
    let mut way: Vec<(&Node, usize)> = Vec::new();
    if let Some(object) = plugin.parent {
        way.push((object, plugin.item.start()));
        if matches!(plugin.outer.value.kind, Kind::List(_)) {
            way.push((&plugin.outer.value, object.at.offset));
        }
    }
    way.push((plugin.home, plugin.outer.start()));
    if let [Block { item, listed: false, .. }] = plugins.blocks.as_slice() {
        way.push((&document.root, item.start()));
    }
    let was_there = |(holder, child): &&(&Node, usize)| {
        let gap = text.get(holder.at.offset + 1..*child);
        children(holder).len() > 1 || gap.is_some_and(|gap| gap.starts_with(' '))
    };
    match way.iter().find(was_there).or_else(|| way.last()) {
        Some((holder, start)) => delete(text, holder, |child| child.start == *start),
        None => Vec::new(),
    }
}

fn replace_body(text: &str, ours: &Plugin<'_>, element: &Element) -> Edit {
    let style = Style::of_plugin(text, Language::Json, ours).unwrap_or_else(|| {
        let inline = ours.parent.is_none_or(|parent| is_inline(text, parent));
        style(text, indent_at(text, ours.item.start()), inline)
    });
    Edit { range: ours.body.at.offset..ours.body.end, text: element.body(&style) }
}

/// Puts the plugin behind those that are there.
fn add_plugin(text: &str, member: &Item, element: &Element) -> Edit {
    match member.value.kind {
        Kind::List(_) => add(text, &member.value, Before::Kept, |style| element.named(style)),
        _ => add_member(text, &member.value, Before::Kept, &element.name, |style| element.body(style)),
    }
}

/// Puts the plugin in the place of all of a NodeAttestor member. A list stays a list, also when
/// another member was it: where `plugins` comes first and holds nothing but objects, SPIRE takes
/// the names in it for settings that it does not know, and does not start.
fn replace_all(text: &str, member: &Item, is_list: bool, element: &Element) -> Edit {
    let inline = own_indent(text, member.start()).is_none();
    let style = style(text, indent_at(text, member.start()), inline);
    let value = if is_list { listed(&style, |style| element.named(style)) } else { element.named(&style) };
    Edit { range: member.value.at.offset..member.value.end, text: value }
}

/// Which object or list a member or an element is added to.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Before {
    /// The root, which every text has.
    Root,
    /// An object or a list that must be there afterwards.
    Kept,
}

fn add_member(
    text: &str,
    object: &Node,
    before: Before,
    key: &str,
    value: impl Fn(&Style) -> String,
) -> Edit {
    add(text, object, before, |style| {
        let colon = if style.spaced { ": " } else { ":" };
        format!("{}{colon}{}", quote(key), value(style))
    })
}

/// Puts something behind the last member of an object or element of a list.
fn add(text: &str, holder: &Node, before: Before, value: impl Fn(&Style) -> String) -> Edit {
    let children = children(holder);
    let inline = is_inline(text, holder);
    let first = children.first().and_then(|child| own_indent(text, child.start));
    let indent = match first {
        Some(indent) => indent.to_owned(),
        None => format!("{}{}", indent_at(text, holder.end.saturating_sub(1)), unit(text)),
    };
    let style = style(text, indent, inline);
    let value = value(&style);
    let space = if inline && style.spaced { " " } else { "" };
    match children.last() {
        Some(last) => Edit::insert(last.end, format!(",{space}{}{value}", style.line())),
        None => {
            let mark = if before == Before::Kept { " " } else { "" };
            Edit::insert(holder.at.offset + 1, format!("{mark}{}{value}", style.line()))
        }
    }
}

/// Takes members out of an object.
fn without(text: &str, object: &Node, gone: impl Fn(&Item) -> bool) -> Vec<Edit> {
    let starts: HashSet<usize> = object.items().iter().filter(|item| gone(item)).map(Item::start).collect();
    delete(text, object, |child| starts.contains(&child.start))
}

/// Takes children out: each run of neighbours with the comma that parts it from what stays, and the
/// white space there.
fn delete(text: &str, holder: &Node, gone: impl Fn(&Range<usize>) -> bool) -> Vec<Edit> {
    let children = children(holder);
    let mut runs = children.chunk_by(|child, next| gone(child) == gone(next)).peekable();
    let mut kept = None;
    let mut edits = Vec::new();
    while let Some(run) = runs.next() {
        let (Some(first), Some(last)) = (run.first(), run.last()) else { continue };
        if !gone(first) {
            kept = Some(last.end);
            continue;
        }
        let after = runs.peek().and_then(|next| next.first());
        edits.push(Edit::delete(match (kept, after) {
            (Some(before), _) => before..last.end,
            (None, Some(after)) => first.start..after.start,
            (None, None) => holder.at.offset + 1..last.end + trailing_comma(text, last.end),
        }));
    }
    edits
}

/// Bytes up to the end of a comma, where one comes next.
fn trailing_comma(text: &str, at: usize) -> usize {
    let rest = text.get(at..).unwrap_or_default();
    let behind = rest.trim_start();
    if behind.starts_with(',') { rest.len() - behind.len() + 1 } else { 0 }
}

/// The bytes of the members of an object or the elements of a list, commas apart.
fn children(holder: &Node) -> Vec<Range<usize>> {
    match &holder.kind {
        Kind::Object(items) => items.iter().map(|item| item.start()..item.value.end).collect(),
        Kind::List(list) => list.iter().map(|node| node.at.offset..node.end).collect(),
        _ => Vec::new(),
    }
}

/// Tells if the closing bracket stands on the line of what is before it.
fn is_inline(text: &str, holder: &Node) -> bool {
    let close = holder.end.saturating_sub(1);
    let last = children(holder).last().map_or(holder.at.offset + 1, |child| child.end);
    !text.get(last..close).unwrap_or_default().contains('\n')
}

fn style(text: &str, indent: String, inline: bool) -> Style {
    Style::of_text(text, Language::Json, indent, inline)
}
