//! The tree of a text as it is written: every item with its keys and the bytes it covers.

use crate::cursor::Variables;
use crate::{Error, MAX_TEXT, Position, Reason, json, parse};

/// The language in which a text is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Language {
    Hcl,
    Json,
}

/// A parsed text.
#[derive(Debug)]
pub(crate) struct Document {
    pub(crate) language: Language,
    /// For JSON the braces belong to it; an HCL text has none.
    pub(crate) root: Node,
}

/// One `key = value` or block. JSON has exactly one key, HCL any number of them before a block.
#[derive(Debug)]
pub(crate) struct Item {
    /// Never empty.
    pub(crate) keys: Vec<Key>,
    pub(crate) value: Node,
    /// End of the item with the comma that follows it, if there is one.
    pub(crate) end: usize,
}

#[derive(Debug)]
pub(crate) struct Key {
    pub(crate) text: String,
    pub(crate) at: Position,
    pub(crate) end: usize,
}

/// A value and the bytes it covers.
#[derive(Debug)]
pub(crate) struct Node {
    pub(crate) kind: Kind,
    pub(crate) at: Position,
    pub(crate) end: usize,
}

#[derive(Debug)]
pub(crate) enum Kind {
    Null,
    Bool(bool),
    /// An integer: its spelling and its value.
    Integer(String, i64),
    /// Any other number; always finite.
    Float(f64),
    /// A quoted string or a heredoc, escapes resolved, or a variable as it is written.
    Text(String),
    List(Vec<Node>),
    Object(Vec<Item>),
}

impl Item {
    /// The start of the item: its first key.
    pub(crate) fn start(&self) -> usize {
        self.keys.first().map_or(self.value.at.offset, |key| key.at.offset)
    }
}

impl Node {
    /// The items of an object; of anything else none.
    pub(crate) fn items(&self) -> &[Item] {
        match &self.kind {
            Kind::Object(items) => items,
            _ => &[],
        }
    }
}

impl Document {
    /// Parses a text in which no variables are replaced.
    pub(crate) fn parse(text: &str) -> Result<Self, Error> {
        Self::parse_as(text, Variables::Kept)
    }

    pub(crate) fn parse_as(text: &str, variables: Variables) -> Result<Self, Error> {
        if text.len() > MAX_TEXT {
            return Err(Error::new(Position::START, Reason::TooLarge(text.len())));
        }
        if text.trim_start().starts_with('{') {
            Ok(Self { language: Language::Json, root: json::parse(text, variables)? })
        } else {
            Ok(Self { language: Language::Hcl, root: parse::parse(text, variables)? })
        }
    }
}
