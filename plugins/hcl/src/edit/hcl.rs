//! Edits of HCL text.

use std::ops::Range;

use super::plugins::{Block, NODE_ATTESTOR, Plugin, Plugins};
use super::render::{Element, quote};
use super::style::{Style, indent_at, own_indent, unit};
use super::{Edit, Placement};
use crate::tree::{Document, Item, Language, Node};

pub(super) fn set(
    text: &str,
    document: &Document,
    plugins: &Plugins<'_>,
    element: &Element,
    placement: Placement,
) -> Vec<Edit> {
    if let Some(ours) = plugins.to_replace(&element.name, placement) {
        return vec![replace(text, ours, element)];
    }
    let mut outers: Vec<&Item> = plugins.node_attestors().map(|plugin| plugin.outer).collect();
    outers.dedup_by_key(|item| item.start());
    match outers.split_first() {
        Some((first, rest)) if placement == Placement::Sole => {
            let mut edits = vec![replace_other(text, first, plugins, element)];
            edits.extend(rest.iter().map(|item| Edit::delete(removed(text, item))));
            edits
        }
        _ => vec![insert(text, document, plugins, element)],
    }
}

pub(super) fn remove(text: &str, plugins: &Plugins<'_>, name: &str) -> Vec<Edit> {
    plugins.named(name).map(|plugin| Edit::delete(removed(text, plugin.item))).into_iter().collect()
}

/// Writes ours anew in its place; its keys stay as they are written.
fn replace(text: &str, ours: &Plugin<'_>, element: &Element) -> Edit {
    let item = ours.item;
    let keys = text.get(item.start()..ours.name_key.end).unwrap_or_default();
    let style = Style::of_plugin(text, Language::Hcl, ours).unwrap_or_else(|| style_of_item(text, item));
    Edit { range: item.start()..item.value.end, text: format!("{keys} {}", element.body(&style)) }
}

/// Writes ours in the place of another one.
fn replace_other(text: &str, item: &Item, plugins: &Plugins<'_>, element: &Element) -> Edit {
    let body = element.body(&style_of_item(text, item));
    let range = item.start()..item.value.end;
    Edit { range, text: format!("{} {body}", new_header(plugins, element)) }
}

fn new_header(plugins: &Plugins<'_>, element: &Element) -> String {
    let name = quote(&element.name);
    match plugins.blocks.as_slice() {
        [] => format!("plugins \"{NODE_ATTESTOR}\" {name}"),
        _ => format!("{NODE_ATTESTOR} {name}"),
    }
}

fn style_of_item(text: &str, item: &Item) -> Style {
    let old = text.get(item.start()..item.value.end).unwrap_or_default();
    let inline = own_lines(text, item.start(), item.end).is_none() && !old.contains('\n');
    style(text, indent_at(text, item.start()), inline)
}

fn insert(text: &str, document: &Document, plugins: &Plugins<'_>, element: &Element) -> Edit {
    let header = new_header(plugins, element);
    if let Some(Block { object, .. }) = plugins.blocks.last() {
        return into_block(text, object, &header, element);
    }
    let style = style(text, String::new(), false);
    let item = format!("{header} {}", element.body(&style));
    let at = document.root.end;
    if text.is_empty() || text.ends_with('\n') {
        Edit::insert(at, format!("{item}{}", style.newline))
    } else {
        // A lone carriage return would make one line end with a newline behind it, and go with it
        // again.
        let newline = if text.ends_with('\r') { "\r\n" } else { style.newline };
        Edit::insert(at, format!("{newline}{item}"))
    }
}

/// On lines of its own before the closing brace when that has one, right behind the last item
/// otherwise.
fn into_block(text: &str, object: &Node, header: &str, element: &Element) -> Edit {
    let close = object.end.saturating_sub(1);
    let last = object.items().last().map_or(object.at.offset + 1, |item| item.end);
    let closing = own_indent(text, close).filter(|indent| last <= close - indent.len());
    let Some(closing) = closing else {
        let style = style(text, String::new(), true);
        return Edit::insert(last, format!(" {header} {}", element.body(&style)));
    };
    let first = object.items().first().and_then(|item| own_indent(text, item.start()));
    let indent = first.map_or_else(|| format!("{closing}{}", unit(text)), str::to_owned);
    let style = style(text, indent, false);
    let element = format!("{}{header} {}{}", style.indent, element.body(&style), style.newline);
    Edit::insert(close - closing.len(), element)
}

/// The range to delete with an item: its lines when it has them to itself, otherwise its comma and
/// one space.
fn removed(text: &str, item: &Item) -> Range<usize> {
    if let Some(lines) = own_lines(text, item.start(), item.end) {
        return lines;
    }
    let next = text.get(item.end..).and_then(|rest| rest.chars().next());
    let apart = next.is_none_or(|next| next.is_whitespace() || matches!(next, '}' | ',' | '/' | '#'));
    let spaced = text.get(..item.start()).is_some_and(|before| before.ends_with(' '));
    item.start() - usize::from(apart && spaced)..item.end
}

/// The lines from the first to the last byte of something, when nothing else stands in them.
fn own_lines(text: &str, start: usize, end: usize) -> Option<Range<usize>> {
    let line = start - own_indent(text, start)?.len();
    let after = text.get(end..)?;
    let rest = after.trim_start_matches([' ', '\t']);
    let blank = after.len() - rest.len();
    if rest.is_empty() {
        // The last line of a text without a newline at its end: the newline before it goes.
        let before = text.get(..line)?;
        let kept = before.strip_suffix("\r\n").or_else(|| before.strip_suffix('\n')).unwrap_or(before);
        return Some(kept.len()..text.len());
    }
    // A heredoc ends behind its newline.
    let ended = blank == 0 && text.get(..end)?.ends_with('\n');
    let newline = if rest.starts_with("\r\n") { 2 } else { usize::from(rest.starts_with('\n')) };
    match (ended, newline) {
        (true, _) => Some(line..end),
        (false, 0) => None,
        (false, newline) => Some(line..end + blank + newline),
    }
}

fn style(text: &str, indent: String, inline: bool) -> Style {
    Style::of_text(text, Language::Hcl, indent, inline)
}
