//! The configuration of `spire-controller-manager` with another `parentIDTemplate`. The text is
//! edited, not written anew: comments, order and every other byte stay. What comes out is read
//! again, so that an edit which means anything else is refused and not used. Pure.

use serde_json::{Map, Value};

const KEY: &str = "parentIDTemplate";
const KIND: &str = "ControllerManagerConfig";

/// Why a configuration is not edited.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error("failed to read it as YAML: {0}")]
    Yaml(#[from] Box<serde_yaml::Error>),
    #[error("expected a mapping of kind {KIND}, as spire-controller-manager reads it, got {came}")]
    Kind {
        /// What it is instead.
        came: String,
    },
    #[error("expected {KEY} to be a text, it is something else")]
    NotText,
    #[error("{KEY} has an action that cannot stand within another, define or block: write it without")]
    Nested,
    #[error(
        "{KEY} cannot be set without touching the rest: write the keys one a line, from the first column on, and {KEY} once"
    )]
    NotEditable,
}

/// The template that a configuration has; [`None`] is the program's own.
pub(crate) fn parent_id_template(text: &str) -> Result<Option<String>, Error> {
    match read(text)?.get(KEY) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(template)) => Ok(Some(template.clone()).filter(|template| !template.is_empty())),
        Some(_) => Err(Error::NotText),
    }
}

/// The configuration with the template that `replace` makes of the one it has.
pub(crate) fn derive(text: &str, replace: impl Fn(Option<&str>) -> String) -> Result<String, Error> {
    let original = parent_id_template(text)?;
    if original.as_deref().is_some_and(cannot_be_nested) {
        return Err(Error::Nested);
    }
    let template = replace(original.as_deref());
    if original.as_ref() == Some(&template) {
        return Ok(text.to_owned());
    }
    let mut expected = read(text)?;
    expected.insert(KEY.to_owned(), template.clone().into());
    let edited = set(text, &template).ok_or(Error::NotEditable)?;
    match read(&edited) {
        Ok(came) if came == expected => Ok(edited),
        _ => Err(Error::NotEditable),
    }
}

fn read(text: &str) -> Result<Map<String, Value>, Error> {
    let value = yaml(text)?;
    let kind = value.get("kind").and_then(Value::as_str).map(str::to_owned);
    match value {
        Value::Object(mapping) if kind.as_deref() == Some(KIND) => Ok(mapping),
        Value::Object(_) => {
            Err(Error::Kind { came: kind.map_or("none".to_owned(), |kind| kind.chars().take(80).collect()) })
        }
        _ => Err(Error::Kind { came: "no mapping".to_owned() }),
    }
}

/// The text's value. Errors without a picture of the text: they end in a condition's message.
fn yaml(text: &str) -> Result<Value, Box<serde_yaml::Error>> {
    let options = serde_yaml::options! { with_snippet: false };
    serde_yaml::from_str_with_options(text, options).map_err(Box::new)
}

/// Go's template language has two actions that cannot stand within `if`.
fn cannot_be_nested(template: &str) -> bool {
    template.split("{{").skip(1).any(|action| {
        let action = action.trim_start_matches('-').trim_start();
        action.starts_with("define") || action.starts_with("block")
    })
}

/// Puts the template in the place of the one that is there, or before the first key.
fn set(text: &str, template: &str) -> Option<String> {
    let lines: Vec<&str> = text.split_inclusive('\n').collect();
    let mut keys = lines.iter().enumerate().filter(|(_, line)| is_top_level(line));
    let mut ours = keys.clone().filter(|(_, line)| value_of_key(line).is_some());
    let (start, end, comment) = match (ours.next(), ours.next()) {
        (Some((start, line)), None) => {
            let end = end_of_value(&lines, start)?;
            (start, end, if end == start + 1 { comment(line) } else { "" })
        }
        (None, _) => keys.next().map(|(first, _)| (first, first, ""))?,
        (Some(_), Some(_)) => return None,
    };
    let line_end = if lines.get(start)?.ends_with("\r\n") { "\r\n" } else { "\n" };
    let line = format!("{KEY}: {}{comment}{line_end}", scalar(template));
    Some([&lines.get(..start)?.concat(), &line, &lines.get(end..)?.concat()].map(String::as_str).concat())
}

/// A line that begins in the first column, and is neither empty, a comment nor a document's mark.
fn is_top_level(line: &str) -> bool {
    !line.starts_with([' ', '\t', '\r', '\n', '#', '%'])
        && !line.starts_with("---")
        && !line.starts_with("...")
}

/// What stands behind the key, when the line is the one that has it.
fn value_of_key(line: &str) -> Option<&str> {
    let spellings = [KEY.to_owned(), format!("\"{KEY}\""), format!("'{KEY}'")];
    let rest = spellings.iter().find_map(|spelling| line.strip_prefix(spelling.as_str()))?;
    rest.trim_start_matches([' ', '\t']).strip_prefix(':')
}

/// The line behind a value's last one. What is indented belongs to it, but for comments and empty
/// lines at its end.
fn end_of_value(lines: &[&str], start: usize) -> Option<usize> {
    let mut end = start + 1;
    while lines.get(end).is_some_and(|line| line.starts_with([' ', '\t']) || line.trim().is_empty()) {
        end += 1;
    }
    let is_block = value_of_key(lines.get(start)?)?.trim_start().starts_with(['|', '>']);
    let trailing = |line: &&str| line.trim().is_empty() || !is_block && line.trim_start().starts_with('#');
    while end > start + 1 && lines.get(end - 1).is_some_and(trailing) {
        end -= 1;
    }
    Some(end)
}

/// The comment at a line's end: what can be left out without changing the value.
fn comment(line: &str) -> &str {
    let line = line.trim_end_matches(['\r', '\n']);
    let value = |line: &str| yaml(line).ok();
    let whole = value(line);
    let mut comments = line.match_indices(" #").map(|(at, _)| line.split_at(at));
    comments.find(|(rest, _)| value(rest) == whole).map(|(_, comment)| comment).unwrap_or_default()
}

/// A text in quotes: single ones, in which a template with its own quotes can be read, unless they
/// cannot hold it.
fn scalar(text: &str) -> String {
    if text.chars().any(|c| c.is_control() || c == '\u{85}' || c == '\u{2028}' || c == '\u{2029}') {
        return Value::from(text).to_string();
    }
    format!("'{}'", text.replace('\'', "''"))
}

#[cfg(test)]
mod tests;
