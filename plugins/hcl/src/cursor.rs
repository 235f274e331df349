//! Characters of a text, with their positions.

use crate::Position;

/// Walks over a text. `\r\n` is one newline, as Go's parser makes it before it scans.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Cursor<'t> {
    pub(crate) text: &'t str,
    pub(crate) at: Position,
    pub(crate) variables: Variables,
}

/// Expansion of `$X` and `${X}` by the program that reads a text, before it parses it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Variables {
    /// Done, as by SPIRE with `-expandEnv`: a variable may stand where a value stands.
    Expanded,
    /// Not done: a variable is a string's content or nothing.
    Kept,
}

impl<'t> Cursor<'t> {
    pub(crate) fn new(text: &'t str, variables: Variables) -> Self {
        Self { text, at: Position::START, variables }
    }

    pub(crate) fn rest(&self) -> &'t str {
        self.text.get(self.at.offset..).unwrap_or_default()
    }

    /// The text from an earlier place up to here.
    pub(crate) fn since(&self, start: Position) -> &'t str {
        self.text.get(start.offset..self.at.offset).unwrap_or_default()
    }

    pub(crate) fn peek(&self) -> Option<char> {
        let rest = self.rest();
        if rest.starts_with("\r\n") { Some('\n') } else { rest.chars().next() }
    }

    pub(crate) fn next(&mut self) -> Option<char> {
        let found = self.peek()?;
        self.at.offset += if found == '\n' && self.rest().starts_with('\r') { 2 } else { found.len_utf8() };
        if found == '\n' {
            self.at.line += 1;
            self.at.column = 1;
        } else {
            self.at.column += 1;
        }
        Some(found)
    }

    /// Takes the next character if it is one of these.
    pub(crate) fn take(&mut self, wanted: impl Fn(char) -> bool) -> Option<char> {
        let found = self.peek().filter(|found| wanted(*found))?;
        self.next();
        Some(found)
    }

    /// Takes all characters up to the first that is none of these; says how many.
    pub(crate) fn take_while(&mut self, wanted: impl Fn(char) -> bool) -> usize {
        let mut count = 0;
        while self.take(&wanted).is_some() {
            count += 1;
        }
        count
    }
}

/// White space between tokens, in HCL and in JSON.
pub(crate) fn is_space(found: char) -> bool {
    matches!(found, ' ' | '\t' | '\n' | '\r')
}
