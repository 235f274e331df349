//! Edits of HCL text.

use std::ops::Range;

use super::plugins::{NODE_ATTESTOR, Place, Plugin, Plugins};
use super::render::{Element, Style, quote};
use super::{Edit, Placement};
use crate::tree::{Document, Item, Language, Node};

pub(super) fn set(
    text: &str,
    document: &Document,
    plugins: &Plugins<'_>,
    element: &Element,
    placement: Placement,
) -> Vec<Edit> {
    let ours = plugins.named(&element.name);
    match placement {
        Placement::Beside => match ours {
            Some(plugin) => vec![replace(text, plugin.item, &header(text, plugin), element)],
            None => vec![insert(text, document, plugins, element)],
        },
        Placement::Sole => {
            let mut outers: Vec<&Item> = plugins.node_attestors().map(|plugin| plugin.outer).collect();
            outers.dedup_by_key(|item| item.start());
            let Some((first, rest)) = outers.split_first() else {
                return vec![insert(text, document, plugins, element)];
            };
            // Where the first is ours already and alone in its item, its keys stay as they are written.
            let kept = ours.filter(|plugin| plugin.parent.is_none() && plugin.item.start() == first.start());
            let header =
                kept.map_or_else(|| new_header(&plugins.place, element), |plugin| header(text, plugin));
            let mut edits = vec![replace(text, first, &header, element)];
            edits.extend(rest.iter().map(|item| Edit::delete(removed(text, item))));
            edits
        }
    }
}

pub(super) fn remove(text: &str, plugins: &Plugins<'_>, name: &str) -> Vec<Edit> {
    plugins.named(name).map(|plugin| Edit::delete(removed(text, plugin.item))).into_iter().collect()
}

/// The keys of a plugin as they are written.
fn header(text: &str, plugin: &Plugin<'_>) -> String {
    text.get(plugin.item.start()..plugin.name_key.end).unwrap_or_default().to_owned()
}

fn new_header(place: &Place<'_>, element: &Element) -> String {
    let name = quote(&element.name);
    match place {
        Place::Top => format!("plugins \"{NODE_ATTESTOR}\" {name}"),
        Place::Block(..) => format!("{NODE_ATTESTOR} {name}"),
    }
}

fn replace(text: &str, item: &Item, header: &str, element: &Element) -> Edit {
    let old = text.get(item.start()..item.value.end).unwrap_or_default();
    let lines = own_lines(text, item.start(), item.end);
    let style = style(text, indent_at(text, item.start()), lines.is_none() && !old.contains('\n'));
    Edit { range: item.start()..item.value.end, text: format!("{header} {}", element.body(&style)) }
}

fn insert(text: &str, document: &Document, plugins: &Plugins<'_>, element: &Element) -> Edit {
    let header = new_header(&plugins.place, element);
    match plugins.place {
        Place::Top => {
            let style = style(text, String::new(), false);
            let item = format!("{header} {}", element.body(&style));
            let at = document.root.end;
            if text.is_empty() || text.ends_with('\n') {
                Edit::insert(at, format!("{item}{}", style.newline))
            } else {
                // A lone carriage return would make one line end with a newline behind it, and go with it again.
                let newline = if text.ends_with('\r') { "\r\n" } else { style.newline };
                Edit::insert(at, format!("{newline}{item}"))
            }
        }
        Place::Block(object, _) => into_block(text, object, &header, element),
    }
}

/// Before the closing brace when that has a line of its own, after the last item otherwise.
fn into_block(text: &str, object: &Node, header: &str, element: &Element) -> Edit {
    let close = object.end.saturating_sub(1);
    let line = line_start(text, close);
    let closing_indent = text.get(line..close).unwrap_or_default();
    let last = object.items().last().map_or(object.at.offset + 1, |item| item.end);
    if line >= last && is_blank(closing_indent) && line > object.at.offset {
        let first = object.items().first().map(|item| item.start());
        let indent =
            match first.filter(|start| is_blank(text.get(line_start(text, *start)..*start).unwrap_or("x"))) {
                Some(start) => indent_at(text, start),
                None => format!("{closing_indent}{}", unit(text)),
            };
        let style = style(text, indent, false);
        return Edit::insert(
            line,
            format!("{}{header} {}{}", style.indent, element.body(&style), style.newline),
        );
    }
    let style = style(text, String::new(), true);
    Edit::insert(last, format!(" {header} {}", element.body(&style)))
}

/// What goes with an item: its lines when it has them to itself, otherwise its comma and one space.
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
    let line = line_start(text, start);
    if !is_blank(text.get(line..start)?) {
        return None;
    }
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
    let newline = if text.contains("\r\n") { "\r\n" } else { "\n" };
    Style { language: Language::Hcl, inline, newline, indent, unit: unit(text), spaced: true }
}

pub(super) fn line_start(text: &str, offset: usize) -> usize {
    text.get(..offset).and_then(|before| before.rfind('\n')).map_or(0, |newline| newline + 1)
}

/// The white space that the line of this place begins with.
pub(super) fn indent_at(text: &str, offset: usize) -> String {
    let line = text.get(line_start(text, offset)..offset).unwrap_or_default();
    line.chars().take_while(|c| matches!(c, ' ' | '\t')).collect()
}

/// One level of indentation: that of the first line which has one.
pub(super) fn unit(text: &str) -> String {
    let indents =
        text.lines().map(|line| line.get(..line.len() - line.trim_start_matches([' ', '\t']).len()));
    indents.flatten().find(|indent| !indent.is_empty()).unwrap_or("  ").to_owned()
}

pub(super) fn is_blank(text: &str) -> bool {
    text.chars().all(|c| matches!(c, ' ' | '\t'))
}
