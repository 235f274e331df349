//! The grammar of HCL 1 as Go's `hcl/parser` reads it.
//!
//! ```text
//! items  = { key { key } "{" items "}" [ "," ] | key "=" value [ "," ] }
//! key    = name | string
//! value  = number | bool | string | heredoc | "{" items "}" | list | (nothing: null, see `Parser::is_null`)
//! list   = "[" { value | "," } "]"       with at least one comma between values, except after an inner list
//! ```

use crate::cursor::{Cursor, Variables};
use crate::scan::{Lexeme, Token, lexeme};
use crate::tree::{Item, Key, Kind, Node};
use crate::{Error, MAX_DEPTH, Position, Reason};

/// Parses a whole HCL text; the root covers all of it.
pub(crate) fn parse(text: &str, variables: Variables) -> Result<Node, Error> {
    reject_reserved(text)?;
    let mut parser = Parser { cursor: Cursor::new(text, variables), next: None, depth: 0 };
    let items = parser.items(None)?;
    Ok(Node { kind: Kind::Object(items), at: Position::START, end: text.len() })
}

/// Two characters that Go refuses everywhere, also in comments.
fn reject_reserved(text: &str) -> Result<(), Error> {
    let mut cursor = Cursor::new(text, Variables::Kept);
    let Some(offset) = text.find(['\0', '\u{e123}']) else { return Ok(()) };
    while cursor.at.offset < offset {
        cursor.next();
    }
    let found = cursor.peek().unwrap_or_default();
    Err(Error::new(cursor.at, Reason::IllegalCharacter(found, "HCL reserves it; it must not appear")))
}

struct Parser<'t> {
    cursor: Cursor<'t>,
    /// A token that was looked at and not taken.
    next: Option<Lexeme>,
    depth: usize,
}

impl Parser<'_> {
    fn peek(&mut self) -> Result<&Lexeme, Error> {
        let lexeme = match self.next.take() {
            Some(lexeme) => lexeme,
            None => lexeme(&mut self.cursor)?,
        };
        Ok(self.next.insert(lexeme))
    }

    fn take(&mut self) -> Result<Lexeme, Error> {
        match self.next.take() {
            Some(lexeme) => Ok(lexeme),
            None => lexeme(&mut self.cursor),
        }
    }

    fn enter(&mut self, at: Position, levels: usize) -> Result<(), Error> {
        self.depth += levels;
        if self.depth > MAX_DEPTH { Err(Error::new(at, Reason::TooDeep)) } else { Ok(()) }
    }

    /// Items up to a closing brace, or to the end of the text for the root (nothing was opened).
    fn items(&mut self, opened: Option<Position>) -> Result<Vec<Item>, Error> {
        let mut items = Vec::new();
        loop {
            let next = self.peek()?;
            match (&next.token, opened) {
                (Token::Close, Some(_)) | (Token::End, None) => return Ok(items),
                (Token::End, Some(opened)) => {
                    return Err(expected(opened, "a '}' that closes this '{'", &Token::End));
                }
                _ => items.push(self.item()?),
            }
        }
    }

    fn item(&mut self) -> Result<Item, Error> {
        let (keys, opener) = self.keys()?;
        self.enter(opener.at, keys.len().saturating_sub(1))?;
        let value = match opener.token {
            Token::Open => self.object(opener.at)?,
            _ if self.is_null(&opener)? => Node { kind: Kind::Null, at: opener.at, end: opener.end.offset },
            _ => self.value()?,
        };
        self.depth -= keys.len().saturating_sub(1);
        let mut end = value.end;
        if self.peek()?.token == Token::Comma {
            end = self.take()?.end.offset;
        }
        Ok(Item { keys, value, end })
    }

    /// The keys of an item and the `=` or `{` after them.
    fn keys(&mut self) -> Result<(Vec<Key>, Lexeme), Error> {
        let mut keys = Vec::new();
        loop {
            let found = self.take()?;
            match (found.token, keys.len()) {
                (Token::Name(text) | Token::Text(text), count) if count < MAX_DEPTH => {
                    keys.push(Key { text, at: found.at, end: found.end.offset });
                }
                (Token::Name(_) | Token::Text(_), _) => return Err(Error::new(found.at, Reason::TooDeep)),
                (token @ Token::Assign, 1) => return Ok((keys, Lexeme { token, ..found })),
                (token @ Token::Open, 1..) => return Ok((keys, Lexeme { token, ..found })),
                (token, 0) => return Err(expected(found.at, "a key", &token)),
                (token, 1) => return Err(expected(found.at, "'=' or '{' after the key", &token)),
                (token, _) => return Err(expected(found.at, "'{' after several keys", &token)),
            }
        }
    }

    /// Tells if no value follows this `=`: SPIRE prints a JSON null so. Go cannot read what it
    /// printed: it drops the item at the end of a text, and elsewhere takes the next key for the
    /// value. A null is recognized by what follows: the end, a closing brace, or on a later line a
    /// string that is a key, because `=`, `{` or, on its own line, more keys and `{` come after it.
    fn is_null(&mut self, assign: &Lexeme) -> Result<bool, Error> {
        let next = self.peek()?;
        match next.token {
            Token::End | Token::Close => return Ok(true),
            Token::Text(_) if next.at.line > assign.at.line => {}
            _ => return Ok(false),
        }
        let line = next.at.line;
        let mut ahead = self.cursor;
        let mut first = true;
        // An error further on is left to be found when the parser gets there.
        while let Ok(Lexeme { token, at, .. }) = lexeme(&mut ahead) {
            match token {
                Token::Open => return Ok(true),
                Token::Assign => return Ok(first),
                Token::Name(_) | Token::Text(_) if at.line == line => first = false,
                _ => return Ok(false),
            }
        }
        Ok(false)
    }

    fn value(&mut self) -> Result<Node, Error> {
        let found = self.take()?;
        match found.token {
            Token::Open => self.object(found.at),
            Token::OpenList => self.list(found.at),
            token => literal(token, found.at, found.end)
                .map_err(|token| expected(found.at, "a value (a word must stand in double quotes)", &token)),
        }
    }

    /// An object whose `{` has been taken.
    fn object(&mut self, opened: Position) -> Result<Node, Error> {
        self.enter(opened, 1)?;
        let items = self.items(Some(opened))?;
        let end = self.take()?.end.offset;
        self.depth -= 1;
        Ok(Node { kind: Kind::Object(items), at: opened, end })
    }

    /// A list whose `[` has been taken.
    fn list(&mut self, opened: Position) -> Result<Node, Error> {
        self.enter(opened, 1)?;
        let mut list = Vec::new();
        let mut comma_needed = false;
        loop {
            let found = self.take()?;
            match found.token {
                Token::CloseList => {
                    self.depth -= 1;
                    return Ok(Node { kind: Kind::List(list), at: opened, end: found.end.offset });
                }
                Token::Comma => comma_needed = false,
                token if comma_needed => return Err(expected(found.at, "',' or ']' in the list", &token)),
                Token::OpenList => list.push(self.list(found.at)?),
                Token::Open => {
                    list.push(self.object(found.at)?);
                    comma_needed = true;
                }
                token => {
                    let node = literal(token, found.at, found.end);
                    list.push(
                        node.map_err(|token| expected(found.at, "a value or ']' in the list", &token))?,
                    );
                    comma_needed = true;
                }
            }
        }
    }
}

/// A value of a single token; gives back a token that is none.
pub(crate) fn literal(token: Token, at: Position, end: Position) -> Result<Node, Token> {
    let kind = match token {
        Token::Text(text) | Token::Heredoc(text) | Token::Variable(text) => Kind::Text(text),
        Token::Integer(text, value) => Kind::Integer(text, value),
        Token::Float(value) => Kind::Float(value),
        Token::Bool(value) => Kind::Bool(value),
        other => return Err(other),
    };
    Ok(Node { kind, at, end: end.offset })
}

pub(crate) fn expected(at: Position, expected: &'static str, found: &Token) -> Error {
    Error::new(at, Reason::Expected { expected, found: found.describe() })
}
