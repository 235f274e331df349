//! Numbers: as Go's `hcl/scanner` cuts them from a text, and as Go's `strconv.ParseInt` with base 0
//! reads them.

use crate::cursor::Cursor;
use crate::scan::Token;
use crate::{Error, Reason};

/// Cuts one number of HCL: decimal, `0x` hexadecimal, `0` octal, or with fraction or exponent; `-`
/// may lead. The cursor stands behind the first character, `start` before it. Where Go keeps a
/// malformed number as a token and crashes when its value is asked for, this is an error.
pub(crate) fn scan<'t>(cursor: &mut Cursor<'t>, start: Cursor<'t>) -> Result<Token, Error> {
    let bad = |why| Error::new(start.at, Reason::BadNumber(why));
    *cursor = start;
    cursor.take(|c| c == '-');
    let zero = cursor.peek() == Some('0');
    let mut float = false;
    if zero {
        cursor.next();
    }
    if zero && cursor.take(|c| matches!(c, 'x' | 'X')).is_some() {
        if cursor.take_while(|c| c.is_ascii_hexdigit()) == 0 {
            return Err(bad("hexadecimal digits are missing"));
        }
        return integer_token(cursor.since(start.at)).ok_or_else(|| bad(TOO_LARGE));
    }
    let whole = cursor.take_while(|c| c.is_ascii_digit()) + usize::from(zero);
    if cursor.take(|c| c == '.').is_some() {
        float = true;
        cursor.take_while(|c| c.is_ascii_digit());
    }
    if cursor.take(|c| matches!(c, 'e' | 'E')).is_some() {
        float = true;
        cursor.take(|c| matches!(c, '+' | '-'));
        if whole == 0 || cursor.take_while(|c| c.is_ascii_digit()) == 0 {
            return Err(bad("digits are missing before or in the exponent"));
        }
    }
    let text = cursor.since(start.at);
    let token = if float { float_token(text) } else { integer_token(text) };
    token.ok_or_else(|| bad(if zero && !float { "a leading 0 makes it octal" } else { TOO_LARGE }))
}

const TOO_LARGE: &str = "it is too large";

/// An integer token, if the text is one and fits into 64 bits.
pub(crate) fn integer_token(text: &str) -> Option<Token> {
    Some(Token::Integer(text.to_owned(), integer(text)?))
}

/// A float token, if the text is a finite number.
pub(crate) fn float_token(text: &str) -> Option<Token> {
    let value: f64 = text.parse().ok()?;
    value.is_finite().then_some(Token::Float(value))
}

/// Reads an integer as `strconv.ParseInt(text, 0, 64)` does: `0x`, `0o`, `0b` or a leading `0`
/// choose the base. Underscores between digits, which Go allows here, are not taken.
pub(crate) fn integer(text: &str) -> Option<i64> {
    let (negative, digits) = match text.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    let (base, digits) = match digits.as_bytes() {
        [b'0', b'x' | b'X', ..] => (16, digits.get(2..)?),
        [b'0', b'o' | b'O', ..] => (8, digits.get(2..)?),
        [b'0', b'b' | b'B', ..] => (2, digits.get(2..)?),
        [b'0', _, ..] => (8, digits.get(1..)?),
        _ => (10, digits),
    };
    if !digits.starts_with(|c: char| c.is_ascii_alphanumeric()) {
        return None;
    }
    let value = i128::from(u64::from_str_radix(digits, base).ok()?);
    i64::try_from(if negative { -value } else { value }).ok()
}

#[cfg(test)]
mod tests;
