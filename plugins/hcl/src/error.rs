//! The errors of a text, with their places.

use std::fmt;

use crate::{MAX_DEPTH, MAX_TEXT};

/// A place in a text. Lines and columns count from 1, columns in characters, as in Go's
/// `token.Pos`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Position {
    /// Bytes before this place.
    pub offset: usize,
    /// Line, from 1.
    pub line: u32,
    /// Column in characters, from 1.
    pub column: u32,
}

impl Position {
    /// The first character of a text.
    pub const START: Self = Self { offset: 0, line: 1, column: 1 };
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}, column {}", self.line, self.column)
    }
}

/// The reason why a text cannot be read. Never holds more of the text than a key or a short word,
/// so that it can be logged.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("failed to read configuration at {position}: {}{reason}", Prefix(key))]
pub struct Error {
    position: Position,
    key: String,
    reason: Reason,
}

impl Error {
    pub(crate) fn new(position: Position, reason: Reason) -> Self {
        Self { position, key: String::new(), reason }
    }

    /// The place in the text.
    pub fn position(&self) -> Position {
        self.position
    }

    /// The line, from 1.
    pub fn line(&self) -> u32 {
        self.position.line
    }

    /// The column in characters, from 1.
    pub fn column(&self) -> u32 {
        self.position.column
    }

    /// The key whose value is wrong, with the keys around it (`server.trust_domain`); empty for an
    /// error of syntax.
    pub fn key(&self) -> &str {
        &self.key
    }

    /// The reason.
    pub fn reason(&self) -> &Reason {
        &self.reason
    }

    /// Names the block around the value; called from the inside out.
    pub(crate) fn within(mut self, key: &str) -> Self {
        self.key = if self.key.is_empty() { short(key) } else { format!("{}.{}", short(key), self.key) };
        self
    }

    /// Gives an error that serde made, which knows no place, the place of the value that it was
    /// made for.
    pub(crate) fn at(mut self, position: Position) -> Self {
        if self.position == UNPLACED {
            self.position = position;
        }
        self
    }
}

/// The position of an error that serde makes before the value's place is known. No text has it:
/// offsets are limited.
pub(crate) const UNPLACED: Position = Position { offset: usize::MAX, line: 1, column: 1 };

struct Prefix<'a>(&'a str);

impl fmt::Display for Prefix<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() { Ok(()) } else { write!(f, "{}: ", self.0) }
    }
}

/// The reason why a text is refused at a place.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Reason {
    /// The text is longer than [`MAX_TEXT`].
    #[error("the text has {0} bytes, more than the {MAX_TEXT} allowed")]
    TooLarge(usize),
    /// The text nests deeper than [`MAX_DEPTH`].
    #[error("nested deeper than the {MAX_DEPTH} levels allowed")]
    TooDeep,
    /// A character that means nothing here.
    #[error("unexpected character {0:?}; {1}")]
    IllegalCharacter(char, &'static str),
    /// A bare key with letters outside ASCII.
    #[error("a key with characters outside ASCII must be written in double quotes")]
    BareKeyNotAscii,
    /// A backslash followed by something else than an escape sequence.
    #[error("not an escape sequence; write \\\\ for a backslash")]
    IllegalEscape,
    /// An escape sequence for half a surrogate pair, or for a number that is no character.
    #[error("the escape sequence stands for no character; write the character itself")]
    NotACharacter,
    /// Byte escapes (`\xff`, `\377`) that do not make UTF-8.
    #[error("the escape sequences of this string do not make UTF-8")]
    NotUtf8,
    /// A string without its closing quote on the same line.
    #[error("the string has no closing quote")]
    StringNotClosed,
    /// A `/*` without `*/`.
    #[error("the comment has no closing */")]
    CommentNotClosed,
    /// `<<` without a name and a line end after it.
    #[error("expected << or <<- and a name of ASCII letters and digits at the end of the line")]
    HeredocAnchor,
    /// A heredoc without its closing line.
    #[error("the heredoc has no closing line with its name alone, followed by a line end")]
    HeredocNotClosed,
    /// A number that is malformed, or an integer beyond 64 bits.
    #[error("not a number that can be read: {0}")]
    BadNumber(&'static str),
    /// Something else was expected.
    #[error("expected {expected}, found {found}")]
    Expected {
        /// The tokens that could stand here.
        expected: &'static str,
        /// The token that stands here.
        found: &'static str,
    },
    /// In JSON, a boolean or a list as an element of a list: SPIRE's parser drops or unrolls it
    /// without a word.
    #[error("SPIRE's JSON reader loses {0} inside a list; use strings or numbers")]
    LostInList(&'static str),
    /// A value that has the wrong type or is outside its range, an unknown key, a missing or a
    /// repeated one.
    #[error("{0}")]
    Value(String),
}

/// At most 64 characters of a key or a word, for error texts.
pub(crate) fn short(text: &str) -> String {
    const LONGEST: usize = 64;
    match text.char_indices().nth(LONGEST) {
        None => text.to_owned(),
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()),
    }
}
