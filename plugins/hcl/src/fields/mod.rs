//! `plugin_data`, taken apart key by key so that every problem is reported and not only the first.

use std::fmt::{self, Display};

use serde::de::DeserializeOwned;

use crate::de::{from_entries, unknown};
use crate::error::short;
use crate::tree::Document;
use crate::value::{Entry, Object};
use crate::{Error, Position};

/// The keys of a text or of a block in it, and the problems found so far.
///
/// ```
/// # use hcl::{Fields, Port};
/// let mut fields = Fields::parse("host = \"a\"\nprot = 8881").unwrap();
/// let host: Option<String> = fields.take("host");
/// let port: Option<Port> = fields.take("port");
/// assert_eq!((host.as_deref(), port), (Some("a"), None));
/// let problems = fields.finish();
/// assert_eq!(problems[0].to_string(), "prot (line 2, column 1): unknown key 'prot', did you mean 'port'?");
/// ```
#[derive(Debug)]
pub struct Fields {
    object: Object,
    /// Keys around this block, each with a dot behind it.
    path: String,
    asked: Vec<&'static str>,
    problems: Vec<Problem>,
}

/// One problem of a text, on one line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The key, with the keys around it (`enforcement.action`).
    pub key: String,
    /// The place of its value; [`None`] when the key is not in the text.
    pub position: Option<Position>,
    /// The reason.
    pub text: String,
}

impl Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.position {
            Some(position) => write!(f, "{} ({position}): {}", self.key, self.text),
            None => write!(f, "{}: {}", self.key, self.text),
        }
    }
}

impl Fields {
    /// Parses a text; an error of syntax is the only problem that then can be told.
    pub fn parse(text: &str) -> Result<Self, Error> {
        let object = Object::of_document(&Document::parse(text)?);
        Ok(Self { object, path: String::new(), asked: Vec::new(), problems: Vec::new() })
    }

    /// The value of a key. Nothing when the key is missing or null, and when its value is wrong:
    /// that is then a problem of [`finish`](Self::finish).
    pub fn take<T: DeserializeOwned>(&mut self, key: &'static str) -> Option<T> {
        let entries = self.entries(key);
        if entries.iter().all(|entry| entry.values.is_empty()) {
            return None;
        }
        match from_entries(&entries) {
            Ok(value) => Some(value),
            Err(error) => {
                let inner = if error.key().is_empty() { String::new() } else { format!(".{}", error.key()) };
                let key = format!("{}{key}{inner}", self.path);
                let text = error.reason().to_string();
                self.problems.push(Problem { key, position: Some(error.position()), text });
                None
            }
        }
    }

    /// The keys of a block (`key { … }`, or its JSON). Nothing when it is missing or null, or when
    /// it is no block or given twice, which is then a problem. Give it back to
    /// [`absorb`](Self::absorb) when its keys have been taken.
    pub fn block(&mut self, key: &'static str) -> Option<Self> {
        let values: Vec<_> = self.entries(key).into_iter().flat_map(|entry| entry.values.clone()).collect();
        let text = match values.as_slice() {
            [] => return None,
            [value] => match value.as_object() {
                Some(object) => {
                    let path = format!("{}{key}.", self.path);
                    return Some(Self {
                        object: object.clone(),
                        path,
                        asked: Vec::new(),
                        problems: Vec::new(),
                    });
                }
                None => format!("expected a block, got {}", value.describe()),
            },
            [first, ..] => format!("given twice, first in line {}", first.at.line),
        };
        let position = values.last().map(|value| value.at);
        self.problems.push(Problem { key: format!("{}{key}", self.path), position, text });
        None
    }

    /// Takes over what [`finish`](Self::finish) says about a block.
    pub fn absorb(&mut self, block: Self) {
        self.problems.extend(block.finish());
    }

    /// Records a problem of a key: one that is missing, or whose value does not fit to others.
    pub fn problem(&mut self, key: &'static str, text: impl Display) {
        let position = self.object.get(key).next().map(|entry| entry.at);
        self.problems.push(Problem { key: format!("{}{key}", self.path), position, text: text.to_string() });
    }

    /// Every problem in the order of the text, those of missing keys last. A key that was never
    /// asked for is unknown; the nearest of those asked for is named.
    pub fn finish(mut self) -> Vec<Problem> {
        for entry in &self.object.entries {
            if self.asked.iter().any(|asked| asked.eq_ignore_ascii_case(&entry.key)) {
                continue;
            }
            let key = format!("{}{}", self.path, short(&entry.key));
            let text = unknown("key", &entry.key, &self.asked);
            self.problems.push(Problem { key, position: Some(entry.at), text });
        }
        self.problems.sort_by_key(|problem| (problem.position.is_none(), problem.position));
        self.problems
    }

    fn entries(&mut self, key: &'static str) -> Vec<&Entry> {
        self.asked.push(key);
        self.object.get(key).collect()
    }
}

#[cfg(test)]
mod tests;
