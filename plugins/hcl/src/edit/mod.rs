//! Puts one `plugins.NodeAttestor` element into a whole SPIRE configuration, takes it out, and lists what is there.
//!
//! SPIRE refuses keys that it does not know, so a configuration is never printed anew: the element is written into the
//! text in the style around it, and every other byte stays. The result is parsed again and must differ from the input
//! in what was asked for and in nothing else; otherwise the edit is an error.
//!
//! What SPIRE 1.13.3 makes of `plugins` was measured with its own hcl (v1.0.1-vault-7):
//! - HCL: one block `plugins { … }` or `plugins = { … }`, in it `NodeAttestor "name" { … }` or
//!   `NodeAttestor { name { … } }`, keys quoted or not; or several `plugins "NodeAttestor" "name" { … }`.
//! - JSON: `"NodeAttestor"` is an object of plugins or a list of objects of plugins.
//! - Of several `plugins` blocks SPIRE reads one without a word about the others, and an older hcl crashes: refused
//!   here. A list in HCL is refused by SPIRE, and here.
//!
//! A server may run with `-expandEnv`: SPIRE then replaces `$X` and `${X}` in the whole text before it parses it. What
//! is written here never holds a `$`: it is written as `\u0024`, which SPIRE's JSON and HCL readers, and this crate
//! for what SPIRE prints for the plugin, turn back into the character, with or without expansion.

mod check;
mod hcl;
mod json;
mod plugins;
mod render;

use std::ops::Range;

use serde_json::{Map, Value};

use self::plugins::Plugins;
use crate::tree::{Document, Language};
use crate::{Position, error::short};

/// What stands in `plugins.NodeAttestor` for one external plugin.
#[derive(Debug, Clone, Copy)]
pub struct NodeAttestor<'a> {
    /// The plugin's name: 1 to 64 of `A-Z a-z 0-9 _ . -`; part of its agents' SPIFFE IDs.
    pub name: &'a str,
    /// Path of the program.
    pub plugin_cmd: &'a str,
    /// SHA-256 of the program, 64 hex digits.
    pub plugin_checksum: Option<&'a str>,
    /// The plugin's own configuration: strings, booleans, numbers, objects, and lists of strings and numbers. SPIRE
    /// hands nothing else through unharmed.
    pub plugin_data: &'a Map<String, Value>,
}

/// How an element stands among the other NodeAttestors.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Placement {
    /// Alone; the others go. An agent has exactly one.
    Sole,
    /// Beside the others, which stay. A server has any number.
    Beside,
}

/// Why a configuration was not edited.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The configuration cannot be parsed.
    #[error("failed to edit SPIRE's configuration: {0}")]
    Syntax(#[from] crate::Error),
    /// `plugins` has a shape that SPIRE does not read, or does not read as it looks.
    #[error("failed to edit SPIRE's configuration at {0}: {1}")]
    Shape(Position, &'static str),
    /// The element to be written is not one that SPIRE can read.
    #[error("failed to write the NodeAttestor '{name}': {problem}")]
    Element {
        /// Its name, shortened.
        name: String,
        /// What is wrong with it.
        problem: String,
    },
    /// The edited text does not mean what it should. The input has a form that this crate does not know.
    #[error(
        "failed to edit SPIRE's configuration: the result would not be right ({0}); edit the file by hand"
    )]
    Unverified(&'static str),
}

/// Puts an element in, or replaces the one of the same name.
///
/// An element that is already there as asked for leaves the text as it is. A new one stands after the others.
pub fn set_node_attestor(
    text: &str,
    element: &NodeAttestor<'_>,
    placement: Placement,
) -> Result<String, Error> {
    let wanted = render::Element::new(element)?;
    let document = Document::parse(text)?;
    let plugins = Plugins::find(&document)?;
    let edits = match document.language {
        Language::Hcl => hcl::set(text, &document, &plugins, &wanted, placement),
        Language::Json => json::set(text, &document, &plugins, &wanted, placement),
    };
    let edited = apply(text, edits)?;
    check::edited(&plugins, &document, &edited, Some(&wanted), element.name, placement)?;
    Ok(edited)
}

/// Takes an element out; a text without it stays as it is.
///
/// Where [`set_node_attestor`] only put it in, this gives back the text from before, byte for byte. (A JSON `plugins`
/// object that has nothing else in it goes too; no working configuration has one.)
pub fn remove_node_attestor(text: &str, name: &str) -> Result<String, Error> {
    let document = Document::parse(text)?;
    let plugins = Plugins::find(&document)?;
    let edits = match document.language {
        Language::Hcl => hcl::remove(text, &plugins, name),
        Language::Json => json::remove(text, &document, &plugins, name),
    };
    let edited = apply(text, edits)?;
    check::edited(&plugins, &document, &edited, None, name, Placement::Beside)?;
    Ok(edited)
}

/// The names of the NodeAttestors in a SPIRE configuration, in its order.
pub fn node_attestors(text: &str) -> Result<Vec<String>, Error> {
    let document = Document::parse(text)?;
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

/// Applies edits that do not overlap.
fn apply(text: &str, mut edits: Vec<Edit>) -> Result<String, Error> {
    edits.sort_by_key(|edit| edit.range.start);
    let mut edited = String::with_capacity(text.len() + 1024);
    let mut done = 0;
    for edit in edits {
        let kept = text.get(done..edit.range.start).ok_or(Error::Unverified("two changes overlap"))?;
        edited.push_str(kept);
        edited.push_str(&edit.text);
        done = edit.range.end;
    }
    edited.push_str(text.get(done..).ok_or(Error::Unverified("a change is beyond the end"))?);
    Ok(edited)
}

fn wrong_element(name: &str, problem: impl Into<String>) -> Error {
    Error::Element { name: short(name), problem: problem.into() }
}

#[cfg(test)]
pub(crate) mod tests;
