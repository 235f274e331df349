//! Heredocs: `<<NAME` and `<<-NAME`, as Go's scanner ends them and as its `unindentHeredoc` reads
//! them.

use crate::cursor::Cursor;
use crate::{Error, Position, Reason};

/// Reads a heredoc whose first `<` has just been taken at `opened`. The closing line may be
/// indented in both forms, and a line end must follow it.
pub(crate) fn scan(cursor: &mut Cursor<'_>, opened: Position) -> Result<String, Error> {
    let anchor = || Error::new(opened, Reason::HeredocAnchor);
    cursor.take(|c| c == '<').ok_or_else(anchor)?;
    let indented = cursor.take(|c| c == '-').is_some();
    let start = cursor.at;
    cursor.take_while(|c| c.is_ascii_alphanumeric() || c == '_');
    let name = cursor.since(start);
    if name.is_empty() || cursor.take(|c| c == '\n').is_none() {
        return Err(anchor());
    }
    // Go compares the length with that of the anchor, and counts the dash as part of it: `<<-EOF`
    // is not closed by a bare `EOF` in the first column.
    let shortest = name.len() + usize::from(indented);
    let mut body = String::new();
    loop {
        let line = line(cursor).ok_or_else(|| Error::new(opened, Reason::HeredocNotClosed))?;
        if line.len() >= shortest && closes(&line, name) {
            return Ok(content(&body, &line, name, indented));
        }
        body.push_str(&line);
        body.push('\n');
    }
}

/// The next line without its end; nothing when the text ends before the line does.
fn line(cursor: &mut Cursor<'_>) -> Option<String> {
    let start = cursor.at;
    cursor.take_while(|c| c != '\n');
    let line = cursor.since(start).to_owned();
    cursor.next()?;
    Some(line)
}

fn closes(line: &str, name: &str) -> bool {
    let line = line.trim_start_matches(['\t', '\n', '\x0b', '\x0c', '\r', ' ']);
    line.strip_prefix(name).is_some_and(|rest| rest.chars().all(|c| c == '\r'))
}

/// The value. Go cuts the name's length and one newline off the end, so white space before a
/// closing name stays in the value of a `<<NAME`; a `<<-NAME` loses the closing line's indentation
/// on every line, if every line has it.
fn content(body: &str, closing: &str, name: &str, indented: bool) -> String {
    let kept = closing.get(..closing.len().saturating_sub(name.len())).unwrap_or_default();
    let whole = format!("{body}{kept}");
    if !indented {
        return whole;
    }
    if body.split_terminator('\n').all(|line| line.starts_with(kept)) {
        let lines = body.split_terminator('\n').map(|line| line.strip_prefix(kept).unwrap_or(line));
        return lines.flat_map(|line| [line, "\n"]).collect();
    }
    let mut cut = whole;
    cut.pop();
    cut.trim_end_matches([' ', '\t']).to_owned()
}
