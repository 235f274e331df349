//! Puts one `plugins.NodeAttestor` element into a whole SPIRE configuration, takes it out, and
//! lists what is there.
//!
//! SPIRE refuses keys that it does not know, so a configuration is never printed anew: the element
//! is written into the text in the style around it, and every other byte stays. The result is
//! parsed again and must differ from the input in what was asked for and in nothing else; otherwise
//! the edit is an error.
//!
//! What SPIRE makes of `plugins` was read in SPIRE 1.13.3 and 1.15.3 (`pkg/common/catalog`), and is
//! compared in tests with its own hcl, v1.0.1-vault-7:
//! - HCL: one block `plugins { … }` or `plugins = { … }`, in it `NodeAttestor "name" { … }` or
//!   `NodeAttestor { name { … } }`, keys quoted or not; or several `plugins "NodeAttestor" "name" {
//!   … }`. Of several blocks SPIRE reads one without a word about the others: refused here. A list
//!   is refused by SPIRE, and here.
//! - JSON: `"NodeAttestor"` is an object of plugins or a list of objects of plugins. `"plugins"` is
//!   an object, or several: in a list, or given several times. SPIRE reads all of several only
//!   where they are objects of objects all the way to the plugins; others are refused here.
//! - A plugin that is declared twice is refused by SPIRE, and here.
//!
//! A server or an agent may run with `-expandEnv`: SPIRE then replaces `$X` and `${X}` in the whole
//! text before it parses it. With [`Variables::Expanded`] such a variable can stand where a value
//! stands, and stays as it is. What is written here never holds a `$`: it is written as `\u0024`,
//! which SPIRE's JSON and HCL readers, and this crate for what SPIRE prints for the plugin, turn
//! back into the character, with or without expansion.
//!
//! What holds for every text is tested with generated ones: an element that stands as asked for
//! changes no byte, an edit of an edited text is the edit of the text from before, and taking out
//! what was put in gives that text back.

mod check;
mod error;
mod hcl;
mod json;
mod plugins;
mod render;
mod style;

use std::ops::Range;

use serde_json::{Map, Value};

pub use self::error::Error;
use self::plugins::Plugins;
use crate::cursor::Cursor;
pub use crate::cursor::Variables;
use crate::tree::{Document, Language};
use crate::{MAX_TEXT, Position};

/// An external plugin's entry in `plugins.NodeAttestor`.
#[derive(Debug, Clone, Copy)]
pub struct NodeAttestor<'a> {
    /// The plugin's name: 1 to 64 of `A-Z a-z 0-9 _ . -`; part of its agents' SPIFFE IDs.
    pub name: &'a str,
    /// Path of the program.
    pub plugin_cmd: &'a str,
    /// SHA-256 of the program, 64 hex digits.
    pub plugin_checksum: Option<&'a str>,
    /// The plugin's own configuration: strings, booleans, numbers, objects, and lists of strings
    /// and numbers. SPIRE hands nothing else through unharmed.
    pub plugin_data: &'a Map<String, Value>,
}

/// The place of an element among the other NodeAttestors.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Placement {
    /// Alone; the others go. An agent has exactly one.
    Sole,
    /// Beside the others, which stay. A server has any number.
    Beside,
}

/// Puts an element in, or replaces the one of the same name.
///
/// An element that is already there as asked for leaves the text as it is. A new one stands after
/// the others.
pub fn set_node_attestor(
    text: &str,
    element: &NodeAttestor<'_>,
    placement: Placement,
    variables: Variables,
) -> Result<String, Error> {
    let wanted = render::Element::new(element)?;
    let document = Document::parse_as(text, variables)?;
    let plugins = Plugins::find(&document)?;
    if check::stands(text, &plugins, &wanted, placement) {
        return Ok(text.to_owned());
    }
    let edits = edits(text, &document, &plugins, &wanted, placement);
    apply(text, edits, |edited| {
        check::edited(&plugins, &document, edited, Some(&wanted), element.name, placement)
    })
}

/// Takes an element out; a text without it stays as it is.
///
/// Where [`set_node_attestor`] only put it in, this gives back the text from before, byte for byte.
pub fn remove_node_attestor(text: &str, name: &str) -> Result<String, Error> {
    let document = Document::parse_as(text, Variables::Expanded)?;
    let plugins = Plugins::find(&document)?;
    let edits = match document.language {
        Language::Hcl => hcl::remove(text, &plugins, name),
        Language::Json => json::remove(text, &document, &plugins, name),
    };
    apply(text, edits, |edited| check::edited(&plugins, &document, edited, None, name, Placement::Beside))
}

/// The names of the NodeAttestors in a SPIRE configuration, in its order.
pub fn node_attestors(text: &str) -> Result<Vec<String>, Error> {
    let document = Document::parse_as(text, Variables::Expanded)?;
    let plugins = Plugins::find(&document)?;
    Ok(plugins.node_attestors().map(|plugin| plugin.name.to_owned()).collect())
}

/// Bytes of the input and what comes in their place.
#[derive(Debug)]
struct Edit {
    range: Range<usize>,
    text: String,
}

impl Edit {
    fn insert(at: usize, text: String) -> Self {
        Self { range: at..at, text }
    }

    fn delete(range: Range<usize>) -> Self {
        Self { range, text: String::new() }
    }
}

fn edits(
    text: &str,
    document: &Document,
    plugins: &Plugins<'_>,
    wanted: &render::Element,
    placement: Placement,
) -> Vec<Edit> {
    match document.language {
        Language::Hcl => hcl::set(text, document, plugins, wanted, placement),
        Language::Json => json::set(text, document, plugins, wanted, placement),
    }
}

/// Applies edits, reads the result and has it checked.
fn apply(
    text: &str,
    mut edits: Vec<Edit>,
    check: impl Fn(&Document) -> Result<(), &'static str>,
) -> Result<String, Error> {
    edits.sort_by_key(|edit| edit.range.start);
    let at = || position(text, edits.first().map_or(0, |edit| edit.range.start));
    let unverified = |problem| Error::Unverified(at(), problem);
    let edited = spliced(text, &edits).ok_or_else(|| unverified("two changes overlap"))?;
    if edited.len() > MAX_TEXT {
        return Err(Error::TooLarge { at: at(), bytes: edited.len() });
    }
    // Whether variables may stand in it has been decided when the text before was read.
    let document =
        Document::parse_as(&edited, Variables::Expanded).map_err(|_| unverified("it could not be parsed"))?;
    check(&document).map_err(unverified)?;
    Ok(edited)
}

/// The text with its edits. What two deletions share, as the line end between two last lines, goes
/// once.
fn spliced(text: &str, edits: &[Edit]) -> Option<String> {
    let mut edited = String::with_capacity(text.len() + 1024);
    let mut done = 0;
    for Edit { range, text: new } in edits {
        let start = if new.is_empty() { range.start.max(done) } else { range.start };
        edited.push_str(text.get(done..start)?);
        edited.push_str(new);
        done = range.end.max(done);
    }
    edited.push_str(text.get(done..)?);
    Some(edited)
}

fn position(text: &str, offset: usize) -> Position {
    let mut cursor = Cursor::new(text, Variables::Expanded);
    while cursor.at.offset < offset && cursor.next().is_some() {}
    cursor.at
}

#[cfg(test)]
mod configurations;
#[cfg(test)]
mod linear;
#[cfg(test)]
mod rules;
#[cfg(test)]
pub(crate) mod tests;
