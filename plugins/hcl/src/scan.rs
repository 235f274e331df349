//! The tokens of HCL 1, as Go's `hcl/scanner` cuts them.

use crate::cursor::{Cursor, Variables, is_space};
use crate::{Error, Position, Reason, heredoc, number, quoted};

#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Token {
    Name(String),
    Text(String),
    /// A string as a value, but no key.
    Heredoc(String),
    /// `$X` or `${X}` without quotes, with all that is written up against it.
    Variable(String),
    Integer(String, i64),
    Float(f64),
    Bool(bool),
    Open,
    Close,
    OpenList,
    CloseList,
    Comma,
    Assign,
    /// `.`, `+` and `-`, which are tokens but have no place in the grammar.
    Operator(char),
    End,
}

impl Token {
    /// For error texts; keeps the text itself out of them.
    pub(crate) fn describe(&self) -> &'static str {
        match self {
            Self::Name(_) => "a word without quotes",
            Self::Text(_) => "a string",
            Self::Heredoc(_) => "a heredoc",
            Self::Variable(_) => "a variable",
            Self::Integer(..) | Self::Float(..) => "a number",
            Self::Bool(_) => "a boolean",
            Self::Open => "'{'",
            Self::Close => "'}'",
            Self::OpenList => "'['",
            Self::CloseList => "']'",
            Self::Comma => "','",
            Self::Assign => "'='",
            Self::Operator(_) => "a lone '.', '+' or '-'",
            Self::End => "the end of the text",
        }
    }
}

/// A token and the place where it begins.
#[derive(Debug, Clone)]
pub(crate) struct Lexeme {
    pub(crate) token: Token,
    pub(crate) at: Position,
    pub(crate) end: Position,
}

/// The next token of an HCL text, comments skipped.
pub(crate) fn lexeme(cursor: &mut Cursor<'_>) -> Result<Lexeme, Error> {
    skip_space_and_comments(cursor)?;
    let at = cursor.at;
    let token = token(cursor)?;
    Ok(Lexeme { token, at, end: cursor.at })
}

fn token(cursor: &mut Cursor<'_>) -> Result<Token, Error> {
    let start = *cursor;
    let Some(first) = cursor.next() else { return Ok(Token::End) };
    let number_follows = cursor.peek().is_some_and(|next| next.is_ascii_digit());
    Ok(match first {
        'a'..='z' | 'A'..='Z' | '_' => return name(cursor, start.at),
        '0'..='9' => return number::scan(cursor, start),
        '-' | '.' if number_follows => return number::scan(cursor, start),
        '"' => Token::Text(quoted::scan(cursor, start.at, true)?),
        '<' => Token::Heredoc(heredoc::scan(cursor, start.at)?),
        '{' => Token::Open,
        '}' => Token::Close,
        '[' => Token::OpenList,
        ']' => Token::CloseList,
        ',' => Token::Comma,
        '=' => Token::Assign,
        '.' | '+' | '-' => Token::Operator(first),
        '$' => variable(cursor, start)?,
        letter if letter.is_alphabetic() => return Err(Error::new(start.at, Reason::BareKeyNotAscii)),
        other => return Err(illegal(start.at, other, hint(other, "it is part of no HCL token"))),
    })
}

/// Reads variables without quotes whose first `$` has just been taken, with letters, digits and
/// `_.-` between and behind them. What they stand for is not known here, so neither is what it is a
/// part of.
pub(crate) fn variable<'t>(cursor: &mut Cursor<'t>, start: Cursor<'t>) -> Result<Token, Error> {
    if cursor.variables == Variables::Kept {
        let hint = "a variable stands here only in a file that SPIRE reads with -expandEnv; start SPIRE with it, \
                    or write the value itself";
        return Err(illegal(start.at, '$', hint));
    }
    *cursor = start;
    let word = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-');
    while cursor.take(|c| c == '$').is_some() {
        let braced = cursor.take(|c| c == '{').is_some();
        let first = cursor.take(|c| c.is_ascii_alphabetic() || c == '_').is_some();
        cursor.take_while(|c| c.is_ascii_alphanumeric() || c == '_');
        if !first || braced && cursor.take(|c| c == '}').is_none() {
            return Err(illegal(start.at, '$', "a variable is written as $NAME or ${NAME}"));
        }
        cursor.take_while(word);
    }
    Ok(Token::Variable(cursor.since(start.at).to_owned()))
}

/// The advice for a character that an editor or a web page leaves in a text and that is hard to
/// see.
pub(crate) fn hint(found: char, otherwise: &'static str) -> &'static str {
    match found {
        '\u{feff}' => {
            "it is a byte order mark, which SPIRE does not read; save the file as UTF-8 without one"
        }
        '\u{200b}'..='\u{200f}' | '\u{2060}' | '\u{ad}' => "it is an invisible character; delete it",
        '“' | '”' | '„' | '‘' | '’' => "it is a typographic quote; write a straight double quote",
        space if space.is_whitespace() => "it is a space of another kind; write a plain one",
        _ => otherwise,
    }
}

/// A bare word: letters, digits, `_`, `-` and `.`. Go takes letters of every script; see the
/// differences.
fn name(cursor: &mut Cursor<'_>, start: Position) -> Result<Token, Error> {
    cursor.take_while(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.'));
    if cursor.peek().is_some_and(|next| !next.is_ascii() && next.is_alphanumeric()) {
        return Err(Error::new(cursor.at, Reason::BareKeyNotAscii));
    }
    Ok(match cursor.since(start) {
        "true" => Token::Bool(true),
        "false" => Token::Bool(false),
        name => Token::Name(name.to_owned()),
    })
}

fn skip_space_and_comments(cursor: &mut Cursor<'_>) -> Result<(), Error> {
    loop {
        cursor.take_while(is_space);
        let at = cursor.at;
        let rest = cursor.rest();
        if rest.starts_with('#') || rest.starts_with("//") {
            cursor.take_while(|c| c != '\n');
        } else if rest.starts_with("/*") {
            let length = rest.get(2..).and_then(|body| body.find("*/"));
            let end = length.ok_or_else(|| Error::new(at, Reason::CommentNotClosed))? + 4 + at.offset;
            while cursor.at.offset < end {
                cursor.next();
            }
        } else if rest.starts_with('/') {
            return Err(illegal(at, '/', "a comment begins with #, // or /*"));
        } else {
            return Ok(());
        }
    }
}

fn illegal(at: Position, found: char, hint: &'static str) -> Error {
    Error::new(at, Reason::IllegalCharacter(found, hint))
}
