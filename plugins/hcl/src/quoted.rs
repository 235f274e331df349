//! Quoted strings: escape sequences, and `${…}` which HCL 1 keeps as it is written.

use crate::cursor::Cursor;
use crate::{Error, Position, Reason};

/// Reads a string whose opening quote, at `opened`, has just been taken, and resolves its escape
/// sequences as Go's `hcl/strconv.Unquote` does. With `interpolation` (HCL, not JSON) everything
/// from `${` to its closing brace is kept as it is written, and quotes and line ends may stand in
/// it.
pub(crate) fn scan(cursor: &mut Cursor<'_>, opened: Position, interpolation: bool) -> Result<String, Error> {
    let mut bytes = Vec::new();
    let mut braces = 0_usize;
    loop {
        let at = cursor.at;
        let Some(found) = cursor.next() else { return Err(Error::new(opened, Reason::StringNotClosed)) };
        match found {
            '\n' if braces == 0 => return Err(Error::new(opened, Reason::StringNotClosed)),
            '"' if braces == 0 => break,
            '\0' => return Err(Error::new(at, Reason::IllegalCharacter('\0', "write it as \\u0000"))),
            '\\' => {
                let value = escape(cursor, at)?;
                if braces == 0 {
                    value.append_to(&mut bytes).ok_or_else(|| Error::new(at, Reason::NotACharacter))?;
                } else {
                    bytes.extend_from_slice(cursor.since(at).as_bytes());
                }
                continue;
            }
            '\u{fffd}' if braces > 0 => {
                return Err(Error::new(at, Reason::IllegalCharacter(found, "it cannot stand inside ${ }")));
            }
            '$' if interpolation && braces == 0 && cursor.peek() == Some('{') => {
                cursor.next();
                braces = 1;
                bytes.extend_from_slice(b"${");
                continue;
            }
            '{' if braces > 0 => braces += 1,
            '}' if braces > 0 => braces -= 1,
            _ => {}
        }
        bytes.extend_from_slice(found.encode_utf8(&mut [0; 4]).as_bytes());
    }
    String::from_utf8(bytes).map_err(|_| Error::new(opened, Reason::NotUtf8))
}

/// The meaning of an escape sequence. Go lets `\x` and octal ones stand for bytes, not characters.
enum Escape {
    Byte(u32),
    Char(u32),
}

impl Escape {
    /// Nothing, when the number is no byte or no character: beyond Unicode, or half a surrogate
    /// pair.
    fn append_to(&self, bytes: &mut Vec<u8>) -> Option<()> {
        match *self {
            Self::Byte(value) => bytes.push(u8::try_from(value).ok()?),
            Self::Char(value) => bytes.extend(char::from_u32(value)?.encode_utf8(&mut [0; 4]).as_bytes()),
        }
        Some(())
    }
}

/// Reads what follows a backslash at `at`.
fn escape(cursor: &mut Cursor<'_>, at: Position) -> Result<Escape, Error> {
    let illegal = || Error::new(at, Reason::IllegalEscape);
    let before = *cursor;
    Ok(match cursor.next().ok_or_else(illegal)? {
        'a' => Escape::Byte(0x07),
        'b' => Escape::Byte(0x08),
        'f' => Escape::Byte(0x0c),
        'n' => Escape::Byte(0x0a),
        'r' => Escape::Byte(0x0d),
        't' => Escape::Byte(0x09),
        'v' => Escape::Byte(0x0b),
        '\\' => Escape::Byte(0x5c),
        '"' => Escape::Byte(0x22),
        '0'..='7' => {
            *cursor = before;
            Escape::Byte(digits(cursor, 8, 3).ok_or_else(illegal)?)
        }
        'x' => Escape::Byte(digits(cursor, 16, 2).ok_or_else(illegal)?),
        'u' => Escape::Char(digits(cursor, 16, 4).ok_or_else(illegal)?),
        'U' => Escape::Char(digits(cursor, 16, 8).ok_or_else(illegal)?),
        _ => return Err(illegal()),
    })
}

/// Exactly so many digits.
fn digits(cursor: &mut Cursor<'_>, base: u32, count: usize) -> Option<u32> {
    let mut value = 0_u32;
    for _ in 0..count {
        value = (value.wrapping_mul(base)).wrapping_add(cursor.next()?.to_digit(base)?);
    }
    Some(value)
}
