//! JSON as SPIRE takes it: the values of RFC 8259, the escape sequences of Go's `json/scanner`
//! (which has no `\/`, and has `\a`, `\v`, `\x`, `\U` and octal ones), and a comma allowed after
//! the last member and element.
//!
//! Go's parser takes a great deal that is no JSON, and drops parts of it: missing brackets, text
//! after the end, keys without values. All that is refused here.

use crate::cursor::{Cursor, Variables, is_space};
use crate::number::{float_token, integer_token};
use crate::parse::{expected, literal};
use crate::scan::{Lexeme, Token, hint, variable};
use crate::tree::{Item, Key, Kind, Node};
use crate::{Error, MAX_DEPTH, Position, Reason, quoted};

/// Parses a whole JSON text, which must be one object.
pub(crate) fn parse(text: &str, variables: Variables) -> Result<Node, Error> {
    let mut parser = Parser { cursor: Cursor::new(text, variables), depth: 0 };
    let open = parser.take()?;
    if open.token != Token::Open {
        return Err(expected(open.at, "'{'", &open.token));
    }
    let root = parser.object(open.at)?;
    let rest = parser.take()?;
    if rest.token != Token::End {
        return Err(expected(rest.at, "the end of the text", &rest.token));
    }
    Ok(root)
}

struct Parser<'t> {
    cursor: Cursor<'t>,
    depth: usize,
}

impl<'t> Parser<'t> {
    fn enter(&mut self, at: Position) -> Result<(), Error> {
        self.depth += 1;
        if self.depth > MAX_DEPTH { Err(Error::new(at, Reason::TooDeep)) } else { Ok(()) }
    }

    /// The next token; a colon is `Assign`, null the only `Name`.
    fn take(&mut self) -> Result<Lexeme, Error> {
        self.cursor.take_while(is_space);
        let start = self.cursor;
        let token = self.token(start)?;
        Ok(Lexeme { token, at: start.at, end: self.cursor.at })
    }

    fn token(&mut self, start: Cursor<'t>) -> Result<Token, Error> {
        let cursor = &mut self.cursor;
        let Some(first) = cursor.next() else { return Ok(Token::End) };
        Ok(match first {
            '{' => Token::Open,
            '}' => Token::Close,
            '[' => Token::OpenList,
            ']' => Token::CloseList,
            ',' => Token::Comma,
            ':' => Token::Assign,
            '"' => Token::Text(quoted::scan(cursor, start.at, false)?),
            '$' => variable(cursor, start)?,
            '-' | '0'..='9' => {
                *cursor = start;
                number(cursor)?
            }
            'a'..='z' | 'A'..='Z' => {
                cursor.take_while(|c| c.is_alphanumeric() || matches!(c, '-' | '_'));
                match cursor.since(start.at) {
                    "true" => Token::Bool(true),
                    "false" => Token::Bool(false),
                    "null" => Token::Name(String::new()),
                    _ => return Err(expected(start.at, "a JSON token", &Token::Name(String::new()))),
                }
            }
            other => {
                return Err(Error::new(
                    start.at,
                    Reason::IllegalCharacter(other, hint(other, "it is part of no JSON token")),
                ));
            }
        })
    }

    /// An object whose `{` has been taken.
    fn object(&mut self, opened: Position) -> Result<Node, Error> {
        self.enter(opened)?;
        let mut items: Vec<Item> = Vec::new();
        loop {
            let found = self.take()?;
            let text = match found.token {
                Token::Text(text) => text,
                Token::Close => return Ok(self.leave(Kind::Object(items), opened, found.end)),
                token => return Err(expected(found.at, "a key in double quotes or '}'", &token)),
            };
            let key = Key { text, at: found.at, end: found.end.offset };
            let colon = self.take()?;
            if colon.token != Token::Assign {
                return Err(expected(colon.at, "':' after the key", &colon.token));
            }
            let next = self.take()?;
            let value = self.value(next)?;
            let separator = self.take()?;
            let end = if separator.token == Token::Comma { separator.end.offset } else { value.end };
            items.push(Item { keys: vec![key], value, end });
            match separator.token {
                Token::Comma => {}
                Token::Close => return Ok(self.leave(Kind::Object(items), opened, separator.end)),
                token => return Err(expected(separator.at, "',' or '}' after the value", &token)),
            }
        }
    }

    /// A list whose `[` has been taken.
    fn list(&mut self, opened: Position) -> Result<Node, Error> {
        self.enter(opened)?;
        let mut list = Vec::new();
        loop {
            let next = self.take()?;
            match next.token {
                Token::CloseList => return Ok(self.leave(Kind::List(list), opened, next.end)),
                Token::Bool(_) => return Err(Error::new(next.at, Reason::LostInList("true or false"))),
                Token::OpenList => return Err(Error::new(next.at, Reason::LostInList("a list"))),
                Token::Name(_) => return Err(expected(next.at, "a string, number or object", &next.token)),
                _ => list.push(self.value(next)?),
            }
            let separator = self.take()?;
            match separator.token {
                Token::Comma => {}
                Token::CloseList => return Ok(self.leave(Kind::List(list), opened, separator.end)),
                token => return Err(expected(separator.at, "',' or ']' in the list", &token)),
            }
        }
    }

    fn leave(&mut self, kind: Kind, at: Position, end: Position) -> Node {
        self.depth -= 1;
        Node { kind, at, end: end.offset }
    }

    fn value(&mut self, found: Lexeme) -> Result<Node, Error> {
        match found.token {
            Token::Open => self.object(found.at),
            Token::OpenList => self.list(found.at),
            Token::Name(_) => Ok(Node { kind: Kind::Null, at: found.at, end: found.end.offset }),
            token => {
                literal(token, found.at, found.end).map_err(|token| expected(found.at, "a value", &token))
            }
        }
    }
}

/// A number by the grammar of RFC 8259; integers fit into 64 bits.
fn number(cursor: &mut Cursor<'_>) -> Result<Token, Error> {
    let at = cursor.at;
    let bad = |why| Error::new(at, Reason::BadNumber(why));
    let digits = |cursor: &mut Cursor<'_>| match cursor.take_while(|c| c.is_ascii_digit()) {
        0 => Err(bad("digits are missing")),
        count => Ok(count),
    };
    cursor.take(|c| c == '-');
    let zero = cursor.peek() == Some('0');
    if digits(cursor)? > 1 && zero {
        return Err(bad("it must not begin with 0"));
    }
    let mut float = false;
    if cursor.take(|c| c == '.').is_some() {
        float = true;
        digits(cursor)?;
    }
    if cursor.take(|c| matches!(c, 'e' | 'E')).is_some() {
        float = true;
        cursor.take(|c| matches!(c, '+' | '-'));
        digits(cursor)?;
    }
    let text = cursor.since(at);
    let token = if float { float_token(text) } else { integer_token(text) };
    token.ok_or_else(|| bad("it is too large"))
}
